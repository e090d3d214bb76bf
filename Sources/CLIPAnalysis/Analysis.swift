internal import CLIP
internal import Tensors

/// An analysis: a structure of options that is run on vectors and returns a result.
///
/// The synchronous versions of `run` block the calling thread; the asynchronous one suspends its
/// task.
///
/// ```swift
/// let clusters = try SphericalKMeans(clusters: 20).run(on: embeddings)
/// let map = try TSNE().run(on: embeddings) { share in
///     print("\(Int(100 * share)) %")
///     return true
/// }
/// ```
///
/// The same input gives the same result, to the bit, on any number of threads of one machine.
public protocol Analysis: Sendable {
    /// The data that the analysis needs: `Embeddings`, or a structure of several.
    associatedtype Input: Sendable
    /// The outcome of the analysis.
    associatedtype Result: Codable, Hashable, Sendable

    /// Runs the analysis and reports its progress.
    ///
    /// - Parameters:
    ///   - input: The vectors. Only their directions matter, unless the analysis documents
    ///     otherwise.
    ///   - progress: A function that is called from time to time, on the calling thread, with the
    ///     fraction of the work done, 0...1; it returns false to stop the analysis.
    /// - Returns: The outcome of the analysis.
    /// - Throws: `AnalysisError` if the input or an option cannot be used; `.cancelled` if
    ///   `progress` returned false.
    func run(on input: Input, progress: (Double) -> Bool) throws(AnalysisError) -> Result
}

extension Analysis {
    /// Runs the analysis without progress reports.
    ///
    /// - Parameter input: The vectors, as for `run(on:progress:)`.
    /// - Returns: The outcome of the analysis.
    /// - Throws: `AnalysisError` if the input or an option cannot be used.
    public func run(on input: Input) throws(AnalysisError) -> Result {
        try run(on: input) { _ in true }
    }

    /// Runs the analysis while the task is suspended.
    ///
    /// ```swift
    /// let map = try await TSNE().run(on: embeddings)
    /// ```
    ///
    /// - Parameters:
    ///   - input: The vectors, as for the synchronous version.
    ///   - progress: A function that is called from time to time, on the computing thread, with
    ///     the fraction of the work done, 0...1; it returns false to stop the analysis.
    /// - Returns: The outcome of the analysis.
    /// - Throws: `CancellationError` if the task is cancelled, at the end of the current step,
    ///   which may take long for many vectors; `AnalysisError`; and `CLIPError.noThread`.
    public func run(
        on input: Input, progress: @escaping @Sendable (Double) -> Bool = { _ in true }
    ) async throws -> Result {
        try await analysisThreads.run { cancellation in
            do throws(AnalysisError) {
                return try run(on: input) { progress($0) && !cancellation.isCancelled }
            } catch {
                if case .cancelled = error { try cancellation.check() }
                throw error
            }
        }
    }
}

/// The threads that run asynchronous analyses, each of which uses several cores.
private let analysisThreads = CallThreads(atMost: availableCores())

/// Reports the fraction of the work that is done.
///
/// - Throws: `AnalysisError.cancelled` if `progress` returns false.
func report(_ share: Double, to progress: (Double) -> Bool) throws(AnalysisError) {
    guard progress(share) else { throw .cancelled }
}
