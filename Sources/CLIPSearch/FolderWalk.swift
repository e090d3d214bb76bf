package import Files
internal import Tensors

/// The images in a folder and its subfolders, depth first, with the entries of each folder ordered
/// by the bytes of their names.
///
/// Files without a suffix of a supported image format, folders with a file `.clip-ignore`, and what
/// `FolderRules` skips, such as hidden files, are skipped. A RAW file and a JPEG of the same name
/// are two images. Links are followed, but no folder is entered twice. A folder that cannot be
/// listed yields an element `.unreadable`.
package struct FolderWalk: Sequence, IteratorProtocol {
    /// The suffixes of image files, in lower case.
    package static let imageExtensions: Set<String> = [
        "jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "dib", "tif", "tiff", "heic",
        "heif", "hif", "avif", "jxl", "cr2", "cr3", "nef", "arw", "dng", "raf", "orf", "rw2",
    ]

    /// The name of the file that marks a folder to skip, unless the walk begins there.
    package static let ignoreFile = ".clip-ignore"

    /// An image, or a path at which there may be images.
    package enum Element: Sendable, Equatable {
        case file(FilePath)
        case unreadable(FilePath, reason: String)
        /// A dangling link without a suffix of an image, such as one to a disk that is not mounted.
        case dangling(FilePath)
    }

    /// The numbers of files found so far in unsupported image formats.
    package private(set) var skipped = SkippedFormats()

    /// The paths still to visit, the next one last.
    private var waiting: [(path: FilePath, isFolder: Bool?)]
    private var entered: Set<Folder> = []
    private let root: FilePath
    private let rules: FolderRules
    /// A closure that is called with the path of each folder before it is listed.
    package var willList: (FilePath) -> Void = { _ in }

    private struct Folder: Hashable {
        let device: UInt64
        let inode: UInt64
    }

    /// Begins a walk at a folder.
    ///
    /// - Parameters:
    ///   - root: The folder, which is entered whatever its name is.
    ///   - rules: The rules for the files and folders below it.
    package init(_ root: FilePath, rules: FolderRules = FolderRules()) {
        (self.root, self.rules) = (root, rules)
        waiting = [(root, isFolder: true)]
    }

    /// Returns the path relative to the folder where the walk began.
    private func relative(_ path: FilePath) -> FilePath {
        FilePath(path.bytes.dropFirst(root.appending([]).bytes.count))
    }

    /// Returns true if a pattern of the rules matches a path.
    private func isExcluded(_ path: FilePath, isFolder: Bool) -> Bool {
        !rules.excluded.isEmpty && path != root
            && rules.excludes(relative(path), isFolder: isFolder)
    }

    /// Returns the next image, unreadable path or dangling link; nil at the end.
    package mutating func next() -> Element? {
        while let (path, isFolder) = waiting.popLast() {
            let ending = path.pathExtension
            let isImage = Self.imageExtensions.contains(ending)
            if isFolder != true && isExcluded(path, isFolder: false) { continue }
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
                guard !isExcluded(path, isFolder: true) else { continue }
                let folder = Folder(device: status.device, inode: status.inode)
                guard entered.insert(folder).inserted else { continue }
                willList(path)
                let entries = try folderEntries(path.bytes)
                if path != root && Self.isIgnored(entries) { continue }
                for entry in entries.reversed() where !rules.skips(name: entry.name) {
                    waiting.append((path.appending(entry.name), entry.isFolder))
                }
            } catch {
                if isFolder == nil && !isImage && error.leadsNowhere {
                    if Self.isLink(path) { return .dangling(path) }
                    continue
                }
                // Anything else may be a folder that cannot be read now.
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
