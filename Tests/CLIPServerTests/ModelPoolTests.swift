import CLIP
import CLIPHub
import Synchronization
import TestSupport
import Testing

@testable import CLIPServer

@Suite struct ModelPoolTests {
    private struct Broken: Error {}

    /// A flag that a test sets and a loader reads.
    private final class Switch: Sendable {
        private let state = Atomic(false)
        var value: Bool { state.load(ordering: .relaxed) }
        func set(_ value: Bool) { state.store(value, ordering: .relaxed) }
    }

    /// A pool whose loader returns small models and records the names it is called with.
    private final class Fixture: Sendable {
        let loads = Log<String>()
        let reports = Log<String>()
        let gate = Gate()
        let isBroken = Switch()
        let pool: ModelPool

        init(
            installed: [String] = [], defaultModel: String? = nil, isGated: Bool = false,
            _ change: (inout ServerOptions) -> Void = { _ in }
        ) {
            var options = ServerOptions()
            change(&options)
            let (loads, reports, gate, isBroken) = (loads, reports, gate, isBroken)
            pool = ModelPool(
                options: options, metrics: Metrics(),
                load: { name, mayFetch in
                    loads.append(mayFetch ? "\(name) (may fetch)" : name)
                    if isGated { gate.wait() }
                    if isBroken.value { throw Broken() }
                    return try CLIPModel(path: Fixtures.path("models/seeded"), threads: 1)
                }, installed: { installed }, defaultModel: { defaultModel },
                report: { reports.append($0) })
        }

        /// Loads a model and releases it.
        func use(_ name: String?, for use: ModelPool.Use = .embedding) async throws {
            _ = try await pool.model(named: name, for: use)
        }

        func error(_ name: String?, for use: ModelPool.Use = .embedding) async -> RequestError? {
            await requestError { try await self.use(name, for: use) }
        }

        var loaded: [String] { pool.gauges.map(\.name) }
    }

    private static let size: Int = {
        let model = try? CLIPModel(path: Fixtures.path("models/seeded"), threads: 1)
        return model?.weights.byteCount ?? 0
    }()

    // MARK: Names

    @Test func concurrentFirstRequestsLoadOnce() async throws {
        let fixture = Fixture(isGated: true) { $0.models = ["ViT-B/32"] }
        let names = [nil, "ViT-B/32", "ViT-B-32__openai", "ViT-B-32/openai", "ViT-B-32:openai"]
        let found = try await withThrowingTaskGroup(of: ServedModel.self) { group in
            for request in 0..<40 {
                group.addTask {
                    try await fixture.pool.model(named: names[request % 5], for: .embedding)
                }
            }
            fixture.gate.open()
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(found.count == 40 && found.allSatisfy { $0 === found[0] })
        #expect(found[0].name == "ViT-B/32")
        #expect(fixture.loads.elements == ["ViT-B-32:openai"])
    }

    @Test func unknownModelIsNotFound() async throws {
        let fixture = Fixture(installed: ["ViT-B-32:openai"])
        let error = await fixture.error("ViT-B-23:openai")
        #expect(error?.status == 404 && error?.code == "unknown_model")
        #expect(error?.message.contains("similar names: ") == true)
        for name in ["/etc/passwd", "tiny", "", Fixtures.path("models/seeded")] {
            #expect(await fixture.error(name)?.status == 404)
        }
        let long = await fixture.error(String(repeating: "x", count: 100_000))
        #expect(long?.status == 404 && (long?.message.count ?? 0) < 100)
        #expect(fixture.loads.elements == [])
    }

    @Test func missingModelIsNotFoundUnlessFetchingIsAllowed() async throws {
        let fixture = Fixture()
        let error = await fixture.error("ViT-B-16-SigLIP2__webli")
        #expect(error?.status == 404)
        #expect(error?.message.contains("clip pull ViT-B-16-SigLIP2:webli") == true)
        #expect(error?.message.contains("--fetch") == true)
        #expect(fixture.loads.elements == [])
        let fetching = Fixture { $0.allowsFetching = true }
        try await fetching.use("ViT-B-16-SigLIP2__webli")
        #expect(fetching.loads.elements == ["ViT-B-16-SigLIP2:webli (may fetch)"])
    }

    @Test func installedModelIsLoaded() async throws {
        let fixture = Fixture(installed: ["ViT-L/14", "me/own"])
        try await fixture.use("ViT-L-14__openai")
        try await fixture.use("me/own")
        #expect(fixture.loads.elements == ["ViT-L-14:openai", "me/own"])
        #expect(fixture.pool.names == ["ViT-L-14:openai", "me/own"])
    }

    @Test func namesAreThoseOfTheOptionsAndTheInstalledOnes() {
        let path = Fixtures.path("models/seeded")
        let fixture = Fixture(installed: ["ViT-B-32:openai", "ViT-L-14:openai"]) {
            $0.models = [path, "ViT-B/32"]
        }
        #expect(fixture.pool.names == ["seeded", "ViT-B/32", "ViT-L-14:openai"])
    }

    @Test func pathOfTheOptionsIsServedByItsLastComponent() async throws {
        let path = Fixtures.path("models/seeded")
        let fixture = Fixture { $0.models = [path] }
        for name in [nil, "seeded", path] {
            let model = try await fixture.pool.model(named: name, for: .embedding)
            #expect(model.name == "seeded")
        }
        #expect(fixture.loads.elements == [path])
    }

    @Test func requestWithoutNameGetsTheDefault() async throws {
        let none = Fixture()
        #expect(await none.error(nil)?.status == 404)
        let stored = Fixture(defaultModel: "ViT-B/16") { $0.demonstrationModel = "tiny" }
        try await stored.use(nil)
        #expect(stored.loads.elements == ["ViT-B-16:openai"])
    }

    @Test func demonstrationModelOnlyAnswersUnlessItIsServed() async throws {
        let fixture = Fixture { $0.demonstrationModel = "tiny" }
        #expect(await fixture.error(nil)?.status == 404)
        #expect(await fixture.error("tiny")?.status == 404)
        try await fixture.use(nil, for: .answer)
        try await fixture.use("tiny", for: .answer)
        #expect(fixture.loads.elements == ["tiny"])
        #expect(await fixture.error("tiny")?.status == 404)
        let installed = Fixture(installed: ["tiny"]) { $0.demonstrationModel = "tiny" }
        #expect(await installed.error("tiny")?.status == 404)
        let named = Fixture { ($0.models, $0.demonstrationModel) = (["tiny"], "tiny") }
        try await named.use("tiny")
        try await named.use(nil)
    }

    // MARK: Loading

    @Test func failedLoadIsRetriedAndHidesItsReasonFromClients() async throws {
        let fixture = Fixture { $0.models = ["ViT-B/32"] }
        fixture.isBroken.set(true)
        let error = await fixture.error(nil)
        #expect(error?.status == 503 && error?.message.contains("Broken") == false)
        #expect(fixture.reports.elements == ["cannot load the model ViT-B/32: Broken()"])
        #expect(fixture.loaded == [])
        fixture.isBroken.set(false)
        try await fixture.use(nil)
        #expect(fixture.loads.elements.count == 2 && fixture.loaded == ["ViT-B/32"])
    }

    @Test func cancelledRequestDoesNotWaitForTheLoad() async throws {
        let fixture = Fixture(isGated: true) { $0.models = ["ViT-B/32"] }
        let one = Task { try await fixture.use(nil) }
        let other = Task { try await fixture.use(nil) }
        try await eventually { fixture.loads.elements.count == 1 }
        one.cancel()
        await #expect(throws: CancellationError.self) { try await one.value }
        fixture.gate.open()
        try await other.value
        #expect(fixture.loads.elements.count == 1)
    }

    @Test func preloadLoadsAllServedModels() async throws {
        let fixture = Fixture {
            ($0.models, $0.preloads) = (["ViT-B/32", "ViT-B/16"], true)
        }
        try await fixture.pool.preload()
        #expect(fixture.loaded == ["ViT-B/16", "ViT-B/32"])
        let broken = Fixture { ($0.models, $0.preloads) = (["ViT-B/32"], true) }
        broken.isBroken.set(true)
        #expect(await requestError { try await broken.pool.preload() }?.status == 503)
    }

    @Test func closedPoolRefusesWaitingAndLaterRequests() async throws {
        let fixture = Fixture(isGated: true) { $0.models = ["ViT-B/32"] }
        let task = Task { await fixture.error(nil) }
        try await eventually { fixture.loads.elements.count == 1 }
        fixture.pool.close()
        #expect(await task.value?.status == 503)
        #expect(await fixture.error(nil)?.status == 503)
        fixture.gate.open()
    }

    // MARK: Dropping

    @Test func unusedModelIsDroppedAfterItsTimeToLive() async throws {
        let fixture = Fixture { ($0.models, $0.timeToLive) = (["ViT-B/32"], 300) }
        try await fixture.use(nil)
        fixture.pool.sweep(now: .now + .seconds(200))
        #expect(fixture.loaded == ["ViT-B/32"])
        var seconds = 600
        // The task that loaded the model may hold it for a moment.
        try await eventually {
            seconds += 600
            fixture.pool.sweep(now: .now + .seconds(seconds))
            return fixture.loaded == []
        }
        try await fixture.use(nil)
        #expect(fixture.loads.elements.count == 2)
    }

    @Test func modelInUseIsNotDropped() async throws {
        let fixture = Fixture { ($0.models, $0.timeToLive) = (["ViT-B/32"], 1) }
        let model = try await fixture.pool.model(named: nil, for: .embedding)
        for seconds in [10, 20, 30] { fixture.pool.sweep(now: .now + .seconds(seconds)) }
        #expect(fixture.loaded == ["ViT-B/32"])
        _ = try await model.embeddings(ofTexts: ["a"], truncating: false)
    }

    @Test func modelsStayWithoutTimeToLive() async throws {
        let fixture = Fixture { $0.models = ["ViT-B/32"] }
        try await fixture.use(nil)
        fixture.pool.sweep(now: .now + .seconds(1_000_000))
        #expect(fixture.loaded == ["ViT-B/32"])
    }

    @Test func leastRecentlyUsedIdleModelIsDroppedForAnother() async throws {
        let fixture = Fixture {
            ($0.models, $0.memoryLimit) = (
                ["ViT-B/32", "ViT-B/16", "ViT-L/14", "RN50"], 2 * Self.size
            )
        }
        try await fixture.use("ViT-B/32")
        try await fixture.use("ViT-B/16")
        try await fixture.use("ViT-B/32")
        try await Task.sleep(for: .milliseconds(50))
        try await fixture.use("ViT-L/14")
        #expect(fixture.loaded == ["ViT-B/32", "ViT-L/14"])
        let held = try await fixture.pool.model(named: "ViT-B/32", for: .embedding)
        let other = try await fixture.pool.model(named: "ViT-L/14", for: .embedding)
        let error = await fixture.error("RN50")
        #expect(error?.status == 503 && error?.retryAfter == 1)
        #expect(fixture.loaded == ["ViT-B/32", "ViT-L/14"])
        withExtendedLifetime((held, other)) {}
    }

    @Test func modelBeyondTheMemoryLimitIsRefusedWithBothSizes() async throws {
        let fixture = Fixture { ($0.models, $0.memoryLimit) = (["ViT-B/32"], Self.size - 1) }
        let error = await fixture.error(nil)
        #expect(error?.status == 503)
        #expect(error?.message.contains(" \(Self.size) bytes") == true)
        #expect(error?.message.contains(" \(Self.size - 1) bytes") == true)
        #expect(fixture.loaded == [])
    }

    @Test func sweepingEndsWithItsTask() async throws {
        for seconds in [0, 1] {
            let fixture = Fixture { $0.timeToLive = seconds }
            let task = Task { await fixture.pool.run() }
            task.cancel()
            await task.value
        }
    }

    @Test func gaugesDescribeLoadedModels() async throws {
        let fixture = Fixture { $0.models = ["ViT-B/32"] }
        #expect(fixture.pool.gauges == [])
        try await fixture.use(nil)
        #expect(
            fixture.pool.gauges == [
                .init(name: "ViT-B/32", byteCount: Self.size, waitingImages: 0, waitingTexts: 0)
            ])
    }

    @Test func manyTasksUseAndDropModels() async throws {
        let fixture = Fixture {
            ($0.models, $0.timeToLive) = (["ViT-B/32", "ViT-B/16", "ViT-L/14"], 1)
        }
        let expected = try CLIPModel(path: Fixtures.path("models/seeded"), threads: 1)
            .encode(text: "a cat", normalized: true)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for request in 0..<60 {
                group.addTask {
                    let name = ["ViT-B/32", "ViT-B/16", "ViT-L/14"][request % 3]
                    let model = try await fixture.pool.model(named: name, for: .embedding)
                    let found = try await model.embeddings(ofTexts: ["a cat"], truncating: false)
                    #expect(found.vectors == [expected])
                    fixture.pool.sweep(now: .now + .seconds(10 * request))
                }
            }
            try await group.waitForAll()
        }
    }
}
