@testable import CLIPServer
import CLIP
import Synchronization
import Testing

/// Tests connections with endpoints of its own: limits, deadlines, cancellation and shutdown.
@Suite(.timeLimit(.minutes(2))) struct ConnectionTests {
    /// The endpoints of these tests, and what happened to their requests.
    final class Events: Sendable {
        let cancelled = Mutex(0)
        let begun = Mutex(0)

        var endpoints: [Endpoint] {
            [
                Endpoint(method: "GET", path: "/ping") { _, _ in .text("pong") },
                Endpoint(method: "POST", path: "/echo") { request, _ in
                    ServerResponse(request.body, type: "application/octet-stream")
                },
                Endpoint(method: "GET", path: "/slow") { request, _ in
                    self.begun.withLock { $0 += 1 }
                    do {
                        let milliseconds = Int(request.parameter("ms") ?? "") ?? 300
                        try await Task.sleep(for: .milliseconds(milliseconds))
                    } catch {
                        self.cancelled.withLock { $0 += 1 }
                        throw error
                    }
                    return .text("done")
                },
                Endpoint(method: "GET", path: "/broken") { _, _ in
                    throw CLIPError.noTemplate
                },
            ]
        }
    }

    /// Runs a closure with the port of a running server, and stops the server afterwards.
    private func withServer(
        _ change: (inout ServerOptions) -> Void = { _ in }, _ events: Events = Events(),
        _ body: @escaping @Sendable (Int, Server) async throws -> Void
    ) async throws {
        var options = ServerOptions()
        options.port = 0
        options.grace = 5
        change(&options)
        let server = try Server(options: options, endpoints: events.endpoints) { _, _ in
            throw CLIPError.noTemplate
        }
        try await withThrowingTaskGroup { group in
            let (ports, port) = AsyncStream.makeStream(of: Int.self)
            group.addTask { try await server.run { port.yield($1) } }
            group.addTask {
                defer { server.stop() }
                for await port in ports {
                    try await body(port, server)
                    break
                }
            }
            try await group.waitForAll()
        }
    }

    /// Waits until a condition is true, at most five seconds.
    private func wait(_ condition: () -> Bool) async throws {
        for _ in 0..<500 where !condition() { try await Task.sleep(for: .milliseconds(10)) }
        #expect(condition())
    }

    @Test func pipelinedRequestsAreAnsweredInOrder() async throws {
        try await withServer { port, _ in
            try await TestClient.connected(to: port) { client in
                try await client.request("GET", "/slow?ms=100")
                try await client.request("POST", "/echo", body: "second")
                try await client.request("GET", "/ping")
                let texts = [
                    try await client.response()?.text, try await client.response()?.text,
                    try await client.response()?.text,
                ]
                #expect(texts == ["done", "second", "pong"])
            }
        }
    }

    @Test func headHasTheHeadersOfGetWithoutABody() async throws {
        try await withServer { port, _ in
            try await TestClient.connected(to: port) { client in
                try await client.request("HEAD", "/ping")
                let head = try await client.response(isHead: true)
                #expect(head?.header("Content-Length") == "4")
                #expect(head?.header("Date")?.hasSuffix(" GMT") == true)
                try await client.request("GET", "/ping")
                #expect(try await client.response()?.text == "pong")
            }
        }
    }

    @Test func unknownPathsAndMethodsAreNamed() async throws {
        try await withServer { port, _ in
            try await TestClient.connected(to: port) { client in
                try await client.request("GET", "/nothing")
                #expect(try await client.response()?.status == 404)
                try await client.request("DELETE", "/echo")
                let response = try await client.response()
                #expect(response?.status == 405 && response?.header("Allow") == "POST, OPTIONS")
                try await client.request("GET", "/broken")
                #expect(try await client.response()?.status == 500)
            }
        }
    }

    @Test func oversizedBodiesAreRefused() async throws {
        try await withServer({ $0.bodyLimit = 1000 }) { port, _ in
            try await TestClient.connected(to: port) { client in
                try await client.request(
                    "POST", "/echo", body: String(repeating: "x", count: 1001))
                let response = try await client.response()
                #expect(response?.status == 413 && response?.header("Connection") == "close")
                #expect(response?.text.contains("1000 bytes") == true)
                #expect(try await client.isClosed())
            }
            // Without a declared length.
            try await TestClient.connected(to: port) { client in
                try await client.send(
                    "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
                for _ in 0..<6 {
                    try await client.send("c8\r\n\(String(repeating: "y", count: 200))\r\n")
                }
                #expect(try await client.response()?.status == 413)
            }
            try await TestClient.connected(to: port) { client in
                try await client.request(
                    "POST", "/echo", body: String(repeating: "x", count: 1000))
                #expect(try await client.response()?.body.count == 1000)
            }
        }
    }

    @Test func expectedContinueIsSentOnlyIfTheRequestIsAccepted() async throws {
        try await withServer({ $0.apiKey = "secret" }) { port, _ in
            try await TestClient.connected(to: port) { client in
                let head = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
                try await client.send(
                    head + "Authorization: Bearer secret\r\nExpect: 100-continue\r\n\r\n")
                #expect(try await client.response()?.status == 100)
                try await client.send("ok")
                #expect(try await client.response()?.text == "ok")
            }
            try await TestClient.connected(to: port) { client in
                let head = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
                try await client.send(head + "Expect: 100-continue\r\n\r\n")
                #expect(try await client.response()?.status == 401)
            }
        }
    }

    @Test(arguments: ["GET\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"])
    func malformedRequestsAreRefused(_ text: String) async throws {
        try await withServer { port, _ in
            try await TestClient.connected(to: port) { client in
                try await client.send(text)
                #expect(try await client.response()?.status == 400)
                #expect(try await client.isClosed())
            }
        }
    }

    @Test func endlessHeadersAreCut() async throws {
        try await withServer { port, _ in
            try await TestClient.connected(to: port) { client in
                let line = "X-Filler: " + String(repeating: "a", count: 4000) + "\r\n"
                let sent: Void? = try? await {
                    try await client.send("GET /ping HTTP/1.1\r\nHost: localhost\r\n")
                    for _ in 0..<1000 { try await client.send(line) }
                }()
                let status = try? await client.response()?.status
                #expect(sent == nil || status == 400 || status == 431)
            }
        }
    }

    @Test func slowSendersAreCut() async throws {
        try await withServer({ $0.requestTimeout = 1 }) { port, _ in
            try await TestClient.connected(to: port) { client in
                try await client.send(
                    "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n")
                for _ in 0..<300 {
                    guard (try? await client.send("x")) != nil else { break }
                    try await Task.sleep(for: .milliseconds(100))
                }
                #expect(try await client.isClosed())
            }
        }
    }

    @Test func slowSendersOfHeadersAreCut() async throws {
        try await withServer({ $0.requestTimeout = 1 }) { port, _ in
            try await TestClient.connected(to: port) { client in
                // The time begins anew with each request of a connection.
                try await client.request("GET", "/ping")
                #expect(try await client.response()?.text == "pong")
                try await Task.sleep(for: .milliseconds(1200))
                try await client.send("GET /ping HTTP/1.1\r\n")
                for _ in 0..<300 {
                    guard (try? await client.send("X: y\r\n")) != nil else { break }
                    try await Task.sleep(for: .milliseconds(100))
                }
                #expect(try await client.isClosed())
            }
        }
    }

    @Test func idleConnectionsAreClosed() async throws {
        try await withServer({ $0.idleTimeout = 1 }) { port, _ in
            try await TestClient.connected(to: port) { client in
                try await client.send("GET /ping HTTP/1.1\r\n")
                #expect(try await client.isClosed())
            }
        }
    }

    @Test func theLongestIdleConnectionMakesRoom() async throws {
        try await withServer({ $0.connectionLimit = 2 }) { port, _ in
            try await TestClient.connected(to: port) { first in
                try await first.request("GET", "/ping")
                #expect(try await first.response()?.text == "pong")
                try await TestClient.connected(to: port) { second in
                    try await second.request("GET", "/ping")
                    #expect(try await second.response()?.text == "pong")
                    try await TestClient.connected(to: port) { third in
                        try await third.request("GET", "/ping")
                        #expect(try await third.response()?.text == "pong")
                    }
                    #expect(try await first.isClosed())
                }
            }
        }
    }

    @Test func aClientThatGoesAwayCancelsItsWork() async throws {
        let events = Events()
        try await withServer({ _ in }, events) { port, _ in
            try await TestClient.connected(to: port) { client in
                try await client.request("GET", "/slow?ms=60000")
                try await wait { events.begun.withLock { $0 } == 1 }
                try await client.close()
            }
            try await wait { events.cancelled.withLock { $0 } == 1 }
        }
    }

    @Test func stopAnswersAcceptedRequests() async throws {
        let events = Events()
        try await withServer({ _ in }, events) { port, server in
            try await TestClient.connected(to: port) { client in
                try await client.request("GET", "/slow?ms=500")
                try await wait { events.begun.withLock { $0 } == 1 }
                server.stop()
                let response = try await client.response()
                #expect(response?.text == "done" && response?.header("Connection") == "close")
            }
            await #expect(throws: (any Error).self) {
                try await TestClient.connected(to: port) { client in
                    try await client.request("GET", "/ping")
                    #expect(try await client.response() == nil)
                    throw CLIPError.noTemplate
                }
            }
        }
    }

    @Test func requestsForAnotherProtocolCloseTheConnection() async throws {
        try await withServer { port, _ in
            try await TestClient.connected(to: port) { client in
                try await client.request(
                    "GET", "/ping",
                    headers: [
                        "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA",
                    ])
                let response = try await client.response()
                #expect(response?.text == "pong" && response?.header("Connection") == "close")
                #expect(try await client.isClosed())
            }
        }
    }

    @Test func largeBodiesAreEchoedInParts() async throws {
        try await withServer { port, _ in
            try await TestClient.connected(to: port) { client in
                let text = String(repeating: "0123456789", count: 100_000)
                for _ in 0..<2 {
                    try await client.request("POST", "/echo", body: text)
                    #expect(try await client.response()?.text == text)
                }
            }
        }
    }

    @Test func errorsBeforeTheBodyHaveTheShapeOfTheEndpoint() async throws {
        let endpoint = Endpoint(method: "GET", path: "/fast", errors: .fastAPI) { _, _ in
            .text("")
        }
        var options = ServerOptions()
        (options.port, options.apiKey) = (0, "secret")
        let server = try Server(options: options, endpoints: [endpoint]) { _, _ in
            throw CLIPError.noTemplate
        }
        try await withThrowingTaskGroup { group in
            let (ports, port) = AsyncStream.makeStream(of: Int.self)
            group.addTask { try await server.run { port.yield($1) } }
            for await port in ports {
                try await TestClient.connected(to: port) { client in
                    try await client.request("GET", "/fast")
                    let response = try await client.response()
                    #expect(response?.status == 401)
                    #expect(response?.text.hasPrefix(#"{"detail""#) == true)
                }
                server.stop()
                break
            }
            try await group.waitForAll()
        }
    }

    @Test func sharesOfABudgetAreGivenBack() {
        let budget = BodyBudget(limit: 1000)
        do {
            var first = BodyBudget.Share(of: budget)
            let isSmallFree = first.grow(to: 1 << 16)
            let isTaken = first.grow(to: (1 << 16) + 900)
            var second = BodyBudget.Share(of: budget)
            let fits = second.grow(to: (1 << 16) + 100)
            let exceeds = second.grow(to: (1 << 16) + 101)
            #expect([isSmallFree, isTaken, fits, exceeds] == [true, true, true, false])
        }
        // A single body may exceed the limit.
        var third = BodyBudget.Share(of: budget)
        let isAlone = third.grow(to: 1 << 20)
        #expect(isAlone)
    }

    @Test func graceLimitsTheTimeOfAStop() async throws {
        let events = Events()
        try await withServer({ $0.grace = 1 }, events) { port, server in
            try await TestClient.connected(to: port) { client in
                try await client.request("GET", "/slow?ms=60000")
                try await wait { events.begun.withLock { $0 } == 1 }
                server.stop()
                #expect(try await client.isClosed())
            }
        }
        #expect(events.cancelled.withLock { $0 } == 1)
    }

    @Test func dates() {
        #expect(
            HTTPDate.text(ofSecondsSince1970: 784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT")
        #expect(HTTPDate.text(ofSecondsSince1970: 0) == "Thu, 01 Jan 1970 00:00:00 GMT")
        #expect(
            HTTPDate.text(ofSecondsSince1970: 1_709_164_800) == "Thu, 29 Feb 2024 00:00:00 GMT")
    }

    @Test func portInUseIsATypedError() async throws {
        try await withServer { port, _ in
            var options = ServerOptions()
            options.port = port
            let other = try Server(options: options, endpoints: []) { _, _ in
                throw CLIPError.noTemplate
            }
            await #expect {
                try await other.run()
            } throws: { error in
                guard case ServerError.cannotListen(_, port, let reason) = error else {
                    return false
                }
                return reason.contains("in use")
            }
        }
    }
}
