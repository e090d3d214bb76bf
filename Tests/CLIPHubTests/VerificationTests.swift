import Foundation
import TestSupport
import Testing

@testable import CLIPHub

/// Tests the verification of downloaded and existing files by the server's checksum.
@Suite struct VerificationTests {
    private static let configuration = "open_clip_config.json"

    @Test func checksumKindFollowsFromItsLength() {
        let digits = String(repeating: "0123456789ABCDEFabcd", count: 4)
        #expect(
            Checksum(etag: String(digits.prefix(64))) == .sha256(digits.prefix(64).lowercased()))
        #expect(
            Checksum(etag: String(digits.prefix(40))) == .gitBlob(digits.prefix(40).lowercased()))
        for etag in [
            "", String(digits.prefix(32)), digits, "g" + digits.prefix(39), "é" + digits.prefix(38),
        ] {
            #expect(Checksum(etag: etag) == nil, "\(etag)")
        }
    }

    @Test func gitSHA1MatchesGit() throws {
        let folder = try TemporaryFolder()
        for count in [0, 1, 55, 56, 57, 64, 1000, 100_000] {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 7 + 3) }
            let path = try folder.write("file", bytes)
            let expected = try gitBlobSHA1(bytes)
            let found = try Checksum.gitBlob("").found(in: path)
            #expect(found == expected, "\(count) bytes")
        }
    }

    @Test func configurationsAreCheckedByTheirGitSHA1() throws {
        let hub = try Hub { request, _, answer in
            guard request.path.hasSuffix(Self.configuration) else { return }
            answer.body = Array("[]".utf8)  // as long as the right one
        }
        let error = hub.error()
        guard case .wrongChecksum(_, Hub.configuration.etag, let found) = error else {
            Issue.record("\(error as Any)")
            return
        }
        #expect(found == "0637a088a01e8ddab3bf3fa98dbe804cbde1a0dc")
        #expect("\(error as Any)".contains("git SHA-1"), "\(error as Any)")
        #expect(hub.blobs.isEmpty, "\(hub.blobs)")
    }

    @Test func filesWithoutChecksumAreListed() throws {
        let etag = "0123456789abcdef0123456789abcdef"  // an MD5, as other servers have
        let hub = try Hub { request, _, answer in
            guard request.path.hasSuffix(Self.configuration) else { return }
            answer.headers["ETag"] = "\"\(etag)\""
        }
        let model = try hub.fetch()
        #expect(model.filesWithoutChecksum == [Self.configuration])
        #expect(hub.blobs == [etag, hub.sha256].sorted())
        #expect(try Hub().fetch().filesWithoutChecksum.isEmpty)
    }

    @Test func validForeignBlobIsReadOnceAndNotDownloaded() throws {
        let hub = try Hub()
        try hub.prepareBlobs()
        try Data(hub.contents).write(to: URL(fileURLWithPath: hub.blob))
        _ = try hub.fetch()
        try hub.expectWhole(true)
        #expect(hub.bodies == 0)
        let verified = VerifiedFiles(folder: hub.folder.path + "/.cache/clip/verified")
        let checksum = Checksum.sha256(hub.sha256)
        #expect(verified.contains(hub.blob, checksum))
        #expect(!verified.contains(hub.blob, .sha256(String(repeating: "0", count: 64))))
        // The record is of that very file: a file that was written to is read again.
        try FileManager.default.removeItem(atPath: hub.blob)
        try Data(hub.contents).write(to: URL(fileURLWithPath: hub.blob))
        #expect(!verified.contains(hub.blob, checksum))
        #expect(try verified.mismatch(of: hub.blob, checksum) == nil)
        #expect(verified.contains(hub.blob, checksum))
    }

    @Test func filesChangedAfterReadingAreNotRemembered() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("file", "one".utf8)
        let verified = VerifiedFiles(folder: folder.path + "/verified")
        let checksum = Checksum.sha256(String(repeating: "0", count: 64))
        let state = try #require(FileState(path))
        try folder.write("file", "longer".utf8)
        verified.remember(path, checksum, readIn: state)
        #expect(!verified.contains(path, checksum))
        verified.remember(path, checksum, readIn: FileState(path))
        #expect(verified.contains(path, checksum))
        #expect(FileState(folder.path + "/missing") == nil)
    }

    @Test func unreadableFileIsReported() {
        let checksum = Checksum.sha256(String(repeating: "0", count: 64))
        let error = #expect(throws: HubError.self) { try checksum.found(in: "/no/such") }
        #expect(error?.description.hasPrefix("cannot read /no/such: ") == true, "\(error as Any)")
    }

    @Test func downloadedFilesAreRemembered() throws {
        let hub = try Hub()
        _ = try hub.fetch()
        let verified = VerifiedFiles(folder: hub.folder.path + "/.cache/clip/verified")
        #expect(verified.contains(hub.blob, .sha256(hub.sha256)))
        let configuration = "\(hub.cache)/blobs/\(Hub.configuration.etag)"
        #expect(verified.contains(configuration, .gitBlob(Hub.configuration.etag)))
    }

    @Test func wrongBlobOfRightSizeIsDownloadedAgain() throws {
        let hub = try Hub()
        try hub.prepareBlobs()
        var wrong = hub.contents
        wrong[77_777] ^= 1
        try Data(wrong).write(to: URL(fileURLWithPath: hub.blob))
        try Data("[]".utf8).write(
            to: URL(fileURLWithPath: "\(hub.cache)/blobs/\(Hub.configuration.etag)"))
        let model = try hub.fetch()
        try hub.expectWhole(true)
        #expect(hub.bodies == 1)
        #expect(
            try firstDifference(
                bytes(ofFile: "\(model.path)/\(Self.configuration)"), Hub.configuration.bytes)
                == nil)
    }

    @Test(arguments: [Hub.name, configuration])
    func modelDamagedLaterIsDownloadedAgain(_ name: String) throws {
        let hub = try Hub()
        let model = try hub.fetch()
        let path = "\(model.path)/\(name)"
        let right = try bytes(ofFile: path)
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
        try file.write(contentsOf: Data([right[0] ^ 1]))
        try file.close()
        #expect(try bytes(ofFile: path) != right)

        let offline = ModelHub(
            environment: [
                "HF_HUB_OFFLINE": "1", "HF_HOME": hub.folder.path + "/hf", "HOME": hub.folder.path,
            ])
        let error = #expect(throws: HubError.self) { try offline.fetch("me/model") }
        guard case .damaged(path, _, _) = error else {
            Issue.record("\(error as Any)")
            return
        }
        #expect(try hub.fetch() == model)
        #expect(try firstDifference(bytes(ofFile: path), right) == nil)
        #expect(try offline.fetch("me/model") == model)
    }

    @Test func officialFilesAreCheckedByOpenAIsSHA256() throws {
        let hub = try Hub()
        // The right bytes are not available here, so these must be reported as wrong.
        let error = #expect(throws: HubError.self) {
            try hub.hub.fetch("ViT-B/32", official: true)
        }
        let sum = "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"
        guard case .wrongChecksum(_, sum, hub.sha256) = error else {
            Issue.record("\(error as Any)")
            return
        }
        #expect(hub.server.requests.map(\.path) == ["/models/\(sum)/ViT-B-32.pt"])
        #expect(try hub.hub.find("ViT-B/32") == nil)
        // A truncated file under its final name, as other programs leave it, is not accepted.
        let path = hub.folder.path + "/.cache/clip/ViT-B-32.pt"
        try Data(hub.contents[..<1000]).write(to: URL(fileURLWithPath: path))
        for official in [true, false] {
            #expect(throws: HubError.self) { try hub.hub.fetch("ViT-B/32", official: official) }
        }
    }

    @Test func officialFileOnThisMachineIsVerifiedOffline() throws {
        let hub = try Hub(environment: ["HF_HUB_OFFLINE": "1"])
        try FileManager.default.createDirectory(
            atPath: hub.hub.home, withIntermediateDirectories: true)
        try Data([1, 2, 3]).write(to: URL(fileURLWithPath: hub.hub.home + "/ViT-B-32.pt"))
        let error = #expect(throws: HubError.self) {
            try hub.hub.fetch("ViT-B/32", official: true)
        }
        guard case .damaged = error else {
            Issue.record("\(error as Any)")
            return
        }
        #expect(hub.server.requests.isEmpty)
    }
}
