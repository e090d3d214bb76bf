import CLIP
import CLIPSearch
import TestSupport
import Testing

@testable import CLIPServer

/// Tests the choice of the model that made stored vectors.
@Suite struct RecordedModelTests {
    private static let path = Fixtures.path("models/seeded")

    private static func model() throws -> CLIPModel { try CLIPModel(path: path, threads: 1) }

    /// The record of vectors that the model makes from images of twice its resolution.
    private static func wideRecord() throws -> ModelRecord {
        let model = try model()
        return ModelRecord(
            try model.at(resolution: 2 * model.configuration.resolution), name: path)
    }

    private static func pool(_ loads: Log<String>, memoryLimit: Int) -> ModelPool {
        var options = ServerOptions()
        options.memoryLimit = memoryLimit
        return ModelPool(
            options: options, metrics: Metrics(),
            load: { name, _ in
                loads.append(name)
                return try model()
            }, installed: { [] })
    }

    @Test func variantReplacesItsPlainModelWithinTheMemoryLimit() async throws {
        let (record, loads) = (try Self.wideRecord(), Log<String>())
        let pool = Self.pool(loads, memoryLimit: try Self.model().weights.byteCount)
        // The task that loaded a model may hold it for a moment.
        for _ in 0..<100 where pool.gauges.isEmpty || loads.elements.count < 2 {
            do {
                _ = try await pool.model(matching: record)
            } catch let error as RequestError where error.code == "too_little_memory" {
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        let count = loads.elements.count
        let variant = try await pool.model(matching: record)
        #expect(variant.record.isComparable(to: record))
        // The loaded variant is found without its plain model.
        #expect(loads.elements.count == count && pool.gauges.count == 1)
    }

    @Test func plainModelIsUsedIfItMadeTheVectors() async throws {
        let loads = Log<String>()
        let pool = Self.pool(loads, memoryLimit: 0)
        let record = ModelRecord(try Self.model(), name: Self.path)
        #expect(try await pool.model(matching: record).record.isComparable(to: record))
        #expect(loads.elements == [Self.path])
    }

    @Test func otherModelIsRefused() async throws {
        let pool = Self.pool(Log(), memoryLimit: 0)
        var record = ModelRecord(try Self.model(), name: Self.path)
        record.fingerprint = String(repeating: "0", count: 64)
        let error = await requestError { _ = try await pool.model(matching: record) }
        #expect(error?.status == 503 && error?.code == "other_model")
    }

    @Test func recordsAreComparedByAllThatChangesVectors() throws {
        let record = ModelRecord(try Self.model(), name: Self.path)
        #expect(record.isComparable(to: record))
        var changed = record
        (changed.name, changed.activation, changed.resolution) = ("other", nil, nil)
        #expect(record.isComparable(to: changed) && changed.isComparable(to: record))
        let changes: [(inout ModelRecord) -> Void] = [
            { $0.fingerprint = "" }, { $0.dimension += 1 }, { $0.resolution = 1 },
            { $0.precision = $0.precision == .int8 ? .fp32 : .int8 },
        ]
        for change in changes {
            var other = record
            change(&other)
            #expect(!record.isComparable(to: other) && !other.isComparable(to: record))
        }
    }
}
