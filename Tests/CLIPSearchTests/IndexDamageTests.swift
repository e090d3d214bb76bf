import Files
import CLIP
import Foundation
import TestSupport
import Testing

@testable import CLIPSearch
@testable import Tensors

/// Tests indexes that another program has changed, or that came with the images.
@Suite struct IndexDamageTests {
    private let folder: TemporaryFolder
    private let model: CLIPModel
    private var path: FilePath { FilePath(folder.path + "/photos") }
    private var place: FilePath { path.appending(FolderIndex.location) }
    private let files = FileManager.default

    init() throws {
        folder = try TemporaryFolder()
        try files.createDirectory(
            atPath: folder.path + "/photos", withIntermediateDirectories: true)
        model = try CLIPModel(path: Fixtures.path("models/seeded"), threads: 2)
        for seed in 0..<5 {
            try Data(SmallPNG.bytes(seed)).write(to: URL(fileURLWithPath: "\(path)/\(seed).png"))
        }
        try update()
    }

    private func update(isRebuild: Bool = false) throws {
        _ = try IndexUpdate(
            folder: path, model: model, modelName: "seeded", decoding: .init(),
            isRebuild: isRebuild
        ).run()
    }

    private func change(_ sql: String, _ values: [SQLite.Value] = []) throws {
        let database = try SQLite(path: place.appending("files.sqlite".utf8), isForWriting: true)
        try database.run(sql, values)
    }

    /// All operations that read or update an index.
    private var uses: [(name: String, run: () throws -> Void)] {
        [
            (
                "search",
                {
                    _ = try FolderIndex(folder: path).search(
                        .init(repeating: 1, count: 16), top: 5)
                }
            ),
            ("contents", { _ = try FolderIndex(folder: path).contents() }),
            ("update", { try update() }),
        ]
    }

    private func expectDamage(_ what: String) {
        for use in uses {
            let error = #expect(throws: IndexError.self, "\(what): \(use.name)") { try use.run() }
            guard let error else { continue }
            #expect("\(error)".contains("is damaged"), "\(what): \(use.name): \(error)")
        }
    }

    @Test(arguments: [
        "../x.png", "/etc/x.png", "", "a/../b.png", "a//b.png", "./b.png", "a\0b.png", "sub/..",
    ])
    func plantedPathsAreRefused(_ planted: String) throws {
        try change(
            "UPDATE files SET path = ? WHERE id = 2", [.blob(Array(planted.utf8))])
        expectDamage("the path \(planted.debugDescription)")
        try update(isRebuild: true)
        #expect(try FolderIndex(folder: path).count == 5)
    }

    @Test func indexWithoutModelRecordIsNotEmptied() throws {
        try change("DELETE FROM facts WHERE name = 'fingerprint'")
        let error = #expect(throws: IndexError.self) { try update() }
        #expect("\(try #require(error))".contains("is damaged"), "\(error)")
        let database = try SQLite(path: place.appending("files.sqlite".utf8), isForWriting: false)
        #expect(try database.run("SELECT count(row) FROM files")[0][0].integer == 5)
    }

    /// Writes a row as an attacker would, with valid checksums.
    @Test func plantedPathsAreRefusedWithChecksums() throws {
        let database = try IndexDatabase(
            path: place.appending("files.sqlite".utf8), isForWriting: true)
        var (id, file) = try #require(try database.file(at: "2.png"))
        file.path = "../x.png"
        file.sums = file.sums.map { RowSums(file, vectorSum: $0.vector) }
        try database.set(file, id: id)
        expectDamage("a path with its checksum")
    }

    @Test(arguments: [
        "row = -1", "row = 1000000000000", "row = 'x'", "row = 4", "size = -2", "size = 7",
        "width = -1", "width = 1e300", "height = 99", "digest = x'00'", "digest = zeroblob(32)",
        "sums = x'00'", "sums = zeroblob(16)", "path = 'text.png'",
    ])
    func impossibleEntriesAreRefused(_ change: String) throws {
        try self.change("UPDATE files SET \(change) WHERE path = CAST('2.png' AS BLOB)")
        expectDamage(change)
    }

    @Test(arguments: [
        "DELETE FROM files WHERE id = 2", "UPDATE facts SET value = '6' WHERE name = 'rows'",
        "UPDATE facts SET value = '-1' WHERE name = 'rows'",
        "UPDATE facts SET value = '99999999999999999999' WHERE name = 'generation'",
        "UPDATE facts SET value = '7' WHERE name = 'generation'",
        "UPDATE facts SET value = 'gelu' WHERE name = 'activation'",
        "DELETE FROM facts WHERE name = 'sum'",
        "CREATE TRIGGER t AFTER INSERT ON files BEGIN DELETE FROM files; END",
    ])
    func changedFactsAreRefused(_ sql: String) throws {
        try change(sql)
        let changed = #expect(throws: IndexError.self, "\(sql)") {
            _ = try FolderIndex(folder: path).contents()
        }
        #expect("\(try #require(changed))".contains("is damaged"), "\(sql): \(changed)")
    }

    @Test(arguments: [true, false]) func changedVectorsAreDetected(keepingTime: Bool) throws {
        let file = "\(place)/vectors.f32"
        let time = try files.attributesOfItem(atPath: file)[.modificationDate]
        var vectors = try bytes(ofFile: file)
        vectors[2 * 64 + 3] ^= 0x40
        try Data(vectors).write(to: URL(fileURLWithPath: file))
        if keepingTime, let time {
            try files.setAttributes([.modificationDate: time], ofItemAtPath: file)
        }
        for use in uses where !keepingTime || use.name != "update" {
            #expect(throws: IndexError.self, "\(use.name)") { try use.run() }
        }
    }

    /// The database is unchanged, except for the SQL index that finds files by their rows.
    @Test func everyByteOfTheDatabaseIsChecked() throws {
        let file = "\(place)/files.sqlite"
        let whole = try bytes(ofFile: file)
        let expected = try FolderIndex(folder: path).search(
            .init(repeating: 1, count: 16), top: 5)
        var noticed = 0
        for offset in stride(from: 0, to: whole.count, by: 97) {
            var damaged = whole
            damaged[offset] ^= 0x55
            try Data(damaged).write(to: URL(fileURLWithPath: file))
            do {
                let found = try FolderIndex(folder: path).search(
                    .init(repeating: 1, count: 16), top: 5)
                #expect(found == expected, "byte \(offset)")
            } catch {
                noticed += 1
            }
        }
        #expect(noticed > 10)
    }

    @Test(arguments: ["vectors.f32", "files.sqlite", "files.sqlite-wal"])
    func plantedLinksAreNotWritten(_ name: String) throws {
        let victim = try folder.write("victim", Array("precious".utf8))
        try? files.removeItem(atPath: "\(place)/\(name)")
        try files.createSymbolicLink(atPath: "\(place)/\(name)", withDestinationPath: victim)
        let error = #expect(throws: IndexError.self) { try update() }
        #expect("\(try #require(error))".contains("symbolic link"), "\(error)")
        #expect(try bytes(ofFile: victim) == Array("precious".utf8))
    }

    @Test func foreignQuantisedVectorsAreNotTrusted() throws {
        let update = try IndexUpdate(
            folder: path, model: model, modelName: "seeded", decoding: .init())
        update.quantizingFrom = 5
        _ = try update.run()
        let file = "\(place)/vectors.i8"
        let query = [Float](repeating: 1, count: 16)
        let expected = try FolderIndex(folder: path).search(query, top: 1)
        var rounded = try bytes(ofFile: file)
        for index in (rounded.count - 5 * 16)..<rounded.count { rounded[index] = 0x81 }
        try Data(rounded).write(to: URL(fileURLWithPath: file))
        #expect(try FolderIndex(folder: path).search(query, top: 1) == expected)
    }

    @Test func anyResultCountIsAccepted() throws {
        try files.removeItem(atPath: "\(path)/0.png")
        try update()
        let found = try FolderIndex(folder: path).search(
            .init(repeating: 1, count: 16), top: .max / 2 + 1)
        #expect(found.count == 4)
    }

    // MARK: sealed damage

    /// Changes a byte, and seals the index as an update would.
    private func flip(_ name: String, at offset: Int, in place: FilePath) throws {
        var changed = try bytes(ofFile: "\(place)/\(name)")
        changed[offset] ^= 0x40
        try Data(changed).write(to: URL(fileURLWithPath: "\(place)/\(name)"))
        try IndexSeal.write(place)
    }

    private func verify(quantizingFrom rows: Int = 5) throws {
        let update = try IndexUpdate(
            folder: path, model: model, modelName: "seeded", decoding: .init(), isVerifying: true)
        update.quantizingFrom = rows
        _ = try update.run()
    }

    @Test func verifyChecksVectorChecksums() throws {
        try verify()
        try flip("vectors.f32", at: 2 * 64 + 3, in: place)
        try update()
        let error = #expect(throws: IndexError.self) { try verify() }
        #expect("\(try #require(error))".contains("does not match its checksum"), "\(error)")
    }

    @Test func verifyQuantisesTheVectorsAgain() throws {
        try verify()
        let whole = try bytes(ofFile: "\(place)/vectors.i8")
        try flip("vectors.i8", at: whole.count - 3, in: place)
        try verify()
        #expect(try bytes(ofFile: "\(place)/vectors.i8") == whole)
    }

    @Test(arguments: ["files.sqlite", "facts", "model", "vectors.f32", "sealed vectors.f32"])
    func damagedUnfinishedRebuildIsRestarted(damage: String) throws {
        do {
            let rebuild = try IndexUpdate(
                folder: path, model: model, modelName: "seeded", decoding: .init(), isRebuild: true)
            _ = try? rebuild.run { _ in _ = rebuild.keep() }
        }
        #expect(FolderIndex.hasUnfinishedRebuild(in: path))
        let new = FolderIndex.newPlace(in: path)
        let database = new.appending("files.sqlite".utf8)
        switch damage {
        case "files.sqlite":
            try Data("no database, but long enough to be taken for one".utf8).write(
                to: URL(fileURLWithPath: "\(database)"))
        case "facts":
            try SQLite(path: database, isForWriting: true).run(
                "UPDATE facts SET value = '9' WHERE name = 'rows'")
        case "model":
            let database = try IndexDatabase(path: database, isForWriting: true)
            try database.removeFact("fingerprint")
            try database.sealFacts()
        case "vectors.f32":
            try Data().write(to: URL(fileURLWithPath: "\(new)/vectors.f32"))
        default: try flip("vectors.f32", at: 3, in: new)
        }
        let summary = try IndexUpdate(
            folder: path, model: model, modelName: "seeded", decoding: .init(), isRebuild: true
        ).run()
        #expect(summary.encoded == 5, "\(damage): \(summary)")
        #expect(summary.unchanged == 0, "\(damage): \(summary)")
        #expect(try FolderIndex(folder: path).count == 5, "\(damage)")
        #expect(!FolderIndex.hasUnfinishedRebuild(in: path), "\(damage)")
        #expect(summary.encoded == 5 && summary.unchanged == 0, "\(damage): \(summary)")
        #expect(try FolderIndex(folder: path).count == 5, "\(damage)")
        #expect(!FolderIndex.hasUnfinishedRebuild(in: path), "\(damage)")
    }

    /// While an update runs, the search looks for damage again, but not for ever.
    @Test func damageIsReportedDuringUpdates() throws {
        let lock = try RowWriter.lock(place)
        defer { withExtendedLifetime(lock) {} }
        try change("DELETE FROM facts WHERE name = 'sum'")
        let error = #expect(throws: IndexError.self) { try FolderIndex(folder: path) }
        #expect("\(try #require(error))".contains("is damaged"), "\(error)")
    }

    @Test func missingFilesOfAnIndexAreNamed() throws {
        let vectors = place.appending("vectors.f32".utf8).description
        try files.removeItem(atPath: vectors)
        #expect(
            throws: IndexError.damaged(folder: path.description, reason: "vectors.f32 is missing")
        ) {
            try FolderIndex(folder: path)
        }
        #expect(
            throws: IndexError.damaged(
                folder: path.description, reason: "vectors.f32 is shorter than expected")
        ) {
            try update()
        }
        try update(isRebuild: true)
        #expect(try FolderIndex(folder: path).count == 5)
    }

    /// The state after a first update that failed because the disk was full.
    @Test func emptyIndexIsReported() throws {
        for name in try files.contentsOfDirectory(atPath: place.description) {
            try files.removeItem(atPath: "\(place)/\(name)")
        }
        try Data().write(to: URL(fileURLWithPath: "\(place)/files.sqlite"))
        #expect(
            throws: IndexError.empty(folder: path.description)
        ) { try FolderIndex(folder: path) }
        #expect(try FolderIndex.model(ofIndexIn: path) == nil)
        try update()
        #expect(try FolderIndex(folder: path).count == 5)
    }
}
