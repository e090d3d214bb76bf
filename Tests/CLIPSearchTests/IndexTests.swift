import Files
import CLIP
import Foundation
import TestSupport
import Testing

@testable import CLIPSearch
@testable import Tensors

/// Tests the index of a folder.
@Suite struct IndexTests {
    private let folder: TemporaryFolder
    private let model: CLIPModel
    private var path: FilePath { FilePath(folder.path + "/photos") }

    init() throws {
        folder = try TemporaryFolder()
        try FileManager.default.createDirectory(
            atPath: folder.path + "/photos/sub", withIntermediateDirectories: true)
        model = try CLIPModel(path: Fixtures.path("models/seeded"), threads: 2)
    }

    /// Writes a small PNG with different pixels for every seed.
    private func add(_ name: String, seed: Int) throws {
        try Data(SmallPNG.bytes(seed)).write(to: URL(fileURLWithPath: "\(path)/\(name)"))
    }

    @discardableResult
    private func update(_ model: CLIPModel? = nil) throws -> IndexUpdate.Summary {
        try IndexUpdate(
            folder: path, model: model ?? self.model, modelName: "seeded",
            decoding: .init()
        ).run()
    }

    private func names(_ matches: [FolderIndex.Match]) -> [String] {
        matches.map { String($0.path.description.dropFirst(path.bytes.count + 1)) }
    }

    @Test func searchMatchesBruteForce() throws {
        for seed in 0..<40 {
            try add(seed % 2 == 0 ? "\(seed).png" : "sub/\(seed).png", seed: seed)
        }
        try add("copy.png", seed: 7)  // the same cosine as sub/7.png
        #expect(try update().encoded == 41)
        let index = try FolderIndex(folder: path)
        #expect(index.count == 41)
        #expect(index.modelName == "seeded")

        let files = try ImageCollection([.path(path)]).map { try #require($0).name.description }
        let all = try model.encode(images: files.map { try RGBImage(contentsOfFile: $0) })
        for text in ["a cat", "a dog", "x"] {
            let query = try model.encode(texts: [text])
            let cosines = try all.cosineSimilarities(to: query).map { $0[0] }
            let expected = files.indices.sorted {
                (cosines[$1], files[$0]) < (cosines[$0], files[$1])
            }
            for top in [1, 7, 41, 100] {
                let found = try index.search(query.values, top: top)
                #expect(found.map(\.path.description) == expected.prefix(top).map { files[$0] })
                for (match, place) in zip(found, expected) {
                    #expect(abs(match.cosine - cosines[place]) < 1e-6)
                }
            }
            let half = (cosines.max()! + cosines.min()!) / 2
            let found = try index.search(query.values, top: 100, threshold: half)
            #expect(found.count == cosines.count { $0 >= half })
        }
    }

    @Test func changesAreDetected() throws {
        for seed in 0..<6 { try add("\(seed).png", seed: seed) }
        try Data("no image".utf8).write(to: URL(fileURLWithPath: "\(path)/bad.jpg"))
        let first = try update()
        #expect(first.encoded == 6)
        #expect(first.failures.count == 1)
        let again = try update()
        #expect(again.encoded == 0)
        #expect(again.unchanged == 6)
        #expect(again.failures.count == 1)

        let files = FileManager.default
        try files.moveItem(atPath: "\(path)/0.png", toPath: "\(path)/sub/moved.png")
        try files.removeItem(atPath: "\(path)/1.png")
        try add("2.png", seed: 100)  // changed
        try add("twin.png", seed: 3)  // new, though its content is known
        try files.removeItem(atPath: "\(path)/bad.jpg")
        let third = try update()
        #expect(third.encoded == 2)
        #expect(third.moved == 1)
        #expect(third.deleted == 2)
        #expect(third.unchanged == 3)
        #expect(third.failures.isEmpty)
        let index = try FolderIndex(folder: path)
        let query = try model.encode(images: [RGBImage(decoding: SmallPNG.bytes(0))]).values
        let found = try index.search(query, top: 10)
        #expect(names(found).first == "sub/moved.png" && abs(found[0].cosine - 1) < 1e-6)
        #expect(
            Set(names(found)) == ["sub/moved.png", "2.png", "3.png", "4.png", "5.png", "twin.png"])
        // Removed files take no place from existing ones.
        #expect(
            try index.search(
                model.encode(images: [RGBImage(decoding: SmallPNG.bytes(1))]).values, top: 6
            )
            .count == 6)
    }

    @Test func namesOfAnyBytes() throws {
        let odd: [[UInt8]] = [[0x61, 0xFF], Array("a b\n\"é🙂".utf8)]
        for (seed, name) in odd.enumerated() {
            let full = path.appending(name + ".png".utf8)
            let file = try OutputFile(path: folder.path + "/new")
            try file.write(SmallPNG.bytes(seed))
            try file.finish()
            try renameFile(Array("\(folder.path)/new".utf8), to: full.bytes)
        }
        #expect(try update().encoded == 2)
        let found = try FolderIndex(folder: path)
            .search([Float](repeating: 1, count: 16), top: 5).map(\.file)
        #expect(Set(found) == Set(odd.map { path.appending($0 + ".png".utf8) }))
    }

    @Test func anotherModelIsRefused() throws {
        try add("1.png", seed: 1)
        try update()
        let other = try CLIPModel(path: Fixtures.path("models/vit"))
        let bf16 = try model.at(precision: Precision.bf16.isSupported ? .bf16 : .fp32)
        for model in [other, bf16, try model.at(resolution: 64)]
        where model.fingerprint != self.model.fingerprint || model.precision != .fp32 {
            let error = #expect(throws: IndexError.self) { try update(model) }
            guard case .otherModel = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
        }
        #expect(try update().unchanged == 1)
    }

    @Test func writersExcludeEachOtherNotReaders() throws {
        for seed in 0..<4 { try add("\(seed).png", seed: seed) }
        try update()
        try add("new.png", seed: 9)
        let writer = try IndexUpdate(
            folder: path, model: model, modelName: "seeded", decoding: .init())
        #expect(throws: IndexError.busy(folder: path.description)) { try update() }
        let query = [Float](repeating: 1, count: 16)
        let reader = try FolderIndex(folder: path)
        #expect(try reader.search(query, top: 9).count == 4)
        #expect(try writer.run().encoded == 1)
        #expect(try reader.search(query, top: 9).count == 4)
        #expect(try FolderIndex(folder: path).search(query, top: 9).count == 5)
    }

    @Test func damageIsReported() throws {
        #expect(throws: IndexError.missing(folder: path.description)) {
            try FolderIndex(folder: path)
        }
        try add("1.png", seed: 1)
        try update()
        let vectors = "\(path)/.clip-index/vectors.f32"
        let whole = try bytes(ofFile: vectors)
        try Data(whole.dropLast()).write(to: URL(fileURLWithPath: vectors))
        for attempt in [{ _ = try FolderIndex(folder: path) }, { _ = try update() }] {
            let error = #expect(throws: IndexError.self) { try attempt() }
            #expect("\(try #require(error))".contains("vectors.f32 is shorter"), "\(error)")
        }
        // Unreferenced rows at the end are the result of an interrupted update.
        try Data(whole + [1, 2, 3]).write(to: URL(fileURLWithPath: vectors))
        #expect(try update().unchanged == 1)
        #expect(try bytes(ofFile: vectors) == whole)
        try Data("no database, but long enough to be taken for one".utf8).write(
            to: URL(fileURLWithPath: "\(path)/.clip-index/files.sqlite"))
        let error = #expect(throws: IndexError.self) { try FolderIndex(folder: path) }
        #expect("\(try #require(error))".contains("not a database"))
    }

    @Test func rowsOfDeletedFilesAreReused() throws {
        for seed in 0..<20 { try add("\(seed).png", seed: seed) }
        try update()
        let reader = try FolderIndex(folder: path)
        for seed in 4..<20 { try FileManager.default.removeItem(atPath: "\(path)/\(seed).png") }
        #expect(try update().deleted == 16)
        let query = [Float](repeating: 1, count: 16)
        #expect(
            Set(names(try reader.search(query, top: 9))) == ["0.png", "1.png", "2.png", "3.png"])
        for seed in 30..<50 { try add("\(seed).png", seed: seed) }
        #expect(try update().encoded == 20)
        #expect(try bytes(ofFile: "\(path)/.clip-index/vectors.f32").count == 24 * 16 * 4)
        let contents = try FolderIndex(folder: path).contents()
        let (images, embeddings) = (contents.images, contents.embeddings)
        #expect(images.count == 24)
        #expect(embeddings.count == 24)
        let all = try model.encode(
            images: images.map { try RGBImage(contentsOfFile: $0.path.description) })
        #expect(embeddings == all.normalized())
        // An index that was opened before finds its own images and nothing wrong.
        for match in try reader.search(query, top: 24) {
            let row = try #require(images.firstIndex { $0.path == match.path })
            let cosine = try Embeddings(rows: all[row], dimension: 16)
                .cosineSimilarities(to: Embeddings(rows: query, dimension: 16))[0][0]
            #expect(abs(match.cosine - cosine) < 1e-6)
        }
    }

    /// On a read-only disk, SQLite must create no files beside the database.
    @Test func readOnlyDatabaseIsRead() throws {
        let odd = FilePath(folder.path).appending(
            [0x61, 0xFF, 0x25, 0x3F, 0x23] + " é.sqlite".utf8)
        do {
            let database = try IndexDatabase(path: odd, isForWriting: true)
            try database.setFact("a", "b")
        }
        let database = try SQLite(path: odd, isForWriting: false, isFixed: true)
        #expect(try database.run("SELECT value FROM facts").first?[0].text == "b")
        #expect(throws: FileError.self) { try database.run("DELETE FROM facts") }
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(!names.contains { $0.hasSuffix("-shm") })
    }

    @Test func quantisedIndexGivesTheSameResult() throws {
        func quantized() throws -> QuantizedVectors? {
            QuantizedVectors(try MappedFile(path: "\(path)/.clip-index/vectors.i8"))
        }
        func update() throws {
            let update = try IndexUpdate(
                folder: path, model: model, modelName: "seeded", decoding: .init())
            update.quantizingFrom = 64
            _ = try update.run()
        }
        for seed in 0..<63 { try add("\(seed).png", seed: seed) }
        try update()
        #expect(throws: FileError.self) { try quantized() }
        try add("63.png", seed: 63)
        try update()
        #expect(try quantized()?.count == 64)
        for seed in 64..<70 { try add("\(seed).png", seed: seed) }
        try update()
        #expect(try quantized()?.count == 64)  // so few more are looked at by themselves
        for top in [1, 3] {
            let index = try FolderIndex(folder: path)
            for seed in [0, 5, 63, 68] {
                let query = try model.encode(images: [RGBImage(decoding: SmallPNG.bytes(seed))])
                    .values
                let found = try index.search(query, top: top)
                #expect(names(found).first == "\(seed).png")
                #expect(found.count == top)
            }
        }
        for seed in 0..<40 { try FileManager.default.removeItem(atPath: "\(path)/\(seed).png") }
        try update()
        try add("again.png", seed: 5)
        try update()  // written over a row that was rounded
        let query = try model.encode(images: [RGBImage(decoding: SmallPNG.bytes(5))]).values
        #expect(try quantized()?.generation == 1)
        #expect(names(try FolderIndex(folder: path).search(query, top: 1)) == ["again.png"])
    }
}
