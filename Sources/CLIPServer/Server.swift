public import CLIP
internal import CLIPSearch
internal import Files
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import Synchronization

/// An HTTP server that embeds, classifies and searches with CLIP models.
///
/// ```swift
/// var options = ServerOptions()
/// options.models = ["ViT-B/32"]
/// let server = try Server(options: options) { name, _ in try CLIPModel(path: name) }
/// try await server.run { address, port in print("http://\(address):\(port)") }
/// ```
///
/// It answers the requests of OpenAI's embedding clients, immich, Weaviate and Text Embeddings
/// Inference, and its own for zero-shot classification and search, and has a web page. The texts
/// and images of concurrent requests are encoded in common batches, each vector with the same bits
/// as alone.
public final class Server: Sendable {
    private enum Phase { case ready, running, stopping, aborting }
    private struct State {
        var phase = Phase.ready
        var listener: (any Channel)?
    }

    private let options: ServerOptions
    private let services: Services
    private let service: HTTPService
    private let connections: Connections
    private let state = Mutex(State())

    /// Makes a server and opens its indexes; it does not listen yet.
    ///
    /// - Parameters:
    ///   - options: The settings.
    ///   - load: Loads a model by name, on a thread of its own; the second argument is true if it
    ///     may be downloaded. Names are those of `options.models` or of the registry.
    ///   - installed: Returns the names of the installed models of the registry.
    ///   - defaultModel: The model for requests that name none if `options.models` is empty; nil
    ///     for none.
    ///   - log: Writes a line of the access log; called from several threads.
    ///   - report: Shows the operator a reason that clients do not get, such as that of a model
    ///     that cannot be loaded; called from several threads.
    /// - Throws: `ServerError.unusableIndex`.
    public convenience init(
        options: ServerOptions,
        load: @escaping @Sendable (_ name: String, _ mayFetch: Bool) throws -> CLIPModel,
        installed: @escaping @Sendable () -> [String] = { [] }, defaultModel: String? = nil,
        log: @escaping @Sendable (String) -> Void = { _ in },
        report: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(ServerError) {
        try self.init(
            options: options, endpoints: Endpoints.all, load: load, installed: installed,
            defaultModel: defaultModel, log: log, report: report)
    }

    init(
        options: ServerOptions, endpoints: [Endpoint],
        load: @escaping @Sendable (_ name: String, _ mayFetch: Bool) throws -> CLIPModel,
        installed: @escaping @Sendable () -> [String] = { [] }, defaultModel: String? = nil,
        log: @escaping @Sendable (String) -> Void = { _ in },
        report: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(ServerError) {
        var options = options
        options.basePath = ServerOptions.normalized(basePath: options.basePath)
        self.options = options
        let indexes: IndexPool
        do throws(IndexError) {
            indexes = try IndexPool(
                folders: options.indexes, threads: options.threads, report: report)
        } catch {
            throw .unusableIndex("\(error)")
        }
        let metrics = Metrics(endpoints: Set(endpoints.map(\.path)))
        services = Services(
            options: options,
            models: ModelPool(
                options: options, metrics: metrics, load: load, installed: installed,
                defaultModel: { defaultModel }, report: report),
            indexes: indexes, metrics: metrics)
        connections = Connections(limit: options.connectionLimit)
        service = HTTPService(
            endpoints, services, AccessLog(options.logFormat, write: log), connections,
            report: report)
        // Weak, to avoid a reference cycle: both hold the metrics.
        metrics.measure { [weak models = services.models, weak indexes, weak connections] in
            Self.gauges(models, indexes, connections)
        }
    }

    /// Returns the values of the gauges in the metrics.
    private static func gauges(
        _ models: ModelPool?, _ indexes: IndexPool?, _ connections: Connections?
    ) -> Metrics.Gauges {
        let loaded = models?.gauges ?? []
        return Metrics.Gauges(
            queues: loaded.flatMap { model in
                [
                    Metrics.Gauges.Queue(
                        model: model.name, tower: .image, length: model.waitingImages),
                    Metrics.Gauges.Queue(
                        model: model.name, tower: .text, length: model.waitingTexts),
                ]
            },
            models: loaded.map { Metrics.Gauges.Model(name: $0.name, bytes: $0.byteCount) },
            indexes: indexes?.gauges ?? [], connections: connections?.count ?? 0)
    }

    /// Listens and answers requests until `stop()` is called and the accepted requests are
    /// answered.
    ///
    /// - Parameter started: Called once with the address and port, when the server listens.
    /// - Throws: `ServerError` if the server cannot start.
    public func run(
        started: @escaping @Sendable (_ address: String, _ port: Int) -> Void = { _, _ in }
    ) async throws {
        try await run(on: .singleton, started)
    }

    /// Runs the server and blocks the calling thread; see `run(started:)`.
    public func runAndWait(
        started: @escaping @Sendable (_ address: String, _ port: Int) -> Void = { _, _ in }
    ) throws {
        let done = MultiThreadedEventLoopGroup.singleton.any().makePromise(of: Void.self)
        done.completeWithTask { try await self.run(started: started) }
        try done.futureResult.wait()
    }

    /// Stops the server: it accepts no more requests, and ends when those it has are answered, or
    /// after the time that `ServerOptions.grace` allows.
    ///
    /// A second call ends it at once.
    public func stop() {
        let (phase, listener) = state.withLock { state in
            switch state.phase {
            case .ready, .running: state.phase = .stopping
            case .stopping, .aborting: state.phase = .aborting
            }
            return (state.phase, state.listener)
        }
        listener?.close(promise: nil)
        if phase == .aborting { connections.abort() } else { connections.stop() }
    }

    private func run(
        on group: MultiThreadedEventLoopGroup, _ started: @Sendable (String, Int) -> Void
    ) async throws {
        let listener: NIOAsyncChannel<HTTPService.Client, Never>
        do {
            listener = try await Self.listen(options, on: group)
        } catch {
            throw ServerError.cannotListen(
                host: options.host, port: options.port, reason: Self.reason(error))
        }
        do {
            if options.preloads { try await services.models.preload() }
        } catch {
            try? await listener.channel.close()
            throw ServerError.unusableModel((error as? RequestError)?.message ?? "\(error)")
        }
        let isStopped = state.withLock { state in
            state.listener = listener.channel
            if state.phase == .ready { state.phase = .running }
            return state.phase != .running
        }
        if isStopped { listener.channel.close(promise: nil) }
        let address = listener.channel.localAddress
        started(address?.ipAddress ?? options.host, address?.port ?? options.port)

        let failure = await withTaskGroup { group in
            group.addTask { await self.services.models.run() }
            defer { group.cancelAll() }
            return await self.serve(listener)
        }
        services.models.close()
        if let failure { throw failure }
    }

    /// Serves connections until the listener is closed and all of them have ended.
    ///
    /// - Returns: The error that closed the listener; nil if `stop()` did.
    private func serve(
        _ listener: NIOAsyncChannel<HTTPService.Client, Never>
    ) async -> ServerError? {
        let timer = Mutex<Task<Void, Never>?>(nil)
        let failure = await withDiscardingTaskGroup { group -> ServerError? in
            var failure: ServerError?
            do {
                try await listener.executeThenClose { clients in
                    for try await client in clients {
                        group.addTask { await self.service.serve(client) }
                    }
                }
            } catch {
                let isStopped = state.withLock { $0.phase != .running }
                failure =
                    isStopped
                    ? nil
                    : .cannotListen(
                        host: options.host, port: options.port, reason: Self.reason(error))
            }
            connections.stop()
            timer.withLock { $0 = Task { await self.abortAfterGrace() } }
            return failure
        }
        timer.withLock { $0?.cancel() }
        return failure
    }

    private func abortAfterGrace() async {
        guard (try? await Task.sleep(for: .seconds(options.grace))) != nil else { return }
        connections.abort()
    }

    private static func listen(
        _ options: ServerOptions, on group: MultiThreadedEventLoopGroup
    ) async throws -> NIOAsyncChannel<HTTPService.Client, Never> {
        try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .bind(host: options.host, port: options.port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try HTTPService.Client(channel, requestTimeout: options.requestTimeout)
                }
            }
    }

    /// Returns the reason of an error of a socket in words.
    private static func reason(_ error: any Error) -> String {
        switch error {
        case let error as IOError where error.errnoCode != 0:
            FileError.of(code: error.errnoCode).reason
        default: "\(error)"
        }
    }
}
