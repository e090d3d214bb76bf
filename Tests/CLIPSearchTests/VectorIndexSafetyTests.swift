import Files
import CLIP
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import CLIPSearch
@testable import Tensors

/// Tests vector indexes with a killed writer, damaged files, and many concurrent tasks.
@Suite struct VectorIndexSafetyTests {
    private let folder: TemporaryFolder
    private var path: String { folder.path + "/vectors" }
    private let files = FileManager.default

    init() throws { folder = try TemporaryFolder() }

    private static func add(_ seeds: some Sequence<Int>, to index: VectorIndex) throws {
        try index.add(VectorIndexTests.ids(seeds), vectors: VectorIndexTests.vectors(seeds))
    }

    private static func contents(_ seeds: some Sequence<Int>) -> [VectorIndex.ID: Int] {
        Dictionary(uniqueKeysWithValues: seeds.map { (VectorIndex.ID("id \($0)"), $0) })
    }

    private func bytesOfFiles() throws -> [String: [UInt8]] {
        var found: [String: [UInt8]] = [:]
        for name in try files.contentsOfDirectory(atPath: path) where !name.hasSuffix("-shm") {
            found[name] = try bytes(ofFile: "\(path)/\(name)")
        }
        return found
    }

    /// Creates an index with the given contents of its files.
    private func place(_ contents: [String: [UInt8]]) throws -> String {
        let place = folder.path + "/copy"
        try? files.removeItem(atPath: place)
        try files.createDirectory(atPath: place, withIntermediateDirectories: true)
        for (name, bytes) in contents {
            try Data(bytes).write(to: URL(fileURLWithPath: "\(place)/\(name)"))
        }
        return place
    }

    /// Expects one of the states as a whole, and that the index can be written.
    private func expect(
        _ contents: [String: [UInt8]], is states: [[VectorIndex.ID: Int]], what: String,
        byReadingOnly: Bool = false
    ) throws {
        func isState(_ state: [VectorIndex.ID: Int], of index: VectorIndex) throws -> Bool {
            guard try Set(index.ids()) == Set(state.keys) else { return false }
            return try state.allSatisfy { id, seed in
                let vector = try index.vector(for: id) ?? []
                return VectorIndexTests.cosine(vector, VectorIndexTests.vector(seed)) > 0.999_99
            }
        }
        for isForWriting in byReadingOnly ? [false] : [false, true] {
            let path = try place(contents)
            let index =
                try isForWriting
                ? VectorIndex(at: path, dimension: 16) : VectorIndex(reading: path)
            guard let state = try states.first(where: { try isState($0, of: index) }) else {
                Issue.record("\(what): none of the states; the ids are \(try index.ids())")
                continue
            }
            try VectorIndexTests.expect(index, has: state, "\(what), writing: \(isForWriting)")
            guard isForWriting else { continue }
            try Self.add(500..<503, to: index)
            let new = state.merging(Self.contents(500..<503)) { $1 }
            try VectorIndexTests.expect(index, has: new, "\(what), and a change")
        }
    }

    /// The files on the disk after each step of a change, in the order of writing: vectors, log of
    /// the database, database, seal.
    @Test(arguments: ["add", "replace", "remove", "overwrite"])
    func killedWriterLeavesOneStateOrTheOther(change: String) throws {
        var old = Self.contents(0..<40)
        var new = old
        let (before, after): ([String: [UInt8]], [String: [UInt8]])
        do {
            let index = try VectorIndex(at: path, dimension: 16)
            try Self.add(0..<40, to: index)
            if change == "overwrite" {
                try index.remove(VectorIndexTests.ids(0..<30))
                old = Self.contents(30..<40)
                new = old
            }
            before = try bytesOfFiles()
            switch change {
            case "replace":
                try index.add(
                    VectorIndexTests.ids(3..<9), vectors: VectorIndexTests.vectors(103..<109))
                for seed in 3..<9 { new[VectorIndex.ID("id \(seed)")] = seed + 100 }
            case "remove":
                try index.remove(VectorIndexTests.ids(5..<9))
                new = Self.contents(Array(0..<5) + Array(9..<40))
            default:
                try Self.add(50..<60, to: index)
                new.merge(Self.contents(50..<60)) { $1 }
            }
            after = try bytesOfFiles()
        }
        let log = "ids.sqlite-wal"
        let (oldVectors, newVectors) = (before["vectors.f32"] ?? [], after["vectors.f32"] ?? [])
        let (oldLog, newLog) = (before[log] ?? [], after[log] ?? [])
        #expect(newLog != oldLog && newLog.count > 4096, "\(newLog.count) bytes of log")
        var steps: [(name: String, files: [String: [UInt8]])] = []
        var disk = before
        for count in stride(from: 0, through: newVectors.count, by: 333) {
            disk["vectors.f32"] =
                Array(newVectors.prefix(count)) + Array(oldVectors.dropFirst(count))
            steps.append(("\(count) bytes of the vectors", disk))
        }
        disk["vectors.f32"] = newVectors
        for count in stride(from: 0, through: newLog.count, by: 2060) {
            disk[log] = Array(newLog.prefix(count)) + Array(oldLog.dropFirst(count))
            steps.append(("\(count) bytes of the log", disk))
        }
        disk[log] = newLog
        steps.append(("the whole log", disk))
        let (oldPages, newPages) = (before["ids.sqlite"] ?? [], after["ids.sqlite"] ?? [])
        for count in stride(from: 0, through: newPages.count, by: 4096) {
            disk["ids.sqlite"] = Array(newPages.prefix(count)) + Array(oldPages.dropFirst(count))
            steps.append(("\(count) bytes of the database", disk))
        }
        disk["ids.sqlite"] = newPages
        disk["seal.partial"] = Array("ids.sqlite 1".utf8)
        steps.append(("a part of the seal", disk))
        steps.append(("the end", after))
        for (number, (name, files)) in steps.enumerated() {
            try expect(
                files, is: [old, new], what: "\(change), after \(name)",
                byReadingOnly: number % 4 > 0)
        }
        try expect(after, is: [new], what: "\(change), at the end")
    }

    /// The state of a process that ended before it stored anything.
    @Test func unfinishedNewIndexIsCompleted() throws {
        try expect(["vectors.f32": [], "ids.sqlite": []], what: "empty files")
        let begun = try place(["vectors.f32": [], "ids.sqlite": []])
        let error = #expect(throws: VectorIndexError.self) { try VectorIndex(reading: begun) }
        #expect("\(try #require(error))".contains("nothing is stored in it yet"), "\(error)")
        try Self.add(0..<3, to: VectorIndex(at: begun, dimension: 16))
        try VectorIndexTests.expect(
            VectorIndex(reading: begun), has: Self.contents(0..<3), "made after all")
    }

    private func expect(_ contents: [String: [UInt8]], what: String) throws {
        let path = try place(contents)
        let index = try VectorIndex(at: path, dimension: 16)
        try VectorIndexTests.expect(index, has: [:], what)
    }

    @Test(arguments: ["ids.sqlite", "vectors.f32", "vectors.i8", "seal"])
    func damageIsDetectedOrHarmless(name: String) throws {
        do {
            let index = try VectorIndex(
                at: path, dimension: 16, threads: 2, quantizingFrom: 20)
            try Self.add(0..<40, to: index)
        }
        let whole = try bytesOfFiles()
        let file = try #require(whole[name])
        let expected = Self.contents(0..<40)
        try VectorIndexTests.expect(VectorIndex(reading: path), has: expected, "whole")
        var (noticed, uses) = (0, 0)
        func use(_ damaged: [UInt8]?, _ what: String) throws {
            uses += 1
            var contents = whole
            contents[name] = damaged
            let path = try place(contents)
            do throws(VectorIndexError) {
                let index =
                    try uses % 4 == 0
                    ? VectorIndex(at: path, dimension: 16) : VectorIndex(reading: path)
                let found = try index.search(VectorIndexTests.vector(3), top: 40)
                #expect(Set(found.map(\.id)) == Set(expected.keys), "\(what) of \(name)")
                let best = try index.search(VectorIndexTests.vector(3), top: 1)
                #expect(best == Array(found.prefix(1)), "\(what) of \(name)")
                for match in found {
                    let vector = VectorIndexTests.vector(expected[match.id] ?? -1)
                    let cosine = VectorIndexTests.cosine(vector, VectorIndexTests.vector(3))
                    #expect(abs(Double(match.cosine) - cosine) < 1e-5, "\(what) of \(name)")
                }
            } catch {
                noticed += 1
            }
        }
        for offset in stride(from: 0, to: file.count, by: max(1, file.count / 60)) {
            var damaged = file
            damaged[offset] ^= 0x55
            try use(damaged, "byte \(offset)")
        }
        for count in [0, 1, file.count / 2, file.count - 1] {
            try use(Array(file.prefix(count)), "\(count) bytes")
        }
        try use(nil, "all bytes")
        let isNeeded = name == "ids.sqlite" || name == "vectors.f32"
        #expect(isNeeded ? noticed > 10 : noticed == 0, "\(noticed) errors of \(name)")
    }

    /// The seal is trusted when the index is opened, but the rows of a result are checked.
    @Test func searchDetectsSealedDamage() throws {
        try Self.add(0..<40, to: VectorIndex(at: path, dimension: 16))
        var vectors = try bytes(ofFile: path + "/vectors.f32")
        vectors[3 * 64 + 2] ^= 0x40
        try Data(vectors).write(to: URL(fileURLWithPath: path + "/vectors.f32"))
        try IndexSeal.write(FilePath(path), database: "ids.sqlite")
        let index = try VectorIndex(reading: path)
        let reason = "the vector of id 3 does not match its checksum"
        let damage = VectorIndexError.damaged(path: path, reason: reason)
        #expect(throws: damage) { try index.search(VectorIndexTests.vector(1), top: 40) }
        #expect(throws: damage) { try index.vector(for: "id 3") }
        #expect(try index.vector(for: "id 4") != nil)
    }

    @Test(arguments: [
        "UPDATE ids SET row = 39 - row", "UPDATE ids SET row = 1000 WHERE number = 2",
        "UPDATE ids SET row = -1 WHERE number = 2", "UPDATE ids SET sums = x'00' WHERE number = 2",
        "UPDATE ids SET id = x'00' WHERE number = 2", "DELETE FROM ids WHERE number = 2",
        "UPDATE facts SET value = '39' WHERE name = 'count'",
        "UPDATE facts SET value = '-1' WHERE name = 'rows'",
        "UPDATE facts SET value = '15' WHERE name = 'dimension'",
        "UPDATE facts SET value = '2' WHERE name = 'version'", "DELETE FROM facts",
        "CREATE TRIGGER t AFTER INSERT ON ids BEGIN DELETE FROM ids; END",
    ])
    func changedEntriesAreRefused(_ sql: String) throws {
        try Self.add(0..<40, to: VectorIndex(at: path, dimension: 16))
        do {
            let database = try SQLite(path: FilePath(path + "/ids.sqlite"), isForWriting: true)
            if sql.contains("39 - row") {
                // Rows are unique at all times.
                try database.run("UPDATE ids SET row = row + 100")
                try database.run("UPDATE ids SET row = 139 - row")
            } else {
                try database.run(sql)
            }
        }
        #expect(throws: VectorIndexError.self, "\(sql)") { try VectorIndex(reading: path) }
        #expect(throws: VectorIndexError.self, "\(sql)") {
            try VectorIndex(at: path, dimension: 16)
        }
    }

    @Test(arguments: ["vectors.f32", "ids.sqlite", "ids.sqlite-wal"])
    func plantedLinksAreNotWritten(_ name: String) throws {
        try VectorIndex(at: path, dimension: 16).add("a", vector: VectorIndexTests.vector(1))
        let victim = try folder.write("victim", Array("precious".utf8))
        try? files.removeItem(atPath: "\(path)/\(name)")
        try files.createSymbolicLink(atPath: "\(path)/\(name)", withDestinationPath: victim)
        #expect(throws: VectorIndexError.self, "\(name)") {
            try VectorIndex(at: path, dimension: 16)
        }
        #expect(try bytes(ofFile: victim) == Array("precious".utf8))
    }

    private final class Flag: Sendable {
        let value = Atomic(false)
    }

    /// While a writer replaces all vectors again and again, a search finds those of a single batch.
    @Test func sixteenTasksSearchDuringWrites() async throws {
        let writer = try VectorIndex(at: path, dimension: 16, threads: 2)
        let reader = try VectorIndex(reading: path, threads: 2)
        // The vectors of batch n have the seeds from 100 n on.
        func batch(_ number: Int) -> Embeddings {
            VectorIndexTests.vectors((100 * number)..<(100 * number + 20))
        }
        let ids = VectorIndexTests.ids(0..<20)
        try writer.add(ids, vectors: batch(0))
        let batches = (0..<40).map(batch)
        let query = VectorIndexTests.vector(7)
        let cosines = batches.map { batch in
            (0..<20).map { Float(VectorIndexTests.cosine(batch[$0], query)) }
        }
        let (isOver, path) = (Flag(), path)
        let writing = Task {
            defer { isOver.value.store(true, ordering: .relaxed) }
            for batch in batches.dropFirst() {
                try writer.add(ids, vectors: batch)
                try writer.add("more", vector: query)
                try writer.remove(["more"])
            }
        }
        let wrong = try await withThrowingTaskGroup(of: [String].self) { group in
            for task in 0..<16 {
                group.addTask {
                    var wrong: [String] = []
                    var round = 0
                    while round < 3 || !isOver.value.load(ordering: .relaxed) {
                        let index =
                            task % 4 == 3
                            ? try VectorIndex(reading: path)
                            : task % 2 == 0 ? writer : reader
                        let found = try index.search(query, top: 30).filter { $0.id != "more" }
                        let values = Dictionary(
                            found.map { ($0.id, $0.cosine) }, uniquingKeysWith: { $1 })
                        let isOfABatch = cosines.contains { cosines in
                            zip(ids, cosines).allSatisfy { abs((values[$0] ?? 9) - $1) < 1e-5 }
                        }
                        if !isOfABatch || values.count != 20 {
                            wrong.append("task \(task), round \(round): \(found)")
                        }
                        if try index.vector(for: "id 3") == nil {
                            wrong.append("task \(task), round \(round): no vector of id 3")
                        }
                        round += 1
                    }
                    return wrong
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        try await writing.value
        #expect(wrong.isEmpty, "\(wrong.count) wrong, such as \(wrong.prefix(3))")
        #expect(try writer.count == 20 && reader.count == 20)
    }
}
