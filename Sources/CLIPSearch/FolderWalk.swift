package import Files
package import Tensors

/// The images in a folder and all folders in it, in the order of their paths.
///
/// Hidden files and folders, and files that are not named as JPEG, PNG or WebP, are passed over,
/// and so are folders that hold a file `.clip-ignore`. Links are followed, but no folder is entered
/// twice. What cannot be listed is an error of its own.
package struct FolderWalk: Sequence, IteratorProtocol {
    /// The names' endings, in lower case.
    package static let imageExtensions: Set<String> = [
        "jpg", "jpeg", "jpe", "jfif", "png", "webp",
    ]

    /// The name of a file that marks a folder: it is passed over with all that is in it, unless the
    /// walk begins there.
    package static let ignoreFile = ".clip-ignore"

    /// What is found.
    package enum Element: Sendable, Equatable {
        case file(FilePath)
        case unreadable(FilePath, reason: String)
        /// A link without the name of an image that leads nowhere now, such as one to a disk that
        /// is not mounted.
        case dangling(FilePath)
    }

    /// The image files so far whose format is not read.
    package private(set) var skipped = SkippedFormats()

    /// What is to be looked at, the next at the end.
    private var waiting: [(path: FilePath, isFolder: Bool?)]
    private var entered: Set<Folder> = []
    private let root: FilePath

    private struct Folder: Hashable {
        let device: UInt64
        let inode: UInt64
    }

    /// - Parameter root: a folder.
    package init(_ root: FilePath) { (self.root, waiting) = (root, [(root, isFolder: true)]) }

    /// The next image, error or dangling link.
    package mutating func next() -> Element? {
        while let (path, isFolder) = waiting.popLast() {
            let ending = path.pathExtension
            let isImage = Self.imageExtensions.contains(ending)
            if isFolder == false {
                if isImage { return .file(path) }
                skipped.count(ending)
                continue
            }
            do throws(FileError) {
                let status = try FileStatus(path: path.bytes)
                guard status.isFolder else {
                    if isImage && status.isRegular { return .file(path) }
                    if status.isRegular { skipped.count(ending) }
                    continue
                }
                let folder = Folder(device: status.device, inode: status.inode)
                guard entered.insert(folder).inserted else { continue }
                let entries = try folderEntries(path.bytes)
                if path != root && Self.isIgnored(entries) { continue }
                for entry in entries.reversed() where entry.name.first != UInt8(ascii: ".") {
                    waiting.append((path.appending(entry.name), entry.isFolder))
                }
            } catch {
                if isFolder == nil && !isImage && error.leadsNowhere {
                    if Self.isLink(path) { return .dangling(path) }
                    continue
                }
                // Anything else may be a folder that cannot be seen now.
                return .unreadable(path, reason: error.reason)
            }
        }
        return nil
    }

    private static func isLink(_ path: FilePath) -> Bool {
        (try? FileStatus(path: path.bytes, followingLinks: false))?.isLink ?? false
    }

    private static func isIgnored(_ entries: [FolderEntry]) -> Bool {
        entries.contains { $0.isFolder != true && $0.name == Array(ignoreFile.utf8) }
    }
}
