import Foundation
import Synchronization
import TestSupport
import Testing

@testable import CLIP
@testable import Tensors

/// Tests groups of inputs that pass through a tower.
@Suite struct EncodingGroupsTests {
    private struct Failure: Error, Equatable {
        let group: Range<Int>
    }

    @Test(arguments: [0, 1, 2, 3, 7, 31], [1, 2, 3, 8])
    func resultsAreInTheOrderOfTheGroups(count: Int, threads: Int) {
        let groups = EncodingGroups(count: count, threads: threads, largest: 5)
        let widths = Mutex<[Range<Int>: Int]>([:])
        let found = groups.map(on: WorkspacePool(threads: threads)) { group, workspace in
            widths.withLock { $0[group] = workspace.wantedThreads }
            return group
        }
        #expect(found == groups.ranges)
        for (index, group) in groups.ranges.enumerated() {
            let width = widths.withLock { $0[group] }
            #expect(
                width == (index < groups.separate ? 1 : threads),
                "group \(index) of \(groups), \(threads) threads")
        }
    }

    @Test(arguments: [1, 2, 3])
    func firstFailedGroupIsReported(threads: Int) {
        let groups = EncodingGroups(count: 22, threads: threads, largest: 5)
        let runs = Atomic(0)
        #expect(throws: Failure(group: groups.ranges[1])) {
            try groups.map(on: WorkspacePool(threads: threads)) {
                group, _ throws(Failure) -> Int in
                runs.add(1, ordering: .relaxed)
                if group != groups.ranges[0] { throw Failure(group: group) }
                return 0
            }
        }
        // No group is begun after an error, but by threads that had begun one already.
        let count = runs.load(ordering: .relaxed)
        #expect((2...(threads + 1)).contains(count), "\(count) of \(groups.ranges.count) groups")
    }

    /// The weights of a model in which one number is NaN.
    private func weights(with poisoned: String) throws -> [UInt8] {
        var bytes = try Array(
            Data(
                contentsOf: URL(
                    fileURLWithPath: Fixtures.path("models/vit/open_clip_model.safetensors"))))
        let length = bytes.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
        let header = try JSONSerialization.jsonObject(with: Data(bytes[8..<(8 + length)]))
        let entry = try #require((header as? [String: Any])?[poisoned] as? [String: Any])
        let offsets = try #require(entry["data_offsets"] as? [Int])
        bytes.replaceSubrange(
            (8 + length + offsets[0])..<(12 + length + offsets[0]),
            with: [
                0, 0, 0xC0, 0x7F,
            ])
        return bytes
    }

    @Test(arguments: [1, 2, 3], [1, 7])
    func everyEncodingNamesTheTensorWithNaN(threads: Int, count: Int) throws {
        let configuration = try Data(
            contentsOf: URL(fileURLWithPath: Fixtures.path("models/vit/open_clip_config.json")))
        func model(with poisoned: String) throws -> CLIPModel {
            try CLIPModel(
                safetensors: weights(with: poisoned), configuration: configuration, name: "vit",
                threads: threads)
        }
        func error(of tensor: String) -> CLIPError {
            .nonFiniteResult(path: "vit", stage: "the tensor \(tensor)")
        }
        let visual = "visual.transformer.resblocks.0.ln_1.weight"
        var found = try model(with: visual)
        let side = found.configuration.resolution
        let image = try RGBImage(
            width: 8, height: 8, pixels: (0..<192).map { UInt8(truncatingIfNeeded: $0 * 7) })
        #expect(throws: error(of: visual)) {
            try found.encode(images: [RGBImage](repeating: image, count: count))
        }
        #expect(throws: error(of: visual)) {
            try found.encode(pixels: [Float](repeating: 0.5, count: count * 3 * side * side))
        }
        let textual = "transformer.resblocks.0.ln_1.weight"
        found = try model(with: textual)
        let length = found.configuration.text.contextLength
        let row = [62, 5, 9] + [Int](repeating: 63, count: length - 3)
        #expect(throws: error(of: textual)) {
            try found.encode(tokens: [[Int]](repeating: row, count: count))
        }
        #expect(throws: error(of: textual)) {
            try found.hiddenStates(ofTokens: [[Int]](repeating: row, count: count))
        }
    }
}
