internal import Files
internal import Tensors

/// An error in opening, searching or updating an index.
///
/// ```swift
/// do {
///     print(try FolderIndex(folder: "photos").count)
/// } catch .missing(let folder) {
///     print("\(folder) was not indexed yet")
/// }
/// ```
@nonexhaustive
public enum IndexError: Error, Hashable, Sendable {
    /// The folder has no index.
    case missing(folder: String)
    /// The index was created, but nothing has been stored in it yet.
    case empty(folder: String)
    /// The folder cannot be read: the indexed folder or, in a rebuild, a folder below it.
    case unreadableFolder(folder: String, reason: String)
    /// The index cannot be read or written.
    case unusable(folder: String, reason: String)
    /// The index has an unsupported format version.
    case otherVersion(folder: String)
    /// The files of the index do not match their checksums or each other.
    case damaged(folder: String, reason: String)
    /// The embeddings of the given model cannot be compared with those of the index.
    case otherModel(folder: String, stored: String, given: String)
    /// The images of the index were decoded with other options than the given ones.
    case otherDecoding(folder: String, stored: IndexedDecoding, given: IndexedDecoding)
    /// Another process, or another `IndexUpdate` of this one, is updating the index.
    case busy(folder: String)
    /// The query has the wrong dimension, is zero, or contains NaN or infinity.
    case invalidVector(VectorError)
}

extension IndexError {
    /// True if the files of the index are damaged.
    var isDamage: Bool { if case .damaged = self { true } else { false } }

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
    /// The error as one line of English.
    public var description: String {
        switch self {
        case .missing(let folder): "\(folder) has no index"
        case .empty(let folder):
            "the index of \(folder) was created, but nothing is stored in it yet"
        case .unreadableFolder(let folder, let reason):
            "cannot read the folder \(folder): \(reason)"
        case .unusable(let folder, let reason): "cannot use the index of \(folder): \(reason)"
        case .otherVersion(let folder): "the index of \(folder) has an unsupported format version"
        case .damaged(let folder, let reason): "the index of \(folder) is damaged: \(reason)"
        case .otherModel(let folder, let stored, let given):
            """
            the index of \(folder) was made with \(stored), and vectors of \(given) cannot be \
            compared with its vectors
            """
        case .otherDecoding(let folder, let stored, let given):
            """
            the index of \(folder) was made with \(stored.difference(from: given)), and vectors \
            made with \(given.difference(from: stored)) cannot be compared with its vectors
            """
        case .busy(let folder):
            "another process is updating the index of \(folder); wait for it to finish"
        case .invalidVector(let error): "\(error)"
        }
    }
}
