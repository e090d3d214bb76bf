/// What can be wrong with an index.
public enum IndexError: Error, Equatable, Sendable {
    /// There is no index in a folder.
    case missing(folder: FilePath)
    /// An index cannot be read or written.
    case unusable(folder: FilePath, reason: String)
    /// An index holds embeddings that the model's cannot be compared with.
    case otherModel(folder: FilePath, stored: String, given: String)
    /// Another process updates the index.
    case busy(folder: FilePath)
}

extension IndexError: CustomStringConvertible {
    /// One line for a person.
    public var description: String {
        switch self {
        case .missing(let folder):
            "\(folder) has no index: make one with clip index \(folder)"
        case .unusable(let folder, let reason): "cannot use the index of \(folder): \(reason)"
        case .otherModel(let folder, let stored, let given):
            """
            the index of \(folder) is of \(stored), which \(given) cannot be compared with: give that \
            model, or remove the index and make it anew
            """
        case .busy(let folder): "another process updates the index of \(folder); wait for it"
        }
    }
}
