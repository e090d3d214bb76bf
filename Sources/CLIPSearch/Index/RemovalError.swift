package import Files

/// The reason why a file is not moved, deleted or put back.
package enum RemovalError: Error, Equatable, Sendable {
    /// An image was not removed because `file`, the image itself or the duplicate to keep, has
    /// changed since it was indexed.
    case changed(path: FilePath, file: FilePath)
    /// An image was not removed, for a reason other than `changed`.
    case refused(path: FilePath, reason: String)
    /// A step of moving, deleting or putting back a file failed.
    case failed(path: FilePath, Step, reason: String)
    /// The log cannot be read or written.
    case unusableLog(path: FilePath, reason: String)

    /// A step of moving, deleting or putting back a file.
    public enum Step: String, Sendable {
        case open, move, delete
        case putBack = "put back"
    }
}

extension RemovalError: CustomStringConvertible {
    /// The error as one line of English.
    package var description: String {
        switch self {
        case .changed(let path, let file) where path == file:
            "\(path) has changed since it was indexed, and was not removed"
        case .changed(let path, let file):
            """
            \(path) was not removed: \(file), the duplicate to keep, has changed since it was \
            indexed
            """
        case .refused(let path, let reason): "\(path) was not removed: \(reason)"
        case .failed(let path, let step, let reason): "cannot \(step.rawValue) \(path): \(reason)"
        case .unusableLog(let path, let reason): "cannot use the log \(path): \(reason)"
        }
    }
}
