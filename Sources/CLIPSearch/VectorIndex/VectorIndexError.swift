internal import Files

/// An error of a `VectorIndex`.
///
/// ```swift
/// do {
///     _ = try VectorIndex(at: "products.index", dimension: 512)
/// } catch .busy(let path) {
///     print("another process writes \(path)")
/// }
/// ```
@nonexhaustive
public enum VectorIndexError: Error, Hashable, Sendable {
    /// There is no index at the path.
    case missing(path: String)
    /// The folder is not that of a `VectorIndex`: it has the files of a `FolderIndex`.
    case notAnIndex(path: String)
    /// The index cannot be read or written.
    case unusable(path: String, reason: String)
    /// The content of the index does not match its checksums.
    case damaged(path: String, reason: String)
    /// Another process, or another `VectorIndex` of this one, has the index open for writing.
    case busy(path: String)
    /// The index was opened for reading and cannot be changed.
    case readOnly(path: String)
    /// The vectors of the index have another number of dimensions than the caller expects.
    case otherDimension(path: String, expected: Int, found: Int)
    /// A vector has the wrong dimension, is zero, or contains NaN or infinity.
    case invalidVector(VectorError)
    /// The number of ids differs from the number of vectors.
    case differentCounts(ids: Int, vectors: Int)
}

extension VectorIndexError {
    init(_ error: FileError, path: String) {
        self =
            error.isBusy
            ? .busy(path: path)
            : error.isDamage
                ? .damaged(path: path, reason: error.reason)
                : .unusable(path: path, reason: error.reason)
    }
}

extension VectorIndexError: CustomStringConvertible {
    /// The error as one line of English.
    public var description: String {
        switch self {
        case .missing(let path): "there is no index at \(path)"
        case .notAnIndex(let path): "\(path) is the index of a folder of images, not a vector index"
        case .unusable(let path, let reason): "cannot use the index \(path): \(reason)"
        case .damaged(let path, let reason): "the index \(path) is damaged: \(reason)"
        case .busy(let path): "the index \(path) is already open for writing"
        case .readOnly(let path): "the index \(path) was opened for reading only"
        case .otherDimension(let path, let expected, let found):
            "expected vectors of \(expected) dimensions in the index \(path), found \(found)"
        case .invalidVector(let error): "\(error)"
        case .differentCounts(let ids, let vectors):
            "expected \(vectors) ids, one for each vector, found \(ids)"
        }
    }
}
