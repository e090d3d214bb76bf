/// The reasons for which a file is not moved, deleted or put back.
package enum RemovalError: Error, Equatable, Sendable {
    /// An image stays because a file, itself or the duplicate that is kept, is not as it was
    /// indexed.
    case changed(path: FilePath, file: FilePath)
    /// An image is not touched.
    case refused(path: FilePath, reason: String)
    /// Something that was begun failed.
    case failed(path: FilePath, verb: String, reason: String)
    /// The log cannot be read or written.
    case unusableLog(path: FilePath, reason: String)
}

extension RemovalError: CustomStringConvertible {
    /// One line for a person.
    package var description: String {
        switch self {
        case .changed(let path, let file) where path == file:
            "\(path) has changed since it was indexed and stays: run clip index again"
        case .changed(let path, let file):
            """
            \(path) was not removed: \(file), the duplicate to keep, has changed since it was indexed; \
            run clip index again
            """
        case .refused(let path, let reason): "\(path) is left alone: \(reason)"
        case .failed(let path, let verb, let reason): "cannot \(verb) \(path): \(reason)"
        case .unusableLog(let path, let reason): "cannot use the log \(path): \(reason)"
        }
    }
}
