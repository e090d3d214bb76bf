internal import Files
internal import NIOCore
internal import NIOHTTP1

/// Answers the requests of connections with endpoints.
final class HTTPService: Sendable {
    /// A connection and the requests that arrive on it.
    struct Client: Sendable {
        let connection: Connection
        let channel: NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>

        /// Prepares the channel of a new connection, on its event loop.
        init(_ channel: any Channel, requestTimeout: Int) throws {
            connection = Connection(channel)
            try channel.pipeline.syncOperations.addHandler(
                ArrivalHandler(connection, seconds: requestTimeout))
            try channel.pipeline.syncOperations.configureHTTPServerPipeline()
            self.channel = try NIOAsyncChannel(wrappingChannelSynchronously: channel)
        }
    }

    private let endpoints: [Endpoint]
    private let services: Services
    private let access: AccessControl
    private let log: AccessLog
    private let connections: Connections
    private let budget: BodyBudget
    private var options: ServerOptions { services.options }

    init(
        _ endpoints: [Endpoint], _ services: Services, _ log: AccessLog, _ connections: Connections
    ) {
        (self.endpoints, self.services, self.log) = (endpoints, services, log)
        self.connections = connections
        access = AccessControl(services.options)
        // Enough for some of the largest bodies, and for very many of ordinary size.
        budget = BodyBudget(limit: 4 * services.options.bodyLimit)
    }

    /// Serves a connection until the client or the server closes it.
    func serve(_ client: Client) async {
        let connection = client.connection
        let isAdded = connections.add(connection)
        defer { connections.remove(connection) }
        // The connection ends in any case; an error says that the client has closed it.
        try? await client.channel.executeThenClose { inbound, outbound in
            guard isAdded else { return }
            var parts = inbound.makeAsyncIterator()
            connection.becomeIdle(for: options.idleTimeout)
            while let part = try await parts.next() {
                guard case .head(let head) = part else { continue }
                connection.becomeBusy()
                connection.setDeadline(options.requestTimeout)
                let goesOn = try await exchange(head, &parts, outbound, connection)
                guard goesOn else { return }
                connection.becomeIdle(for: options.idleTimeout)
                if connections.isStopping { return }
            }
        }
        connection.setDeadline(nil)
    }

    /// Receives the rest of a request and answers it.
    ///
    /// - Returns: True if the connection may be used for further requests.
    private func exchange(
        _ head: HTTPRequestHead, _ parts: inout Exchange.Parts, _ writer: Exchange.Writer,
        _ connection: Connection
    ) async throws -> Bool {
        let started = ContinuousClock.now
        var exchange = Exchange(head, writer)
        defer { budget.giveBack(exchange.received) }
        var route = Route(request: ServerRequest(method: "\(head.method)", path: "/"))
        var response: ServerResponse
        do {
            try find(&route, head)
            var request = route.request
            guard
                let body = try await exchange.body(
                    &parts, limit: options.bodyLimit, budget: budget)
            else { return false }
            request.body = body
            let (complete, found) = (request, route)
            connection.setDeadline(nil)
            guard let answer = await connection.run({ await self.answer(complete, found) }) else {
                log(route, nil, exchange.received, started, connection)
                return false
            }
            response = answer
        } catch let error as RequestError {
            services.metrics.countFailure(error.code)
            response = error.response(route.shape)
        }
        return try await finish(&exchange, &parts, response, route, started, connection)
    }

    /// Sends a response, and drops the rest of a request that was refused early.
    private func finish(
        _ exchange: inout Exchange, _ parts: inout Exchange.Parts, _ answer: ServerResponse,
        _ route: Route, _ started: ContinuousClock.Instant, _ connection: Connection
    ) async throws -> Bool {
        var response = answer
        response.headers += access.corsHeaders(origin: route.request.header("Origin"))
        let closes =
            !exchange.isComplete || !exchange.head.isKeepAlive || connections.isStopping
        connection.setDeadline(options.requestTimeout)
        try await exchange.send(
            response, closes: closes, date: HTTPDate.text(ofSecondsSince1970: Int(unixTime())))
        log(route, response, exchange.received, started, connection)
        if !exchange.isComplete {
            connection.setDeadline(5)
            try await exchange.drain(&parts, limit: 4 * options.bodyLimit)
        }
        return !closes
    }

    // MARK: routes

    /// A request without its body, and the endpoint that answers it.
    private struct Route: Sendable {
        var request: ServerRequest
        var endpoint: Endpoint?
        /// The methods of the endpoints with the path of the request.
        var methods: [String] = []
        /// The response to a preflight request of an allowed origin; nil for other requests.
        var preflight: ServerResponse?
        /// True if the path is the base path without the slash at its end.
        var isBasePath = false
        var allowedMethods: [String] { Set(methods).sorted() + ["OPTIONS"] }
        var shape: Endpoint.ErrorShape { endpoint?.errors ?? .openAI }
    }

    /// Finds the endpoint for a request and checks whether the client may use it.
    ///
    /// If the check fails, `route` has the endpoint whose clients get the error.
    private func find(_ route: inout Route, _ head: HTTPRequestHead) throws(RequestError) {
        route.request.headers = head.headers.map { (name: $0.name, value: $0.value) }
        let target = try RequestTarget(head.uri, basePath: options.basePath)
        (route.request.path, route.request.query) = (target.path, target.query)
        let method = head.method == .HEAD ? "GET" : "\(head.method)"
        let found = endpoints.filter { $0.matches(target.path) }
        route.endpoint = found.first { $0.method == method }
        route.methods = found.map(\.method)
        // Preflight requests have no API key, and their origin need not be the server's.
        route.preflight = access.preflight(
            method: route.request.method, headers: route.request.headers,
            methods: route.allowedMethods)
        if route.preflight != nil { return }
        route.isBasePath =
            !options.basePath.isEmpty && head.uri.prefix { $0 != "?" } == options.basePath
        try access.check(
            method: route.request.method, path: target.path, headers: route.request.headers,
            isOpen: route.endpoint?.isOpen ?? false)
    }

    /// Returns the response to a complete request; nil if the client has gone away.
    private func answer(_ request: ServerRequest, _ route: Route) async -> ServerResponse? {
        do {
            if let preflight = route.preflight { return preflight }
            if route.isBasePath, route.endpoint != nil {
                // The page's own addresses are relative to the slash.
                var response = ServerResponse(status: 308)
                response.headers = [("Location", options.basePath + "/")]
                return response
            }
            guard let endpoint = route.endpoint else { return try withoutEndpoint(request, route) }
            return try await endpoint.handle(request, services)
        } catch is CancellationError {
            return nil
        } catch let error as RequestError {
            services.metrics.countFailure(error.code)
            return error.response(route.shape)
        } catch {
            services.metrics.countFailure("internal")
            return RequestError(500, "internal", "the server failed: \(error)")
                .response(route.shape)
        }
    }

    private func withoutEndpoint(
        _ request: ServerRequest, _ route: Route
    ) throws(RequestError) -> ServerResponse {
        guard !route.methods.isEmpty else {
            throw RequestError(404, "not_found", "there is no such path on this server")
        }
        let methods = route.allowedMethods
        if request.method == "OPTIONS" {
            var response = ServerResponse(status: 204)
            response.headers = [("Allow", methods.joined(separator: ", "))]
            return response
        }
        var response = RequestError(
            405, "method_not_allowed",
            "expected the method \(methods.joined(separator: " or ")) for this path"
        ).response(route.shape)
        response.headers.append(("Allow", methods.joined(separator: ", ")))
        return response
    }

    private func log(
        _ route: Route, _ response: ServerResponse?, _ received: Int,
        _ started: ContinuousClock.Instant, _ connection: Connection
    ) {
        let duration = (ContinuousClock.now - started) / .seconds(1)
        // 499 is the usual status for clients that went away.
        let status = response?.status ?? 499
        services.metrics.countRequest(
            route.endpoint?.path ?? "other", status: status, seconds: duration)
        log.record(
            AccessLog.Entry(
                time: unixTime(), peer: connection.peer, method: route.request.method,
                path: route.request.path, status: status, bytesIn: received,
                bytesOut: response?.body.count ?? 0, seconds: duration,
                model: response?.work?.model, inputs: response?.work?.inputs))
    }
}
