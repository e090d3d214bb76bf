import Files
import CLIP
import CLIPSearch
import Foundation
import Synchronization
import TestSupport
import Testing

/// Tests an index that is rebuilt while it is used.
@Suite struct IndexRebuildTests {
    private let folder: TemporaryFolder
    private let models: [CLIPModel]
    private var path: FilePath { FilePath(folder.path) }

    init() throws {
        folder = try TemporaryFolder()
        for name in ["rgb.jpg", "grey.jpg", "tall.png", "wide.png", "square.png"] {
            try folder.copy(Fixtures.path("images/\(name)"), as: name)
        }
        let model = try CLIPModel(path: Fixtures.path("models/seeded"), threads: 1)
        // Vectors of the same dimension from another embedding space.
        models = [model, try model.at(resolution: 48)]
    }

    private func update(_ model: Int, isRebuild: Bool = true) throws -> IndexUpdate.Summary {
        try IndexUpdate(
            folder: path, model: models[model], modelName: "\(model)", decoding: .init(),
            isRebuild: isRebuild
        ).run()
    }

    /// Every search sees either the old index or the new one, complete.
    @Test func searchesDuringRebuildsSeeOneIndex() throws {
        let query = try models[0].encode(texts: ["a cat"]).values
        let expected = try models.indices.map { model in
            #expect(try update(model).encoded == 5)
            return try FolderIndex(folder: path).search(query, top: 5)
        }
        #expect(expected[0] != expected[1])

        let failure = Mutex<String?>(nil)
        let isDone = Mutex(false)
        let finished = DispatchSemaphore(value: 0)
        nonisolated(unsafe) let tests = self  // the models are Sendable, the folder is only read
        Thread.detachNewThread {
            for round in 0..<30 {
                do {
                    _ = try tests.update(round % 2)
                } catch {
                    failure.withLock { $0 = "round \(round): \(error)" }
                }
            }
            isDone.withLock { $0 = true }
            finished.signal()
        }
        var seen = [0, 0]
        while !isDone.withLock({ $0 }) {
            let index = try FolderIndex(folder: path)
            let model = try #require(Int(index.modelName))
            let found = try index.search(query, top: 5)
            #expect(found == expected[model], "model \(model)")
            seen[model] += 1
        }
        finished.wait()
        #expect(failure.withLock { $0 } == nil)
        #expect(seen.allSatisfy { $0 > 0 }, "\(seen)")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(names.filter { $0.hasPrefix(".clip") } == [".clip-index"])
    }

    @Test func secondWriterIsRejected() throws {
        _ = try update(0)
        let rebuild = try IndexUpdate(
            folder: path, model: models[1], modelName: "1", decoding: .init(), isRebuild: true)
        #expect(throws: IndexError.busy(folder: path.description)) {
            try update(0, isRebuild: false)
        }
        #expect(throws: IndexError.busy(folder: path.description)) { try update(0) }
        #expect(try FolderIndex(folder: path).modelName == "0")
        #expect(try rebuild.run().encoded == 5)
        #expect(try FolderIndex(folder: path).modelName == "1")
    }

    /// The unfinished rebuild with another model is not reused.
    @Test func rebuildContinuesOnlyWithTheSameModel() throws {
        _ = try update(0)
        var isFirst = true
        do {
            let rebuild = try IndexUpdate(
                folder: path, model: models[1], modelName: "1", decoding: .init(), isRebuild: true)
            _ = try? rebuild.run { _ in
                if isFirst { _ = rebuild.keep() }
                isFirst = false
            }
        }
        #expect(FolderIndex.hasUnfinishedRebuild(in: path))
        #expect(try FolderIndex(folder: path).modelName == "0")
        let summary = try update(0)
        #expect(summary.encoded == 5)
        #expect(summary.unchanged == 0)
        #expect(!FolderIndex.hasUnfinishedRebuild(in: path))
        #expect(try FolderIndex(folder: path).model.resolution == 32)
        #expect(summary.encoded == 5 && summary.unchanged == 0)
        #expect(!FolderIndex.hasUnfinishedRebuild(in: path))
        #expect(try FolderIndex(folder: path).model.resolution == 32)
    }

    // MARK: links and foreign files

    private var names: [String] {
        get throws {
            try FileManager.default.contentsOfDirectory(atPath: folder.path)
                .filter { $0.hasPrefix(".clip") }.sorted()
        }
    }

    private func link(_ name: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(
            atPath: "\(folder.path)/\(name)", withDestinationPath: target)
    }

    private func found() throws -> Int {
        try FolderIndex(folder: path).search([Float](repeating: 1, count: 16), top: 9).count
    }

    /// Such links may come with the images.
    @Test(arguments: [".clip-index.old", ".clip-index.new"])
    func rebuildDeletesNothingBehindLinks(name: String) throws {
        let documents = try TemporaryFolder()
        for name in ["letter.txt", "seal", "files.sqlite"] {
            try documents.write(name, "precious".utf8)
        }
        _ = try update(0, isRebuild: false)
        try link(name, to: documents.path)
        #expect(try update(1).encoded == 5)
        for name in ["letter.txt", "seal", "files.sqlite"] {
            #expect(
                try bytes(ofFile: "\(documents.path)/\(name)") == Array("precious".utf8), "\(name)")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: documents.path).count == 3)
        #expect(try names == [".clip-index"])
        #expect(try found() == 5)
    }

    /// An index on another disk is rebuilt there, and its link is kept.
    @Test(arguments: ["", "/"]) func linkedIndexIsRebuiltAtItsTarget(slash: String) throws {
        let disk = try TemporaryFolder()
        let files = FileManager.default
        try files.createDirectory(atPath: disk.path + "/vectors", withIntermediateDirectories: true)
        try link(".clip-index", to: disk.path + "/vectors" + slash)
        #expect(try update(0, isRebuild: false).encoded == 5)
        for model in [1, 0] {
            #expect(try update(model).encoded == 5)
            #expect(try FolderIndex(folder: path).modelName == "\(model)")
            #expect(try found() == 5)
            #expect(try files.contentsOfDirectory(atPath: disk.path) == ["vectors"])
            #expect(try names == [".clip-index"])
        }
        #expect(
            try files.destinationOfSymbolicLink(atPath: folder.path + "/.clip-index")
                .hasPrefix(disk.path + "/vectors"))
        // The state of a process that ended between the two steps of a replacement.
        try files.moveItem(atPath: disk.path + "/vectors", toPath: disk.path + "/vectors.old")
        #expect(try found() == 5)
        #expect(try update(0, isRebuild: false).unchanged == 5)
        #expect(try files.contentsOfDirectory(atPath: disk.path) == ["vectors"])
    }

    @Test func linkToAMissingIndexIsReported() throws {
        let disk = try TemporaryFolder()
        try link(".clip-index", to: disk.path + "/vectors")
        let error = #expect(throws: IndexError.self) { try update(0, isRebuild: false) }
        #expect("\(try #require(error))".contains("is missing"), "\(error)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: disk.path).isEmpty)
    }

    @Test func rebuildKeepsOtherFilesInTheIndex() throws {
        _ = try update(0, isRebuild: false)
        try folder.write(".clip-index/note.txt", "mine".utf8)
        #expect(try update(1).encoded == 5)
        #expect(try bytes(ofFile: folder.path + "/.clip-index/note.txt") == Array("mine".utf8))
        #expect(try names == [".clip-index"])
    }

    /// The error is thrown before anything is encoded, not after hours.
    @Test func foreignFileInPlaceOfTheOldIndexIsReported() throws {
        _ = try update(0, isRebuild: false)
        try FileManager.default.createDirectory(
            atPath: folder.path + "/.clip-index.old", withIntermediateDirectories: true)
        let letter = try folder.write(".clip-index.old/letter.txt", "mine".utf8)
        let error = #expect(throws: IndexError.self) {
            try IndexUpdate(
                folder: path, model: models[1], modelName: "1", decoding: .init(), isRebuild: true)
        }
        #expect("\(try #require(error))".contains("letter.txt"), "\(error)")
        #expect(try bytes(ofFile: letter) == Array("mine".utf8))
        #expect(try FolderIndex(folder: path).modelName == "0")
    }
}
