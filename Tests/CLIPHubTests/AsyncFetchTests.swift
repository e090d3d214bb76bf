import Dispatch
import TestSupport
import Testing

@testable import CLIPHub

/// Tests the asynchronous form of downloads.
@Suite struct AsyncFetchTests {
    @Test func downloadedFileEqualsTheServers() async throws {
        let hub = try Hub()
        let model = try await hub.hub.fetch("me/model")
        #expect(try hub.hub.find("me/model")?.path == model.path)
        try hub.expectWhole(true)
    }

    /// Returns a client that waits for a silent server for as long as the test may take.
    private func patient(_ hub: Hub) -> ModelHub {
        var client = hub.hub
        client.policy.stall = 600
        return client
    }

    @Test func cancelledDownloadIsResumed() async throws {
        let hub = try Hub { request, _, answer in
            // The rest is sent only after a first request was cancelled.
            guard request.path == "/cdn/file", request.repetition == 0 else { return }
            answer.cut = 200_000
            answer.stall = 600  // the client hangs up first
        }
        let client = patient(hub)
        let (events, event) = AsyncStream<Int>.makeStream()
        let task = Task {
            try await client.fetch("me/model") { step in
                event.yield(step.received)
                return true
            }
        }
        for await received in events where received >= 200_000 { break }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        try hub.expectWhole(false)
        let part = try bytes(ofFile: hub.partial)
        #expect(part == Array(hub.contents[..<200_000]), "\(part.count) bytes")
        _ = try await client.fetch("me/model")
        try hub.expectWhole(true)
        let starts = hub.server.requests.filter { $0.path == "/cdn/file" }.map(\.rangeStart)
        #expect(starts == [nil, 200_000])
    }

    /// Cancels a task while the server is silent.
    ///
    /// - Parameter path: The end of the path of the request that gets no answer.
    ///
    /// - Throws: Errors of the test server.
    @Test(arguments: ["open_clip_model.safetensors", "/cdn/file"])
    func cancellationEndsTheWaitForASilentServer(path: String) async throws {
        let (requests, request) = AsyncStream<String>.makeStream()
        let hub = try Hub { found, _, answer in
            guard found.path.hasSuffix(path) else { return }
            // No byte is sent before the end of the test.
            answer.headerCut = 0
            answer.headerDelay = 0
            request.yield(found.path)
            DispatchSemaphore(value: 0).wait(milliseconds: 600_000)
        }
        let client = patient(hub)
        let task = Task { try await client.fetch("me/model") }
        for await _ in requests { break }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        try hub.expectWhole(false)
    }

    @Test func cancelledTaskSendsNoRequest() async throws {
        let hub = try Hub()
        let client = hub.hub
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await client.fetch("me/model")
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(hub.server.requests.map(\.path) == [])
    }

    @Test func progressThatReturnsFalseStopsTheDownload() async throws {
        let hub = try Hub { request, _, answer in
            if request.path == "/cdn/file" { answer.delay = 0.02 }
        }
        await #expect(throws: HubError.cancelled) {
            try await hub.hub.fetch("me/model") { $0.received < 100_000 }
        }
        try hub.expectWhole(false)
        #expect(try bytes(ofFile: hub.partial).count >= 100_000)
    }

    /// If the calls blocked the cooperative pool, the test could not reach the line that opens the
    /// gate.
    @Test func waitingCallsDoNotBlockTheCooperativePool() async throws {
        let gate = DispatchSemaphore(value: 0)
        let (requests, request) = AsyncStream<String>.makeStream()
        let hub = try Hub { found, _, _ in
            guard found.path == "/cdn/file" else { return }
            request.yield(found.path)
            gate.wait()
        }
        let client = patient(hub)
        let models = try await withThrowingTaskGroup(of: ModelHub.InstalledModel.self) { group in
            for _ in 0..<32 { group.addTask { try await client.fetch("me/model") } }
            for await _ in requests { break }
            gate.signal()
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(models.count == 32)
        #expect(Set(models.map(\.path)).count == 1, "\(models.map(\.path))")
        #expect(hub.bodies == 1)
        try hub.expectWhole(true)
    }
}

extension DispatchSemaphore {
    fileprivate func wait(milliseconds: Int) {
        _ = wait(timeout: .now() + .milliseconds(milliseconds))
    }
}
