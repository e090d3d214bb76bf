internal import CLIP
internal import CLIPHub
internal import Synchronization

/// The models of a server, which are loaded when they are first used.
final class ModelPool: Sendable {
    /// The purpose for which a request needs a model.
    enum Use: Sendable {
        /// Embeddings, which the client may keep: the demonstration model only if it was named.
        case embedding
        /// An answer that is only shown, such as the scores of labels.
        case answer
    }

    /// A function that loads a model by name; it may block, and download if `mayFetch` is true.
    typealias Loader = @Sendable (_ name: String, _ mayFetch: Bool) throws -> CLIPModel

    private typealias Waiter = CheckedContinuation<ServedModel, any Error>

    private struct Loaded {
        var model: ServedModel
        let byteCount: Int
        var lastUse: ContinuousClock.Instant
    }

    private struct State {
        /// The loaded models by key.
        var loaded: [String: Loaded] = [:]
        /// The requests that wait for models that are being loaded, by key and number.
        var loading: [String: [Int: Waiter]] = [:]
        var nextNumber = 0
        var isClosed = false

        var byteCount: Int { loaded.values.reduce(0) { $0 + $1.byteCount } }

        /// Returns true if only the pool holds a loaded model: no request uses it.
        ///
        /// Requests get models only while the lock is held, so the answer stays true until it is
        /// released.
        mutating func isIdle(_ key: String) -> Bool {
            // The reference is moved out and back, because a copy would count as another holder.
            guard var entry = loaded.removeValue(forKey: key) else { return false }
            let isIdle = isKnownUniquelyReferenced(&entry.model)
            loaded[key] = entry
            return isIdle
        }
    }

    private let options: ServerOptions
    private let metrics: Metrics
    private let load: Loader
    private let installed: InstalledModels
    private let defaultModel: @Sendable () -> String?
    private let report: @Sendable (String) -> Void
    private let modelNames: ModelNames
    private let state = Mutex(State())
    /// The threads that load installed models.
    private let loaders = CallThreads(atMost: 2)
    /// The thread that downloads models: installed ones need not wait for it.
    private let fetcher = CallThreads(atMost: 1)

    /// Makes a pool without loaded models.
    ///
    /// - Parameters:
    ///   - options: The settings of the server.
    ///   - metrics: The metrics in which the work of all models is recorded.
    ///   - load: A function that loads a model. Threads of the pool call it with names of the
    ///     options, of the registry and of `installed`, never with the text of a request.
    ///   - installed: A function that returns the names of all installed models: names of the
    ///     registry, or repositories.
    ///   - defaultModel: A function that returns the name of the model for requests without one, if
    ///     `options.models` is empty; nil if there is none.
    ///   - report: A function that shows the reason why a model cannot be loaded to the operator of
    ///     the server. Clients do not get it, because it may contain paths.
    init(
        options: ServerOptions, metrics: Metrics, load: @escaping Loader,
        installed: @escaping @Sendable () -> [String],
        defaultModel: @escaping @Sendable () -> String? = { nil },
        report: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        (self.options, self.metrics, self.load) = (options, metrics, load)
        self.installed = InstalledModels(installed)
        (self.defaultModel, self.report) = (defaultModel, report)
        modelNames = ModelNames(served: options.models)
    }

    /// The names of the models that requests may use at once: those of `ServerOptions.models` and
    /// the installed ones.
    var names: [String] {
        var keys = Set(modelNames.served.map(\.key))
        var names = modelNames.served.map(\.name)
        for name in installed.names() {
            let model = ModelNames.known(name)
            if keys.insert(model?.key ?? name).inserted { names.append(model?.name ?? name) }
        }
        return names
    }

    /// Returns a model by the name in a request; the first one of `ServerOptions.models` if nil,
    /// else the default.
    ///
    /// Loads it, or waits while another request does. A model is in use while a request holds it.
    ///
    /// - Throws: `RequestError` with status 404 for unknown or missing models, 503 for models that
    ///   cannot be loaded; `CancellationError`.
    func model(named name: String?, for use: Use) async throws -> ServedModel {
        try await model(resolve(name, for: use))
    }

    /// Returns a model that a name means; see `model(named:for:)`.
    func model(_ model: ModelNames.Model) async throws -> ServedModel {
        let number = state.withLock { state in
            state.nextNumber += 1
            return state.nextNumber
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { find(model, as: number, $0) }
        } onCancel: {
            let waiter = state.withLock { $0.loading[model.key]?.removeValue(forKey: number) }
            waiter?.resume(throwing: CancellationError())
        }
    }

    /// Returns a model if it is loaded, which is then in use as long as the caller holds it.
    func loaded(_ model: ModelNames.Model) -> ServedModel? {
        state.withLock { state in
            state.loaded[model.key]?.lastUse = .now
            return state.loaded[model.key]?.model
        }
    }

    /// Loads and warms the models of `ServerOptions.models`, or else the default, if `preloads` is
    /// true.
    ///
    /// - Throws: The first error, as `model(named:for:)`.
    func preload() async throws {
        guard options.preloads else { return }
        for model in modelNames.served {
            try await self.model(named: model.loadName, for: .embedding).warm()
        }
        if modelNames.served.isEmpty, defaultModel() != nil {
            try await model(named: nil, for: .embedding).warm()
        }
    }

    // MARK: Dropping

    /// Drops the models that no request has used for `ServerOptions.timeToLive` seconds.
    func sweep(now: ContinuousClock.Instant = .now) {
        guard options.timeToLive > 0 else { return }
        let dropped = state.withLock { state -> [ServedModel] in
            var dropped: [ServedModel] = []
            for key in Array(state.loaded.keys) {
                if !state.isIdle(key) {
                    state.loaded[key]?.lastUse = now
                } else if let entry = state.loaded[key],
                    now - entry.lastUse >= .seconds(options.timeToLive)
                {
                    state.loaded[key] = nil
                    dropped.append(entry.model)
                }
            }
            return dropped
        }
        // Its memory is freed here, without the lock.
        _ = dropped
    }

    /// Calls `sweep` from time to time, until the task is cancelled.
    func run() async {
        let seconds =
            options.timeToLive > 0 ? min(max(options.timeToLive / 10, 1), 10) : 86_400
        while !Task.isCancelled {
            guard (try? await Task.sleep(for: .seconds(seconds))) != nil else { return }
            sweep()
        }
    }

    /// Fails the requests that wait for a model or in a queue, and all later ones, with status 503.
    func close() {
        let (waiters, models) = state.withLock { state -> ([Waiter], [ServedModel]) in
            state.isClosed = true
            let waiters = state.loading.values.flatMap(\.values)
            for key in state.loading.keys { state.loading[key] = [:] }
            return (waiters, state.loaded.values.map(\.model))
        }
        for waiter in waiters { waiter.resume(throwing: RequestError.shuttingDown) }
        for model in models { model.close() }
    }

    // MARK: Gauges

    /// The measurements of a loaded model.
    struct Gauge: Sendable, Equatable {
        let name: String
        /// The size of the weights.
        let byteCount: Int
        /// The numbers of images and texts that wait.
        let waitingImages: Int
        let waitingTexts: Int
    }

    /// The measurements of all loaded models, in the order of their names.
    var gauges: [Gauge] {
        let loaded = state.withLock { Array($0.loaded.values) }
        return loaded.map { entry in
            Gauge(
                name: entry.model.name, byteCount: entry.byteCount,
                waitingImages: entry.model.waitingImages, waitingTexts: entry.model.waitingTexts)
        }.sorted { $0.name < $1.name }
    }
}

// MARK: Names

extension ModelPool {
    /// Returns the model that a request means.
    func resolve(_ name: String?, for use: Use) throws -> ModelNames.Model {
        guard let name else {
            if let first = modelNames.served.first { return first }
            if let name = defaultModel() { return ModelNames.trusted(name) }
            if use == .answer, let name = options.demonstrationModel {
                return ModelNames.trusted(name)
            }
            throw RequestError.unknownModel(
                "the request names no model, and the server has no default model")
        }
        if name == options.demonstrationModel,
            !modelNames.served.contains(where: { $0.name == name })
        {
            guard use == .answer || name == defaultModel() else {
                throw RequestError.unknownModel(
                    """
                    the model \(name) is for demonstrations: its embeddings are served only if the \
                    server was started with it
                    """)
            }
            return ModelNames.trusted(name)
        }
        guard let model = modelNames.model(name, installed: installed.names()) else {
            throw unknown(name)
        }
        let isReady =
            model.isServed || options.allowsFetching
            || state.withLock { $0.loaded[model.key] != nil } || isInstalled(model)
        guard isReady else { throw notInstalled(model) }
        return model
    }

    private func unknown(_ name: String) -> RequestError {
        guard name.utf8.count <= 200 else {
            return .unknownModel("unknown model: the name has \(name.utf8.count) bytes")
        }
        var similar = ModelNames.similar(to: name)
        let served = modelNames.served.map(\.name).filter { !similar.contains($0) }
        similar = Array((similar + (similar.isEmpty ? served : [])).prefix(3))
        let others = similar.isEmpty ? "" : "; similar names: \(similar.joined(separator: ", "))"
        return .unknownModel("unknown model: \(name)\(others)")
    }

    private func notInstalled(_ model: ModelNames.Model) -> RequestError {
        .unknownModel(
            """
            the model \(model.name) is not installed on the server: run clip pull \(model.name) \
            there, or start the server with --fetch
            """)
    }
}

// MARK: Loading

extension ModelPool {
    /// Resumes a request with its model, now if it is loaded, else when it is.
    private func find(_ model: ModelNames.Model, as number: Int, _ waiter: Waiter) {
        enum Next { case end(Result<ServedModel, any Error>), wait, load }
        let next = state.withLock { state -> Next in
            if state.isClosed { return .end(.failure(RequestError.shuttingDown)) }
            // Checked under the lock: a later cancellation finds the request in `loading`.
            if Task.isCancelled { return .end(.failure(CancellationError())) }
            if let entry = state.loaded[model.key] {
                state.loaded[model.key]?.lastUse = .now
                return .end(.success(entry.model))
            }
            let isLoading = state.loading[model.key] != nil
            state.loading[model.key, default: [:]][number] = waiter
            return isLoading ? .wait : .load
        }
        switch next {
        case .end(let result): waiter.resume(with: result)
        case .wait: break
        case .load: Task { await load(model) }
        }
    }

    /// Loads a model, and resumes all requests that wait for it.
    ///
    /// The task does not belong to a request, so that others get the model if that one ends.
    private func load(_ model: ModelNames.Model) async {
        let mayFetch = options.allowsFetching
        let isInstalled = !mayFetch || isInstalled(model)
        let load = load
        let loaded: Result<CLIPModel, any Error>
        do {
            loaded = .success(
                try await (isInstalled ? loaders : fetcher).run { _ in
                    let loaded = try load(model.loadName, mayFetch)
                    return try model.variant?.applied(to: loaded) ?? loaded
                })
        } catch {
            loaded = .failure(loadingError(error, of: model))
        }
        let (result, waiters, dropped) = state.withLock {
            state -> (Result<ServedModel, any Error>, [Waiter], [Loaded]) in
            var dropped: [Loaded] = []
            let result = Result { try admit(model, loaded.get(), &state, &dropped) }
            let waiters = state.loading.removeValue(forKey: model.key).map { Array($0.values) }
            return (result, waiters ?? [], dropped)
        }
        // Their memory is freed here, without the lock.
        _ = dropped
        for waiter in waiters { waiter.resume(with: result) }
    }

    private func isInstalled(_ model: ModelNames.Model) -> Bool {
        installed.names().contains { (ModelNames.known($0)?.key ?? $0) == model.key }
    }

    /// Adds a model to the loaded ones, after it has dropped others if there is too little memory.
    ///
    /// The dropped ones are appended to `dropped`. The size is known only now. Until its first use,
    /// a model takes hardly any memory: its weights are mapped from the file.
    private func admit(
        _ model: ModelNames.Model, _ loaded: CLIPModel, _ state: inout State,
        _ dropped: inout [Loaded]
    ) throws -> ServedModel {
        if state.isClosed { throw RequestError.shuttingDown }
        let (size, limit) = (loaded.weights.byteCount, options.memoryLimit)
        if limit > 0 {
            guard size <= limit else {
                throw RequestError(
                    503, "too_little_memory",
                    """
                    the model \(model.name) has \(size) bytes, more than the limit of \(limit) \
                    bytes for all models
                    """)
            }
            while state.byteCount > limit - size {
                let idle = Array(state.loaded.keys).filter { state.isIdle($0) }
                    .compactMap { key in state.loaded[key].map { (key, $0.lastUse) } }
                guard let oldest = idle.min(by: { $0.1 < $1.1 }) else {
                    throw RequestError(
                        503, "too_little_memory",
                        """
                        the model \(model.name) has \(size) bytes, and the models in use \
                        \(state.byteCount) of the limit of \(limit) bytes; try again later
                        """, retryAfter: 1)
                }
                if let entry = state.loaded.removeValue(forKey: oldest.0) { dropped.append(entry) }
            }
        }
        let served = ServedModel(
            name: model.name, model: loaded, options: options, metrics: metrics)
        state.loaded[model.key] = Loaded(model: served, byteCount: size, lastUse: .now)
        return served
    }

    /// Reports why a model cannot be loaded, and returns the error for clients.
    private func loadingError(_ error: any Error, of model: ModelNames.Model) -> RequestError {
        switch error {
        case HubError.notInstalled, HubError.offline: return notInstalled(model)
        case let error as RequestError: return error
        default:
            report("cannot load the model \(model.name): \(error)")
            return RequestError(
                503, "model_unavailable",
                "the model \(model.name) cannot be loaded; the log of the server has the reason")
        }
    }
}
