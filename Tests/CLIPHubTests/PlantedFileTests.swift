import Foundation
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

@testable import CLIPHub

/// Tests links, pipes and folders under the names of partial files and locks: nothing is written
/// through them or waits for them.
@Suite struct PlantedFileTests {
    /// The kinds of planted files, and the word of the message.
    enum Kind: String, CaseIterable {
        case link = "symbolic link"
        case danglingLink = "a symbolic link"
        case pipe = "named pipe"
        case folder = "directory"
    }

    private func plant(_ kind: Kind, at path: String, victim: String) throws {
        switch kind {
        case .link:
            try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: victim)
        case .danglingLink:
            try FileManager.default.createSymbolicLink(
                atPath: path, withDestinationPath: victim + "-missing")
        case .pipe: #expect(mkfifo(path, 0o666) == 0)
        case .folder:
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: false)
        }
    }

    @Test(arguments: Kind.allCases) func plantedPartialFileIsRejected(_ kind: Kind) throws {
        let hub = try Hub()
        try hub.prepareBlobs()
        let victim = try hub.folder.write("victim", hub.contents.prefix(1000))
        try plant(kind, at: hub.partial, victim: victim)
        let error = hub.error()
        guard case .unwritable(hub.partial, let reason) = error else {
            Issue.record("\(kind): \(error as Any)")
            return
        }
        #expect(reason.contains(kind.rawValue), "\(kind): \(reason)")
        #expect(try bytes(ofFile: victim) == Array(hub.contents.prefix(1000)))
        #expect(!FileManager.default.fileExists(atPath: victim + "-missing"))
        try hub.expectWhole(false)
    }

    @Test(arguments: Kind.allCases) func plantedLockIsRejected(_ kind: Kind) throws {
        let hub = try Hub()
        let locks = hub.folder.path + "/hf/hub/.locks/models--me--model"
        try FileManager.default.createDirectory(
            atPath: locks, withIntermediateDirectories: true)
        let victim = try hub.folder.write("victim", [1, 2, 3])
        let lock = "\(locks)/\(hub.sha256).lock"
        try plant(kind, at: lock, victim: victim)
        let error = hub.error()
        guard case .unwritable(lock, let reason) = error else {
            Issue.record("\(kind): \(error as Any)")
            return
        }
        #expect(reason.contains(kind.rawValue), "\(kind): \(reason)")
        #expect(try bytes(ofFile: victim) == [1, 2, 3])
        #expect(!FileManager.default.fileExists(atPath: victim + "-missing"))
    }

    /// A link to the complete file must not become the blob.
    @Test func linkToTheRightBytesIsNoPartialFile() throws {
        let hub = try Hub()
        try hub.prepareBlobs()
        let victim = try hub.folder.write("victim", hub.contents)
        try plant(.link, at: hub.partial, victim: victim)
        let error = hub.error()
        #expect("\(error as Any)".contains("symbolic link"), "\(error as Any)")
        #expect(!FileManager.default.fileExists(atPath: hub.blob))
    }

    @Test func otherPartialFilesAreKept() throws {
        let hub = try Hub()
        try hub.prepareBlobs()
        let victim = try hub.folder.write("victim", [UInt8](repeating: 7, count: 1000))
        try FileManager.default.linkItem(atPath: victim, toPath: hub.partial)
        _ = try hub.fetch()
        try hub.expectWhole(true)
        #expect(try bytes(ofFile: victim) == [UInt8](repeating: 7, count: 1000))
    }

    @Test func pipeAsReferenceDoesNotBlock() throws {
        let hub = try Hub()
        let model = try hub.fetch()
        let reference = hub.cache + "/refs/main"
        try FileManager.default.removeItem(atPath: reference)
        #expect(mkfifo(reference, 0o666) == 0)
        #expect(try hub.hub.find("me/model") == model)
    }

    @Test(arguments: [Kind.link, .danglingLink, .pipe])
    func plantedReferenceIsReplacedNotWritten(_ kind: Kind) throws {
        let hub = try Hub()
        let reference = hub.cache + "/refs/main"
        try FileManager.default.createDirectory(
            atPath: hub.cache + "/refs", withIntermediateDirectories: true)
        let victim = try hub.folder.write("victim", [1, 2, 3])
        try plant(kind, at: reference, victim: victim)
        _ = try hub.fetch()
        try hub.expectWhole(true)
        #expect(try bytes(ofFile: victim) == [1, 2, 3])
        #expect(!FileManager.default.fileExists(atPath: victim + "-missing"))
        let type = try FileManager.default.attributesOfItem(atPath: reference)[.type]
        #expect(type as? FileAttributeType == .typeRegular, "\(kind): \(type as Any)")
        #expect(try bytes(ofFile: reference) == Array(Hub.commit.utf8))
        let names = try FileManager.default.contentsOfDirectory(atPath: hub.cache + "/refs")
        #expect(names == ["main"])
    }

    @Test func permissionsFollowTheUmask() throws {
        let hub = try Hub()
        _ = try hub.fetch()
        let usual = hub.folder.path + "/usual"
        let descriptor = open(usual, O_WRONLY | O_CREAT, 0o666)
        #expect(descriptor >= 0)
        close(descriptor)
        func permissions(_ path: String) throws -> Int? {
            try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        }
        let lock = hub.folder.path + "/hf/hub/.locks/models--me--model/\(hub.sha256).lock"
        for path in [hub.blob, lock, hub.cache + "/refs/main"] {
            #expect(try permissions(path) == permissions(usual), "\(path)")
        }
    }
}
