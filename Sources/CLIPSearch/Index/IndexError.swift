internal import Tensors

/// What can be wrong with an index.
public enum IndexError: Error, Hashable, Sendable {
    /// There is no index in a folder.
    case missing(folder: String)
    /// The folder itself cannot be read.
    case unreadableFolder(folder: String, reason: String)
    /// An index cannot be read or written.
    case unusable(folder: String, reason: String)
    /// The files of an index hold what no update has written.
    case damaged(folder: String, reason: String)
    /// An index holds embeddings that the model's cannot be compared with.
    case otherModel(folder: String, stored: String, given: String)
    /// Another process updates the index.
    case busy(folder: String)
}

extension IndexError {
    init(_ error: FileError, folder: FilePath) {
        let folder = folder.description
        self =
            error.isBusy
            ? .busy(folder: folder)
            : error.isDamage
                ? .damaged(folder: folder, reason: error.reason)
                : .unusable(folder: folder, reason: error.reason)
    }
}

extension IndexError: CustomStringConvertible {
    /// One line for a person.
    public var description: String {
        switch self {
        case .missing(let folder):
            "\(folder) has no index: make one with clip index \(folder)"
        case .unreadableFolder(let folder, let reason):
            "cannot read the folder \(folder): \(reason)"
        case .unusable(let folder, let reason): "cannot use the index of \(folder): \(reason)"
        case .damaged(let folder, let reason):
            """
            the index of \(folder) is damaged: \(reason); run clip index --rebuild \(folder) to make it \
            anew
            """
        case .otherModel(let folder, let stored, let given):
            """
            the index of \(folder) was made with \(stored), and vectors of \(given) cannot be compared \
            with its vectors: leave --model and its options out, or run clip index --rebuild \(folder) \
            to make it anew with another model
            """
        case .busy(let folder): "another process updates the index of \(folder); wait for it"
        }
    }
}
