import Files
import CLIP
import Foundation
import TestSupport
import Testing

@testable import CLIPSearch
@testable import Tensors

/// Tests files and folders that cannot be read: nothing is lost, and temporary failures are
/// retried.
@Suite struct IndexFailureTests {
    private let folder: TemporaryFolder
    private let model: CLIPModel
    private var path: FilePath { FilePath(folder.path + "/photos") }
    private let files = FileManager.default

    init() throws {
        folder = try TemporaryFolder()
        try files.createDirectory(
            atPath: folder.path + "/photos/sub", withIntermediateDirectories: true)
        model = try CLIPModel(path: Fixtures.path("models/seeded"), threads: 2)
    }

    private func add(_ name: String, seed: Int) throws {
        try Data(SmallPNG.bytes(seed)).write(to: URL(fileURLWithPath: "\(path)/\(name)"))
    }

    private func update(
        _ decoding: RGBImage.DecodingOptions = .init(), isVerifying: Bool = false
    ) throws -> IndexUpdate.Summary {
        try IndexUpdate(
            folder: path, model: model, modelName: "seeded", decoding: decoding,
            isVerifying: isVerifying
        ).run()
    }

    private func names() throws -> [String] {
        try FolderIndex(folder: path).contents().images.map {
            String($0.path.description.dropFirst(path.bytes.count + 1))
        }
    }

    private func setTime(_ name: String, _ time: Date) throws {
        try files.setAttributes([.modificationDate: time], ofItemAtPath: "\(path)/\(name)")
    }

    @Test func imagesOfUnlistableFoldersAreKept() throws {
        for seed in 0..<3 { try add("sub/\(seed).png", seed: seed) }
        try add("a.png", seed: 3)
        try add("sub0.png", seed: 4)  // sorts right behind the folder
        #expect(try update().encoded == 5)
        try files.removeItem(atPath: "\(path)/sub0.png")
        func updateWithoutSub() throws -> IndexUpdate.Summary {
            var found: [FolderWalk.Element] = [
                .file(path.appending("a.png".utf8)),
                .unreadable(path.appending("sub".utf8), reason: "Input/output error"),
            ]
            return try IndexUpdate(
                folder: path, model: model, modelName: "seeded", decoding: .init()
            ).run({ found.isEmpty ? nil : found.removeFirst() })
        }
        let first = try updateWithoutSub()
        #expect(first.deleted == 1)
        #expect(first.unchanged == 1)
        #expect(first.failures.map(\.isNew) == [true])
        #expect(first.failures.first?.reason.contains("Input/output error") == true)
        #expect(try names() == ["a.png", "sub/0.png", "sub/1.png", "sub/2.png"])
        #expect(try updateWithoutSub().failures.map(\.isNew) == [false])
        let last = try update()
        #expect(last.unchanged == 4)
        #expect(last.encoded == 0)
        #expect(last.deleted == 0)
        #expect(last.failures.isEmpty)
    }

    /// The old index is kept until every folder with indexed images can be listed.
    @Test func rebuildWithUnlistableFolderKeepsTheOldIndex() throws {
        for seed in 0..<2 { try add("sub/\(seed).png", seed: seed) }
        try add("a.png", seed: 3)
        #expect(try update().encoded == 3)
        func rebuild(_ found: [FolderWalk.Element]?) throws -> IndexUpdate.Summary {
            let update = try IndexUpdate(
                folder: path, model: model, modelName: "seeded", decoding: .init(),
                isRebuild: true)
            guard var found else { return try update.run() }
            return try update.run({ found.isEmpty ? nil : found.removeFirst() })
        }
        let image = FolderWalk.Element.file(path.appending("a.png".utf8))
        let sub = path.appending("sub".utf8)
        let error = #expect(throws: IndexError.self) {
            try rebuild([image, .unreadable(sub, reason: "Permission denied")])
        }
        #expect("\(try #require(error))".contains("\(sub): Permission denied; the old index"))
        #expect(try names() == ["a.png", "sub/0.png", "sub/1.png"])
        #expect(FolderIndex.hasUnfinishedRebuild(in: path))
        // An unlistable folder without indexed images is an ordinary failure.
        let other = path.appending("other".utf8)
        let summary = try rebuild([
            image, .file(sub.appending("0.png".utf8)), .file(sub.appending("1.png".utf8)),
            .unreadable(other, reason: "Permission denied"),
        ])
        #expect(summary.failures.count == 1)
        #expect(summary.unchanged == 1)
        #expect(summary.encoded == 2)
        #expect(try names() == ["a.png", "sub/0.png", "sub/1.png"])
        #expect(!FolderIndex.hasUnfinishedRebuild(in: path))
    }

    /// A dead link and a folder that was never readable have failures in the old index, no images.
    @Test func placesThatWereNeverReadableDoNotStopARebuild() throws {
        try add("a.png", seed: 1)
        try add("b.png", seed: 2)
        let found = [
            FolderWalk.Element.file(path.appending("a.png".utf8)),
            .unreadable(path.appending("dead.png".utf8), reason: "No such file or directory"),
            .unreadable(path.appending("locked".utf8), reason: "Permission denied"),
        ]
        func update(_ found: [FolderWalk.Element], isRebuild: Bool) throws -> IndexUpdate.Summary {
            var rest = found[...]
            return try IndexUpdate(
                folder: path, model: model, modelName: "seeded", decoding: .init(),
                isRebuild: isRebuild
            ).run({ rest.popFirst() })
        }
        #expect(try update(found, isRebuild: false).failures.count == 2)
        for _ in 0..<2 {
            let rebuilt = try update(found, isRebuild: true)
            #expect(rebuilt.encoded == 1, "\(rebuilt)")
            #expect(rebuilt.failures.count == 2, "\(rebuilt)")
        }
        #expect(try names() == ["a.png"])
        #expect(!FolderIndex.hasUnfinishedRebuild(in: path))
        // A link whose image the old index has is an obstacle.
        let dead = FolderWalk.Element.unreadable(
            path.appending("b.png".utf8), reason: "No such file or directory")
        let both = [found[0], .file(path.appending("b.png".utf8))]
        #expect(try update(both, isRebuild: false).encoded == 1)
        #expect(throws: IndexError.self) { try update([found[0], dead], isRebuild: true) }
        #expect(try names() == ["a.png", "b.png"])
    }

    /// A folder may have several names, and may be moved.
    @Test func failuresAreKnownUnderEveryNameOfTheFolder() throws {
        try add("a.png", seed: 1)
        try Data("no image".utf8).write(to: URL(fileURLWithPath: "\(path)/b.png"))
        try files.createSymbolicLink(
            atPath: "\(path)/c.png", withDestinationPath: "nowhere")
        #expect(try update().failures.map(\.isNew) == [true, true])
        let moved = folder.path + "/moved"
        for name in ["\(path)/.", "\(folder.path)/./photos", moved] {
            if name == moved { try files.moveItem(atPath: "\(path)", toPath: moved) }
            let failures = try IndexUpdate(
                folder: FilePath(name), model: model, modelName: "seeded", decoding: .init()
            ).run().failures
            #expect(failures.map(\.isNew) == [false, false], "\(name)")
            for (failure, file) in zip(failures, ["b.png", "c.png"]) {
                #expect(failure.file == FilePath("\(name)/\(file)"))
                #expect(failure.reason.contains("\(name)/\(file): "), "\(failure.reason)")
            }
            let stored = try FolderIndex(folder: FilePath(name)).failures()
            #expect(stored.map(\.reason) == failures.map(\.reason))
        }
    }

    /// A link to a disk that is not mounted.
    @Test func imagesBehindDanglingLinksAreKept() throws {
        let (link, disk) = ("\(path)/usb", folder.path + "/disk")
        try files.createDirectory(atPath: disk, withIntermediateDirectories: true)
        try files.createSymbolicLink(atPath: link, withDestinationPath: disk)
        try files.createSymbolicLink(atPath: "\(path)/empty", withDestinationPath: "nowhere")
        for seed in 0..<3 { try add("usb/\(seed).png", seed: seed) }
        try add("usb0.png", seed: 3)
        let first = try update()
        #expect(first.encoded == 4, "\(first)")
        #expect(first.danglingLinks.isEmpty, "\(first)")
        try files.moveItem(atPath: disk, toPath: disk + ".away")
        let without = try update()
        #expect(without.deleted == 0, "\(without)")
        #expect(without.unchanged == 1, "\(without)")
        #expect(without.failures.isEmpty, "\(without)")
        #expect(without.dangling == [FilePath(link)])
        #expect(try names() == ["usb/0.png", "usb/1.png", "usb/2.png", "usb0.png"])
        #expect(throws: IndexError.self) {
            try IndexUpdate(
                folder: path, model: model, modelName: "seeded", decoding: .init(),
                isRebuild: true
            ).run()
        }
        #expect(try names() == ["usb/0.png", "usb/1.png", "usb/2.png", "usb0.png"])
        try files.moveItem(atPath: disk + ".away", toPath: disk)
        #expect(try update().unchanged == 4)
        try files.removeItem(atPath: link)
        #expect(try update().deleted == 3)
        #expect(Array(ImageCollection([.path(path)])).count == 1)
    }

    @Test func unlistableRootChangesNothing() throws {
        for seed in 0..<3 { try add("\(seed).png", seed: seed) }
        _ = try update()
        let update = try IndexUpdate(
            folder: path, model: model, modelName: "seeded", decoding: .init())
        var found: FolderWalk.Element? = .unreadable(path, reason: "Too many open files")
        let error = #expect(throws: IndexError.self) {
            try update.run {
                defer { found = nil }
                return found
            }
        }
        #expect(error == .unreadableFolder(folder: path.description, reason: "Too many open files"))
        #expect(try names() == ["0.png", "1.png", "2.png"])
    }

    @Test func limitFailuresAreRetried() throws {
        try add("a.png", seed: 1)
        var small = RGBImage.DecodingOptions()
        small.maximumPixels = 10
        #expect(try update(small).failures.map(\.isNew) == [true])
        #expect(try update(small).failures.map(\.isNew) == [false])
        let last = try update()
        #expect(last.encoded == 1)
        #expect(last.failures.isEmpty)
    }

    /// The old vector would be a result for an image that does not exist any more.
    @Test func changedImageBeyondALimitLosesItsVector() throws {
        try add("a.png", seed: 1)
        _ = try update()
        try add("a.png", seed: 2)
        var small = RGBImage.DecodingOptions()
        small.maximumPixels = 10
        let limited = try update(small, isVerifying: true)
        #expect(limited.failures.map(\.isNew) == [true], "\(limited)")
        #expect(try names() == [])
        let last = try update()
        #expect(last.encoded == 1, "\(last)")
        #expect(last.failures.isEmpty, "\(last)")
        #expect(try names() == ["a.png"])
    }

    @Test func interruptedFailuresAreReportedLater() throws {
        try Data("no image".utf8).write(to: URL(fileURLWithPath: "\(path)/bad.png"))
        do {
            let interrupted = try IndexUpdate(
                folder: path, model: model, modelName: "seeded", decoding: .init())
            #expect(throws: IndexError.self) {
                _ = try interrupted.run { _ in _ = interrupted.keep() }
            }
        }
        #expect(try FolderIndex(folder: path).failures().count == 1)
        #expect(try update().failures.map(\.isNew) == [true])
        #expect(try update().failures.map(\.isNew) == [false])
    }

    @Test func movedFileLeavesItsFailureBehind() throws {
        try add("a.png", seed: 1)
        _ = try update()
        var found: [FolderWalk.Element] = [
            .unreadable(path.appending("a.png".utf8), reason: "Permission denied")
        ]
        let failed = try IndexUpdate(
            folder: path, model: model, modelName: "seeded", decoding: .init()
        ).run({ found.isEmpty ? nil : found.removeFirst() })
        #expect(failed.failures.map(\.isNew) == [true], "\(failed)")
        try files.moveItem(atPath: "\(path)/a.png", toPath: "\(path)/b.png")
        let last = try update()
        #expect(last.moved == 1, "\(last)")
        #expect(last.encoded == 0, "\(last)")
        #expect(last.failures.isEmpty, "\(last)")
        #expect(try names() == ["b.png"])
    }

    @Test func equalFilesAreMatchedOnceEach() throws {
        for number in 10..<40 { try add("sub/\(number).png", seed: 1) }
        try add("stays.png", seed: 1)
        #expect(try update().encoded == 31)
        try files.moveItem(atPath: "\(path)/sub", toPath: "\(path)/moved")
        try add("new.png", seed: 1)
        let summary = try update()
        #expect(summary.moved == 30, "\(summary)")
        #expect(summary.encoded == 1, "\(summary)")
        #expect(summary.unchanged == 1, "\(summary)")
        #expect(summary.deleted == 0, "\(summary)")
        #expect(try names() == (10..<40).map { "moved/\($0).png" } + ["new.png", "stays.png"])
        #expect(try update().unchanged == 32)
    }

    @Test func unreadableFilesAreRetried() throws {
        try files.createSymbolicLink(
            atPath: "\(path)/a.png", withDestinationPath: folder.path + "/later.png")
        let first = try update()
        #expect(first.failures.map(\.isNew) == [true], "\(first)")
        try Data(SmallPNG.bytes(1)).write(to: URL(fileURLWithPath: folder.path + "/later.png"))
        let second = try update()
        #expect(second.encoded == 1, "\(second)")
        #expect(second.failures.isEmpty, "\(second)")
    }

    @Test func damagedFileIsRetriedOnlyAfterAChange() throws {
        try Data("no image".utf8).write(to: URL(fileURLWithPath: "\(path)/a.png"))
        #expect(try update().failures.map(\.isNew) == [true])
        let again = try update()
        #expect(again.failures.map(\.isNew) == [false])
        #expect(again.encoded == 0)
        #expect(
            try FolderIndex(folder: path).failures().map(\.file.lastComponent) == [
                Array("a.png".utf8)[...]
            ])
        try add("a.png", seed: 1)
        let last = try update()
        #expect(last.encoded == 1)
        #expect(last.failures.isEmpty)
    }

    @Test func changedTimesAloneDoNotReencode() throws {
        for seed in 0..<3 { try add("\(seed).png", seed: seed) }
        _ = try update()
        for seed in 0..<3 { try setTime("\(seed).png", Date(timeIntervalSince1970: 1e9)) }
        let touched = try update()
        #expect(touched.encoded == 0, "\(touched)")
        #expect(touched.unchanged == 3, "\(touched)")
        #expect(try update().unchanged == 3)
    }

    /// Size and modification time equal those of the old content, as `touch -d` sets them.
    @Test func otherContentOfTheSameSizeAndTimeIsEncoded() throws {
        let time = Date(timeIntervalSince1970: 1e9)
        try add("a.png", seed: 1)
        try setTime("a.png", time)
        _ = try update()
        try add("a.png", seed: 2)
        try setTime("a.png", time)
        let changed = try update()
        #expect(changed.encoded == 1, "\(changed)")
        #expect(changed.unchanged == 0, "\(changed)")
    }

    @Test func verifyComparesTheContent() throws {
        try add("a.png", seed: 1)
        try add("b.png", seed: 2)
        _ = try update()
        try add("a.png", seed: 3)
        // As on a file system without a time of change.
        let place = path.appending(FolderIndex.location)
        do {
            let status = try FileStatus(path: path.appending("a.png".utf8).bytes)
            let database = try SQLite(
                path: place.appending("files.sqlite".utf8), isForWriting: true)
            try database.run(
                "UPDATE files SET modified = ?, changed = ? WHERE path = ?",
                [.integer(status.modified), .integer(status.changed), .blob(Array("a.png".utf8))])
        }
        #expect(try update().unchanged == 2)
        let verified = try update(isVerifying: true)
        #expect(verified.encoded == 1, "\(verified)")
        #expect(verified.unchanged == 1, "\(verified)")
    }

    @Test func indexWithoutChecksumsGetsThem() throws {
        for seed in 0..<3 { try add("\(seed).png", seed: seed) }
        try Data("no image".utf8).write(to: URL(fileURLWithPath: "\(path)/bad.png"))
        _ = try update()
        let database = path.appending(FolderIndex.location).appending("files.sqlite".utf8)
        do {
            let database = try SQLite(path: database, isForWriting: true)
            try database.run("ALTER TABLE files DROP COLUMN sums")
            try database.run("ALTER TABLE files DROP COLUMN changed")
            try database.run("UPDATE facts SET value = '1' WHERE name = 'version'")
            try database.run("DELETE FROM facts WHERE name = 'sum' OR name = 'count'")
        }
        #expect(try names() == ["0.png", "1.png", "2.png"])
        let upgraded = try update()
        #expect(upgraded.unchanged == 3)
        #expect(upgraded.encoded == 0)
        // An old failure does not tell whether it is temporary, so the file is tried once more.
        #expect(upgraded.failures.map(\.isNew) == [false])
        let sums = try SQLite(path: database, isForWriting: false).run(
            "SELECT count(sums), count(changed) FROM files")
        #expect(sums[0][0].integer == 3 && sums[0][1].integer == 4)
        #expect(try names() == ["0.png", "1.png", "2.png"])
    }
}
