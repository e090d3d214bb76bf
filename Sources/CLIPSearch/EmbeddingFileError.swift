/// An error in writing the files of embeddings; see `EmbeddingWriter`.
///
/// ```swift
/// do {
///     try embeddings.write(npy: "photos.npy")
/// } catch {
///     print(error)  // cannot write photos.npy: No space left on device
/// }
/// ```
@nonexhaustive
public enum EmbeddingFileError: Error, Hashable, Sendable {
    /// A file cannot be written.
    case unwritable(path: String, reason: String)
    /// An earlier job has not finished the file; `job` is the path of the `.job` file that
    /// describes that job.
    case unfinished(path: String, job: String)
    /// An unfinished job with another model or other options wrote the file; `job` is the path of
    /// the `.job` file that describes that job.
    case otherJob(path: String, job: String)
    /// A vector has another number of dimensions than the vectors in the file.
    case wrongDimension(expected: Int, found: Int)
}

extension EmbeddingFileError: CustomStringConvertible {
    /// The error as one line of English.
    public var description: String {
        switch self {
        case .unwritable(let path, let reason): "cannot write \(path): \(reason)"
        case .unfinished(let path, let job):
            "cannot write \(path): an earlier job has not finished it (see \(job))"
        case .otherJob(let path, let job):
            """
            cannot write \(path): an unfinished job with another model or other options wrote it \
            (see \(job))
            """
        case .wrongDimension(let expected, let found):
            "expected a vector of \(expected) dimensions, found \(found)"
        }
    }
}
