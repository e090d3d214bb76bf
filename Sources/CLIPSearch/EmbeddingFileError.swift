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
    /// An earlier job began the file and did not finish it; `job` is the file that describes it.
    case unfinished(path: String, job: String)
    /// A job with another model or other options began the file; `job` is the file that describes
    /// it.
    case otherJob(path: String, job: String)
    /// A vector has another dimension than the file.
    case wrongDimension(expected: Int, found: Int)
}

extension EmbeddingFileError: CustomStringConvertible {
    /// The error as one line of English.
    public var description: String {
        switch self {
        case .unwritable(let path, let reason): "cannot write \(path): \(reason)"
        case .unfinished(let path, let job):
            "cannot write \(path): it was begun and not finished, as \(job) states"
        case .otherJob(let path, let job):
            """
            cannot write \(path): it was begun with another model or other options, which \(job) \
            states
            """
        case .wrongDimension(let expected, let found):
            "expected a vector of \(expected) dimensions, found \(found)"
        }
    }
}
