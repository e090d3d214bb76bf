internal import CLIP

/// The parts of the server that endpoints use.
struct Services: Sendable {
    /// The size in bytes above which a body is parsed, and a response written, on another thread.
    static let largeSize = 64 << 10

    let options: ServerOptions
    let models: ModelPool
    let indexes: IndexPool
    let metrics: Metrics
    let images: ImageFetcher
    /// The threads that parse large bodies and write large responses.
    private let threads = CallThreads(atMost: 2)

    init(
        options: ServerOptions, models: ModelPool, indexes: IndexPool, metrics: Metrics,
        images: ImageFetcher? = nil
    ) {
        (self.options, self.models, self.indexes) = (options, models, indexes)
        self.metrics = metrics
        self.images = images ?? ImageFetcher(options)
    }

    /// Runs a function, on a thread of its own if it reads or writes more than `largeSize` bytes.
    ///
    /// Swift's cooperative threads are few, and all requests share them.
    ///
    /// - Parameters:
    ///   - size: The approximate number of bytes.
    ///   - body: The function.
    /// - Returns: The value of `body`.
    /// - Throws: The errors of `body`; for large sizes also `CLIPError.noThread` and
    ///   `CancellationError`.
    func offloaded<Value: Sendable>(
        _ size: Int, _ body: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        guard size > Self.largeSize else { return try body() }
        return try await threads.run { _ in try body() }
    }

    /// Writes a response with vectors, as `offloaded` does.
    func response(
        with vectors: [[Float]], model: String,
        _ body: @escaping @Sendable () -> ServerResponse
    ) async throws -> ServerResponse {
        // A number has up to 13 bytes with its comma.
        var response = try await offloaded(vectors.reduce(0) { $0 + 13 * $1.count }, body)
        response.work = (model, vectors.count)
        return response
    }
}
