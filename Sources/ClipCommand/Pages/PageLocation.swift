import Files
import CLIPSearch

/// The location of an HTML page, which determines the form of its links to files.
struct PageLocation {
    private let current: [ArraySlice<UInt8>]
    /// The components of the page's folder; nil if the page is not a file.
    private let folder: [ArraySlice<UInt8>]?
    /// The number of components of `folder` up to the last symbolic link, inclusive; 0 without one.
    private let linkedDepth: Int

    /// Creates the location of a page.
    ///
    /// - Parameters:
    ///   - page: The file that the page is written to; nil or "-" is standard output.
    ///   - currentFolder: The folder that relative paths are relative to.
    init(page: String?, currentFolder: FilePath = .currentFolder) {
        current = Self.components(currentFolder.bytes, from: [])
        guard let page, !isStandardOutput(page), mayBeReplaced(page) else {
            folder = nil
            linkedDepth = 0
            return
        }
        let folder = Array(
            Self.components(FilePath(argument: page).bytes, from: current).dropLast())
        self.folder = folder
        linkedDepth =
            folder.indices.last { index in
                let path = Array("/".utf8) + folder[...index].joined(separator: [0x2F])
                return (try? linkTarget(path)) != nil
            }.map { $0 + 1 } ?? 0
    }

    /// Returns a link to a file, percent-encoded byte by byte, relative to the page, so that both
    /// can be moved together.
    ///
    /// The link is an absolute `file:` URL if the page is not a file, or if a relative link would
    /// climb with `..` out of a folder that is a symbolic link. Such a relative link would lead
    /// elsewhere when the page is opened by its real path.
    func link(to file: FilePath) -> String {
        let target = Self.components(file.bytes, from: current)
        if let folder {
            let common = zip(folder, target.dropLast()).prefix { $0 == $1 }.count
            if common == folder.count || common >= linkedDepth {
                let up = [ArraySlice<UInt8>](
                    repeating: ArraySlice("..".utf8), count: folder.count - common)
                return Self.encoded(up + target[common...])
            }
        }
        return "file:///" + Self.encoded(target)
    }

    /// Returns the absolute path of a file or folder.
    func absolute(_ file: FilePath) -> FilePath {
        FilePath(
            Array("/".utf8) + Self.components(file.bytes, from: current).joined(separator: [0x2F]))
    }

    /// Returns the components of the absolute path; `.` and `..` are resolved.
    private static func components(
        _ path: [UInt8], from current: [ArraySlice<UInt8>]
    ) -> [ArraySlice<UInt8>] {
        var result = path.first == UInt8(ascii: "/") ? [] : current
        for component in path.split(separator: UInt8(ascii: "/")) {
            if component.elementsEqual("..".utf8) {
                _ = result.popLast()
            } else if !component.elementsEqual(".".utf8) {
                result.append(component)
            }
        }
        return result
    }

    /// Returns a path with bytes as %XX, except slashes and the unreserved characters of RFC 3986.
    private static func encoded(_ components: [ArraySlice<UInt8>]) -> String {
        components.map { component in
            component.map { byte in
                switch byte {
                case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                    UInt8(ascii: "_"), UInt8(ascii: "~"):
                    return String(UnicodeScalar(byte))
                default:
                    let digits = String(byte, radix: 16, uppercase: true)
                    return "%" + (digits.count < 2 ? "0" : "") + digits
                }
            }.joined()
        }.joined(separator: "/")
    }
}

extension FilePath {
    /// The process's current folder; "/" if it was deleted.
    static var currentFolder: FilePath { Files.currentFolder().map { FilePath($0) } ?? "/" }
}
