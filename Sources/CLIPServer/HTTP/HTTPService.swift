internal import CLIP
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
            var limits = NIOHTTPDecoderLimitConfiguration()
            (limits.maxHeaderFieldSize, limits.maxHeaderListSize) = (1 << 16, 1 << 17)
            try channel.pipeline.syncOperations.configureHTTPServerPipeline(
                withEncoderConfiguration: .init(), withDecoderLimitConfiguration: limits)
            self.channel = try NIOAsyncChannel(wrappingChannelSynchronously: channel)
        }
    }

    private let endpoints: [Endpoint]
    private let services: Services
    private let access: AccessControl
    private let log: AccessLog
    private let connections: Connections
    /// The bytes of the bodies of requests, and of responses.
    private let received: BodyBudget
    private let sent = BodyBudget(limit: 1 << 28)
    /// Shows the operator a reason that clients do not get.
    private let report: @Sendable (String) -> Void
    private var options: ServerOptions { services.options }

    init(
        _ endpoints: [Endpoint], _ services: Services, _ log: AccessLog,
        _ connections: Connections, report: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        (self.endpoints, self.services, self.log) = (endpoints, services, log)
        (self.connections, self.report) = (connections, report)
        access = AccessControl(services.options)
        // Enough for some of the largest bodies, and for very many of ordinary size.
        received = BodyBudget(limit: 4 * services.options.bodyLimit)
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
                guard connection.becomeBusy(options.requestTimeout) else { return }
                let keepsAlive = try await exchange(head, &parts, outbound, connection)
                guard keepsAlive else { return }
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
        var started = ContinuousClock.now
        var exchange = Exchange(head, writer)
        var share = BodyBudget.Share(of: received)
        var route = Route(request: ServerRequest(method: head.method.rawValue, path: "/"))
        var response: ServerResponse
        do {
            try find(&route, head)
            var request = route.request
            guard
                let body = try await exchange.body(
                    &parts, limit: options.bodyLimit, share: &share)
            else {
                log(route, nil, exchange.received, started, connection)
                return false
            }
            request.body = body
            started = .now
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
        } catch {
            // The client has closed the connection, or has been too slow.
            log(route, nil, exchange.received, started, connection)
            throw error
        }
        return try await finish(&exchange, &parts, response, route, started, connection)
    }

    /// Sends a response, and drops the rest of a request that was refused early.
    private func finish(
        _ exchange: inout Exchange, _ parts: inout Exchange.Parts, _ answer: ServerResponse,
        _ route: Route, _ started: ContinuousClock.Instant, _ connection: Connection
    ) async throws -> Bool {
        var response = answer
        var share = BodyBudget.Share(of: sent)
        if !share.grow(to: response.body.count) {
            services.metrics.countFailure(RequestError.busy.code)
            response = RequestError.busy.response(route.shape)
        }
        if route.preflight == nil {
            response.headers += access.corsHeaders(origin: route.request.header("Origin"))
        }
        // After a request for another protocol, the decoder ignores what follows.
        let asksForUpgrade =
            exchange.head.method == .CONNECT || exchange.head.headers.contains(name: "Upgrade")
        let closes =
            asksForUpgrade || !exchange.isComplete || !exchange.head.isKeepAlive
            || connections.isStopping
        try await exchange.send(
            response, closes: closes, date: HTTPDate.text(ofSecondsSince1970: Int(unixTime()))
        ) { connection.setDeadline(options.requestTimeout) }
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
        let method = head.method == .HEAD ? "GET" : head.method.rawValue
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
        let encoding = route.request.header("Content-Encoding")?.trimmed.lowercased() ?? ""
        guard ["", "identity"].contains(encoding) else {
            throw RequestError(
                415, "unsupported_encoding",
                "unsupported Content-Encoding: expected a body that is not compressed")
        }
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
        } catch CLIPError.noThread {
            services.metrics.countFailure(RequestError.noThread.code)
            return RequestError.noThread.response(route.shape)
        } catch {
            // The error may contain paths of the server.
            report("\(route.request.method) \(route.endpoint?.path ?? "") failed: \(error)")
            services.metrics.countFailure("internal_error")
            return RequestError(
                500, "internal_error", "the server failed; its log has the reason"
            ).response(route.shape)
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
        let duration = (ContinuousClock.now - started).inSeconds
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
