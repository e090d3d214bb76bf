public import CLIP
internal import Tensors

/// Takes duplicates out of a folder, as long as they and what stands for them are what was indexed.
public struct DuplicateRemoval: Sendable {
    /// What becomes of a duplicate.
    public enum Action: Sendable {
        case delete
        /// It gets the path that it has in the folder, in another one.
        case move(to: FilePath)
    }

    private let folder: FilePath
    private let action: Action

    /// - Parameter folder: the one that was indexed.
    public init(folder: FilePath, action: Action) {
        self.folder = folder
        self.action = action
    }

    /// Takes a picture away.
    ///
    /// - Throws: `CLIPError.unwritableFile` if it or the other has changed since it was indexed or is gone, and if it cannot be
    ///   taken away; then it stays where it is.
    public func remove(
        _ picture: IndexedPicture, keeping other: IndexedPicture
    ) throws(CLIPError) {
        do throws(FileError) {
            for file in [picture, other] {
                guard let status = try? FileStatus(path: file.path.bytes),
                    status.size == file.size, status.modified == file.modified
                else {
                    let name =
                        file.path == picture.path ? "it" : "\(file.path), which stands for it,"
                    throw FileError(
                        reason: "\(name) has changed since it was indexed: run clip index again")
                }
            }
            let (a, b) = (
                try FileStatus(path: picture.path.bytes), try FileStatus(path: other.path.bytes)
            )
            guard (a.device, a.inode) != (b.device, b.inode) else {
                throw FileError(reason: "it is the same file as \(other.path)")
            }
            switch action {
            case .delete: try removeFile(picture.path.bytes)
            case .move(let target):
                let prefix = folder.bytes.count + (folder.bytes.last == UInt8(ascii: "/") ? 0 : 1)
                let path = target.appending(picture.path.bytes.dropFirst(prefix))
                try makeFolder(Array(path.bytes.prefix(through: path.lastSlash)))
                guard (try? FileStatus(path: path.bytes)) == nil else {
                    throw FileError(reason: "\(path) is there already")
                }
                try renameFile(picture.path.bytes, to: path.bytes)
            }
        } catch {
            throw .unwritableFile(path: picture.path.description, reason: error.reason)
        }
    }
}

extension FilePath {
    /// The place of the last slash; there must be one.
    fileprivate var lastSlash: Int { bytes.count - lastComponent.count - 1 }
}
