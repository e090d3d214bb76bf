import CLIP
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import CLIPSearch
@testable import CLIPServer
@testable import Files

/// A flag that tells tasks to end.
private final class Flag: Sendable {
    let isSet = Atomic(false)
}

/// Tests indexes that are updated, damaged, moved or attacked while a server has them open.
@Suite struct IndexPoolTests {
    /// The image at a path, and its id.
    private func item(
        _ path: String, _ served: ServedIndex
    ) throws -> (id: ImageID, item: FolderIndex.Item) {
        let index = try served.current()
        let all = try index.contents().images.flatMap { try index.items(ofDigest: $0.digest) }
        let item = try #require(all.first { $0.path.description == path }, "\(path) in \(all)")
        return (ImageID(item), item)
    }

    private func status(_ body: () throws -> Void) -> Int? {
        do {
            try body()
            return nil
        } catch {
            return (error as? RequestError)?.status ?? 0
        }
    }

    @Test func folderWithoutIndexIsRefused() throws {
        let folder = try IndexedFolder()
        #expect {
            _ = try IndexPool(folders: [folder.path])
        } throws: { ($0 as? IndexError) == .missing(folder: folder.path) }
    }

    @Test func damagedIndexIsRefused() throws {
        let folder = try IndexedFolder(images: 2)
        try folder.write(".clip-index/files.sqlite", Array("no database".utf8))
        #expect(throws: IndexError.self) { _ = try IndexPool(folders: [folder.path]) }
    }

    @Test func indexesHaveNumbersNamesAndRecords() throws {
        let (a, b) = (try IndexedFolder(images: 2), try IndexedFolder(images: 3))
        let pool = try IndexPool(folders: [a.path, b.path + "/"])
        #expect(pool.names == ["photos", "photos"])
        #expect(pool.summaries.map(\.count) == [2, 3])
        #expect(pool.summaries[0].model.fingerprint == a.model.fingerprint)
        #expect(pool.summaries[0].model.publicName == "seeded")
        #expect(try pool.selected([]).map(\.number) == [0, 1])
        #expect(try pool.selected(["1"]).map(\.number) == [1])
        #expect(try pool.selected(["photos", "1"]).map(\.number) == [0, 1])
        for name in ["2", "-1", "", "../photos", a.path] {
            #expect(status { _ = try pool.selected([name]) } == 404, "\(name)")
        }
        #expect(status { _ = try pool.index(2) } == 404)
        #expect(status { _ = try IndexPool(folders: []).selected([]) } == 404)
    }

    @Test func updatesAndRebuildsArePickedUp() throws {
        let folder = try IndexedFolder(images: 3)
        let pool = try IndexPool(folders: [folder.path])
        let served = pool.indexes[0]
        #expect(try served.current().count == 3)
        try folder.add("new.png", seed: 100)
        try folder.update()
        #expect(try served.current().count == 4)
        let (id, _) = try item("new.png", served)
        try folder.remove("new.png")
        try folder.update()
        #expect(try served.current().count == 3)
        #expect(status { _ = try served.item(id) } == 404)
        try folder.add("sub/other.png", seed: 101)
        try folder.update(isRebuild: true)
        #expect(try served.current().count == 4)
        #expect(pool.failures == 0)
    }

    @Test func readersLeaveTheStatesOfTheFilesUnchanged() throws {
        let folder = try IndexedFolder(images: 2)
        let served = try IndexPool(folders: [folder.path]).indexes[0]
        let before = FolderIndex.fileStates(in: FilePath(folder.path))
        _ = try served.current()
        _ = try item("0.png", served)
        #expect(FolderIndex.fileStates(in: FilePath(folder.path)) == before)
    }

    @Test func failedReopeningKeepsTheOldIndexAndIsCounted() throws {
        let folder = try IndexedFolder(images: 3)
        let reports = Log<String>()
        let pool = try IndexPool(folders: [folder.path], threads: 1) { reports.append($0) }
        #expect(try pool.indexes[0].current().threads == 1)
        let old = try Data(
            contentsOf: URL(fileURLWithPath: folder.path + "/.clip-index/vectors.f32"))
        // Replaced, not overwritten, so that the open file stays as it is.
        try folder.write(".clip-index/vectors.new", Array(old.prefix(8)))
        try folder.remove(".clip-index/vectors.f32")
        try FileManager.default.moveItem(
            atPath: folder.path + "/.clip-index/vectors.new",
            toPath: folder.path + "/.clip-index/vectors.f32")
        for _ in 0..<3 { #expect(try pool.indexes[0].current().count == 3) }
        #expect((1...3).contains(pool.failures))
        #expect(pool.gauges.map(\.failures) == [pool.failures])
        // Once for the same state of the files.
        Thread.sleep(forTimeInterval: 1.1)
        #expect(try pool.indexes[0].current().count == 3)
        #expect(pool.failures >= 2 && reports.elements.count == 1)
        #expect(reports.elements.first?.hasPrefix("cannot open the changed index 0") == true)
        let vector = try folder.model.encode(texts: ["a"]).values
        let index = try pool.indexes[0].current()
        #expect(try pool.indexes[0].nearest(5, to: vector, threshold: -1, in: index).count == 3)
    }

    @Test func vanishedIndexIsUnavailableAndComesBack() throws {
        let (folder, other) = (try IndexedFolder(images: 2), try IndexedFolder(images: 1))
        let pool = try IndexPool(folders: [folder.path, other.path])
        let (place, away) = (folder.path + "/.clip-index", folder.path + "/away")
        try FileManager.default.moveItem(atPath: place, toPath: away)
        #expect(status { _ = try pool.indexes[0].current() } == 503)
        #expect(try pool.indexes[1].current().count == 1)
        try FileManager.default.moveItem(atPath: away, toPath: place)
        #expect(try pool.indexes[0].current().count == 2)
    }

    // MARK: images

    @Test func imagesAreFoundByIDs() throws {
        let folder = try IndexedFolder(images: 3)
        try folder.add("sub/copy.png", seed: 1)
        try folder.update()
        let served = try IndexPool(folders: [folder.path]).indexes[0]
        let (one, two) = (try item("1.png", served), try item("sub/copy.png", served))
        #expect(one.id != two.id && one.id.digest == two.id.digest)
        for (id, item) in [one, two] {
            let found = try served.item(id)
            #expect(found.item.path == item.path)
            #expect((found.item.width, found.item.height) == (40, 30))
            #expect(try served.contents(of: found.item, in: found.index) == IndexedFolder.image(1))
            let vector = try #require(found.index.vector(of: found.item))
            let match = try served.nearest(1, to: vector, threshold: -1, in: found.index)
            #expect(match.count == 1 && abs(match[0].cosine - 1) < 1e-5)
            #expect(ImageID("\(id)") == id)
        }
    }

    @Test func unknownIDsAreNotFound() throws {
        let folder = try IndexedFolder(images: 1)
        let served = try IndexPool(folders: [folder.path]).indexes[0]
        let id = "\(try item("0.png", served).id)"
        for text in [
            String(repeating: "0", count: 64) + "-" + String(repeating: "0", count: 16),
            String(id.prefix(65)) + String(repeating: "0", count: 16),
        ] {
            let other = try #require(ImageID(text))
            #expect(status { _ = try served.item(other) } == 404, "\(text)")
        }
    }

    @Test func changedFileIsNotSent() throws {
        let folder = try IndexedFolder(images: 2)
        let served = try IndexPool(folders: [folder.path]).indexes[0]
        let (index, item) = try served.item(item("0.png", served).id)
        // The same size, other bytes.
        var bytes = IndexedFolder.image(0)
        bytes[bytes.count - 20] ^= 1
        try folder.write("0.png", bytes)
        #expect(status { _ = try served.contents(of: item, in: index) } == 404)
        try folder.write("0.png", Array("secret".utf8))
        #expect(status { _ = try served.contents(of: item, in: index) } == 404)
        try folder.remove("0.png")
        #expect(status { _ = try served.contents(of: item, in: index) } == 404)
        try FileManager.default.createDirectory(
            atPath: folder.path + "/0.png", withIntermediateDirectories: true)
        #expect(status { _ = try served.contents(of: item, in: index) } == 404)
    }

    @Test func swappedLinkIsNotFollowed() throws {
        let folder = try IndexedFolder(images: 2)
        try folder.add("sub/a.png", seed: 9)
        try folder.update()
        let served = try IndexPool(folders: [folder.path]).indexes[0]
        let (index, item) = try served.item(item("0.png", served).id)
        let below = try served.item(self.item("sub/a.png", served).id).item
        let outside = folder.path + "/../outside.png"
        // Even the same content is not read through a link.
        try Data(IndexedFolder.image(0)).write(to: URL(fileURLWithPath: outside))
        try folder.remove("0.png")
        for target in [outside, "/etc/passwd", "1.png", "/dev/zero", "0.png"] {
            try folder.link("0.png", to: target)
            #expect(status { _ = try served.contents(of: item, in: index) } == 404, "\(target)")
            try folder.remove("0.png")
        }
        try FileManager.default.moveItem(
            atPath: folder.path + "/sub", toPath: folder.path + "/../sub")
        try folder.link("sub", to: folder.path + "/../sub")
        #expect(status { _ = try served.contents(of: below, in: index) } == 404)
    }

    @Test(arguments: [
        "", "0", "../../../etc/passwd", "/etc/passwd", "%2e%2e%2f", "0.png",
        String(repeating: "a", count: 81), String(repeating: "A", count: 64) + "-0123456789abcdef",
        String(repeating: "0", count: 64) + "-0123456789abcde/",
        String(repeating: "0", count: 64) + "-0123456789abcdef0",
        String(repeating: "0", count: 62) + "é-0123456789abcdef",
        String(repeating: "0", count: 64) + "\0" + "0123456789abcdef",
    ]) func otherTextsAreNoIDs(_ text: String) {
        #expect(ImageID(text) == nil)
        #expect(ImageEndpoints.Address(path: "/image/0/\(text)") == nil)
    }

    @Test func searchesRunWhileTheIndexIsUpdated() async throws {
        let folder = try IndexedFolder(images: 20)
        let served = try IndexPool(folders: [folder.path]).indexes[0]
        let vector = try await folder.model.encode(texts: ["a"]).values
        let flag = Flag()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    while !flag.isSet.load(ordering: .relaxed) {
                        let index = try served.current()
                        let found = try served.nearest(50, to: vector, threshold: -1, in: index)
                        #expect(found.count >= 20, "\(found.count) images")
                        for (item, _) in found { _ = try served.item(ImageID(item)) }
                    }
                }
            }
            for round in 0..<5 {
                for seed in 0..<3 {
                    try folder.add("r\(round)-\(seed).png", seed: 1000 + 3 * round + seed)
                }
                try folder.update(isRebuild: round == 3)
            }
            flag.isSet.store(true, ordering: .relaxed)
            try await group.waitForAll()
        }
        #expect(try served.current().count == 35)
    }
}
