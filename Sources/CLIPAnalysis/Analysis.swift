internal import CLIP
internal import Tensors

/// An analysis: a structure of options that is run on vectors and returns a result.
///
/// Each analysis has this shape. The synchronous forms of `run` block the calling thread; the
/// asynchronous form suspends its task.
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

    /// Runs the analysis, and reports its progress.
    ///
    /// - Parameters:
    ///   - input: The vectors. Only their directions count, unless the analysis says otherwise.
    ///   - progress: Called on the calling thread now and then with the share that is done, 0...1;
    ///     false stops the analysis.
    /// - Returns: The outcome of the analysis.
    /// - Throws: `AnalysisError` if the input or an option cannot be used; `.cancelled` if
    ///   `progress` returned false.
    func run(on input: Input, progress: (Double) -> Bool) throws(AnalysisError) -> Result
}

extension Analysis {
    /// Runs the analysis to its end.
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
    ///   - input: The vectors, as for the synchronous form.
    ///   - progress: Called by the thread that computes, now and then, with the share that is done,
    ///     0...1; false stops the analysis.
    /// - Returns: The outcome of the analysis.
    /// - Throws: `CancellationError` after the task is cancelled, once the step in progress has
    ///   ended, which takes long for many vectors; `AnalysisError`, and `CLIPError.noThread`.
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

/// The threads of asynchronous calls, each of which uses several cores.
private let analysisThreads = CallThreads(atMost: availableCores())

/// Reports the share that is done.
///
/// - Throws: `AnalysisError.cancelled` if the caller wants no more.
func report(_ share: Double, to progress: (Double) -> Bool) throws(AnalysisError) {
    guard progress(share) else { throw .cancelled }
}
