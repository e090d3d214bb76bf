import Foundation
import Synchronization
import TestSupport
import Testing

@testable import CLIPHub

/// Tests downloads from a server with every kind of fault.
@Suite struct DownloadTests {
    @Test func fetchesIntoTheLayoutOfHuggingFace() throws {
        let hub = try Hub()
        #expect(try hub.hub.find("me/model") == nil)
        let progress = Mutex<[DownloadProgress]>([])
        let model = try hub.hub.fetch("me/model") { step in
            progress.withLock { $0.append(step) }
            return true
        }
        #expect(model.path == "\(hub.cache)/snapshots/\(Hub.commit)")
        try hub.expectWhole(true)
        #expect(try hub.hub.find("me/model") == model)
        #expect(try String(contentsOfFile: hub.cache + "/refs/main", encoding: .utf8) == Hub.commit)
        let link = try FileManager.default.destinationOfSymbolicLink(
            atPath: "\(model.path)/\(Hub.name)")
        #expect(link == "../../blobs/\(hub.sha256)")
        #expect(!FileManager.default.fileExists(atPath: hub.partial))
        let last = try #require(progress.withLock { $0.last })
        #expect(last.received == Hub.size)
        #expect(last.total == Hub.size)
        // The second time nothing is downloaded.
        let before = hub.bodies
        _ = try hub.fetch()
        #expect(hub.bodies == before)
    }

    @Test func downloadContinuesAfterRandomCuts() throws {
        let cuts = (0..<8).map { _ in Int.random(in: 1..<60_000) }
        let hub = try Hub { request, _, answer in
            if request.path == "/cdn/file", request.repetition < cuts.count {
                answer.cut = cuts[request.repetition]
            }
        }
        _ = try hub.fetch()
        try hub.expectWhole(true)
        let starts = hub.server.requests.filter { $0.path == "/cdn/file" }.map {
            $0.rangeStart ?? 0
        }
        #expect(zip(starts, starts.dropFirst()).allSatisfy(<=), "\(starts)")
        #expect(starts.count >= 2)
    }

    @Test func secondRunContinuesTheFirst() throws {
        let hub = try Hub { request, _, answer in
            guard request.path == "/cdn/file", request.repetition < 3 else { return }
            answer.cut = request.repetition == 0 ? 100_000 : 0
        }
        let error = hub.error()
        #expect("\(error as Any)".contains("cannot fetch"), "\(error as Any)")
        try hub.expectWhole(false)
        #expect(try firstDifference(bytes(ofFile: hub.partial), hub.contents[..<100_000]) == nil)
        let first = Mutex<DownloadProgress?>(nil)
        _ = try hub.hub.fetch("me/model") { step in
            first.withLock { if $0 == nil && step.file == Hub.name { $0 = step } }
            return true
        }
        try hub.expectWhole(true)
        #expect(hub.server.requests.last { $0.path == "/cdn/file" }?.rangeStart == 100_000)
        #expect(first.withLock { $0?.resumedFrom } == 100_000)
    }

    @Test func serverWithoutRangesSendsWholeFile() throws {
        let hub = try Hub { request, contents, answer in
            guard request.path == "/cdn/file" else { return }
            answer = .init(200, body: contents)
            if request.repetition < 2 { answer.cut = 50_000 * (request.repetition + 1) }
        }
        _ = try hub.fetch()
        try hub.expectWhole(true)
        #expect(hub.bodies == 3)
    }

    @Test func wrongContentLengthIsDetected() throws {
        // Shorter and longer than announced, each compared with the size that the hub announced
        // first.
        for (claimed, says) in [
            (400_000, "expected 300000 bytes, found"),
            (200_000, "expected 300000 bytes, the server offers 200000"),
        ] {
            let hub = try Hub { request, contents, answer in
                guard request.path == "/cdn/file" else { return }
                answer = .init(200, body: contents + [UInt8](repeating: 7, count: 100_000))
                answer.claimedLength = claimed
            }
            let error = hub.error()
            #expect("\(error as Any)".contains(says), "\(claimed): \(error as Any)")
            try hub.expectWhole(false)
        }
        let hub = try Hub { request, _, answer in
            if request.path.hasSuffix(Hub.name) { answer.headers["X-Linked-Size"] = "299999" }
        }
        #expect(
            hub.error()
                == .wrongSize(
                    url: hub.server.url + "/me/model/resolve/main/" + Hub.name, expected: 299_999,
                    found: 300_000))
        try hub.expectWhole(false)
        #expect(!FileManager.default.fileExists(atPath: hub.partial))
    }

    @Test func responseCutInItsHeaderIsRejected() throws {
        let hub = try Hub { request, _, answer in
            if request.repetition == 0 { answer.headerCut = 40 }
        }
        try FileManager.default.createDirectory(
            atPath: hub.cache + "/blobs", withIntermediateDirectories: true)
        try Data(hub.contents[..<200_000]).write(to: URL(fileURLWithPath: hub.partial))
        _ = try hub.fetch()
        try hub.expectWhole(true)
        // The bytes that were there before are kept.
        let starts = hub.server.requests.filter { $0.path == "/cdn/file" }.map(\.rangeStart)
        #expect(starts == [200_000, 200_000], "\(starts)")
    }

    @Test func errorPageReplacesNoFile() throws {
        let hub = try Hub { request, _, answer in
            guard request.path == "/cdn/file", request.repetition == 0 else { return }
            answer = .init(200, body: Array("<html>please log in</html>".utf8))
        }
        try FileManager.default.createDirectory(
            atPath: hub.cache + "/blobs", withIntermediateDirectories: true)
        try Data(hub.contents[..<200_000]).write(to: URL(fileURLWithPath: hub.partial))
        _ = try hub.fetch()
        try hub.expectWhole(true)
        #expect(hub.server.requests.last { $0.path == "/cdn/file" }?.rangeStart == 200_000)
    }

    @Test func wrongRangeIsRejected() throws {
        let hub = try Hub { request, contents, answer in
            guard request.path == "/cdn/file", request.rangeStart != nil else { return }
            answer.headers["Content-Range"] = "bytes 250000-299999/300000"
            answer.body = Array(contents[250_000...])
        }
        try FileManager.default.createDirectory(
            atPath: hub.cache + "/blobs", withIntermediateDirectories: true)
        try Data(hub.contents[..<200_000]).write(to: URL(fileURLWithPath: hub.partial))
        _ = try hub.fetch()
        try hub.expectWhole(true)
        #expect(hub.server.requests.last { $0.path == "/cdn/file" }?.rangeStart == nil)
    }

    @Test func shardsAreDownloadedBeforeTheirIndex() throws {
        let commit = Hub.commit
        let one = Array("one".utf8)
        let folder = try TemporaryFolder()
        let sum = try sha256sum(folder.write("one", one))
        let index = Array(#"{"weight_map":{"a":"one.safetensors","b":"two.safetensors"}}"#.utf8)
        let indexSum = try gitBlobSHA1(index)
        let isBroken = Mutex(true)
        let server = try FaultServer { request in
            let name = request.path.split(separator: "/").last.map(String.init) ?? ""
            let headers = ["X-Repo-Commit": commit]
            switch name {
            case "model.safetensors.index.json":
                return .init(
                    200, headers: headers.merging(["ETag": "\"\(indexSum)\""]) { $1 }, body: index)
            case "two.safetensors" where isBroken.withLock { $0 }: return .init(404)
            case "one.safetensors", "two.safetensors":
                return .init(
                    200, headers: headers.merging(["ETag": "\"\(sum)\""]) { $1 }, body: one)
            default: return .init(404)
            }
        }
        let hub = ModelHub(environment: ["HF_ENDPOINT": server.url, "HOME": folder.path])
        #expect(throws: HubError.self) { try hub.fetch("me/sharded") }
        #expect(try hub.find("me/sharded") == nil)
        isBroken.withLock { $0 = false }
        let model = try hub.fetch("me/sharded")
        for name in ["one.safetensors", "two.safetensors"] {
            #expect(try firstDifference(bytes(ofFile: "\(model.path)/\(name)"), one) == nil)
        }
        #expect(try hub.find("me/sharded") == model)
    }

    @Test func wrongBytesAreDetectedAndDiscarded() throws {
        let hub = try Hub { request, contents, answer in
            guard request.path == "/cdn/file", request.repetition == 0 else { return }
            answer.body[12_345] ^= 1
        }
        let error = hub.error()
        guard case .wrongChecksum(_, hub.sha256, _) = error else {
            Issue.record("\(error as Any)")
            return
        }
        try hub.expectWhole(false)
        #expect(!FileManager.default.fileExists(atPath: hub.partial))
        _ = try hub.fetch()
        try hub.expectWhole(true)
    }

    @Test func partOfAnotherFileIsDownloadedAgain() throws {
        let hub = try Hub()
        try FileManager.default.createDirectory(
            atPath: hub.cache + "/blobs", withIntermediateDirectories: true)
        try Data(repeating: 9, count: 10_000).write(to: URL(fileURLWithPath: hub.partial))
        _ = try hub.fetch()
        try hub.expectWhole(true)
        // Also a part that is as long as the file, or longer.
        for count in [Hub.size, Hub.size + 5] {
            let hub = try Hub()
            try FileManager.default.createDirectory(
                atPath: hub.cache + "/blobs", withIntermediateDirectories: true)
            try Data(repeating: 9, count: count).write(to: URL(fileURLWithPath: hub.partial))
            _ = try hub.fetch()
            try hub.expectWhole(true)
        }
    }

    @Test func errorStatusesAreReported() throws {
        for (status, says) in [
            (401, "HF_TOKEN"), (403, "HF_TOKEN"), (418, "status 418"),
        ] {
            for place in ["HEAD", "GET"] {
                let hub = try Hub { request, _, answer in
                    if request.method == place { answer = .init(status) }
                }
                let error = hub.error()
                #expect("\(error as Any)".contains(says), "\(status) \(place): \(error as Any)")
                #expect(hub.server.requests.count { $0.method == place } == 1)
                try hub.expectWhole(false)
            }
        }
        let missing = try Hub { _, _, answer in answer = .init(404) }
        #expect("\(missing.error() as Any)".contains("404"))
        let gone = try Hub { request, _, answer in
            if request.path == "/cdn/file" { answer = .init(404) }
        }
        #expect("\(gone.error() as Any)".contains("404"))
    }

    @Test func busyServerIsRetried() throws {
        for status in [429, 500, 502, 503, 504] {
            let hub = try Hub { request, _, answer in
                guard request.repetition < 1 else { return }
                answer = .init(status, headers: status == 429 ? ["Retry-After": "0"] : [:])
            }
            _ = try hub.fetch()
            try hub.expectWhole(true)
        }
        let late = try Hub { request, _, answer in
            answer = .init(429, headers: ["Retry-After": "3600"])
        }
        #expect("\(late.error() as Any)".contains("3600"))
        #expect(late.server.requests.count == 1)
        let never = try Hub { request, _, answer in answer = .init(503) }
        #expect("\(never.error() as Any)".contains("503"))
        #expect(never.server.requests.count == 3)
    }

    @Test func stalledConnectionIsClosed() throws {
        let hub = try Hub { request, _, answer in
            guard request.path == "/cdn/file" else { return }
            answer.cut = 70_000
            answer.stall = 4
        }
        let start = ContinuousClock.now
        let result = Result { () throws(HubError) in try hub.fetch() }
        #expect(throws: Never.self) { try result.get() }
        #expect(ContinuousClock.now - start < .seconds(60))
        try hub.expectWhole(true)  // 70,000 bytes at each try
    }

    @Test func missingServerIsReported() throws {
        let hub = try Hub(environment: ["HF_ENDPOINT": "http://127.0.0.1:1"])
        #expect("\(hub.error() as Any)".contains("cannot fetch http://127.0.0.1:1/me/model"))
        for nonsense in ["ftp://127.0.0.1", "no address", "http://user:word@127.0.0.1"] {
            let hub = try Hub(environment: ["HF_ENDPOINT": nonsense])
            #expect("\(hub.error() as Any)".contains("HF_ENDPOINT"), "\(nonsense)")
        }
    }

    @Test func tokenIsNotSentToOtherServers() throws {
        let other = try FaultServer { request in
            .init(200, body: Array((request.headers["authorization"] ?? "none").utf8))
        }
        let address = other.url
        let hub = try Hub(environment: ["HF_TOKEN": "secret"]) { request, _, answer in
            if request.method == "GET" { answer.headers["Location"] = address + "/elsewhere" }
        }
        let error = hub.error()  // the other server has other bytes
        #expect("\(error as Any)".contains("300000"), "\(error as Any)")
        let own = hub.server.requests
        #expect(!own.isEmpty)
        #expect(own.allSatisfy { $0.headers["authorization"] == "Bearer secret" })
        #expect(!other.requests.isEmpty)
        #expect(other.requests.allSatisfy { $0.headers["authorization"] == nil })
    }

    @Test func invalidRedirectsAreRejected() throws {
        let circle = try Hub { request, _, answer in
            if request.method == "GET" { answer = .init(302, headers: ["Location": request.path]) }
        }
        #expect("\(circle.error() as Any)".contains("too many redirects"))
        let nowhere = try Hub { request, _, answer in
            if request.method == "GET" { answer = .init(302) }
        }
        #expect("\(nowhere.error() as Any)".contains("Location"))
        let undescribed = try Hub { request, _, answer in answer.headers["X-Repo-Commit"] = nil }
        #expect("\(undescribed.error() as Any)".contains("X-Repo-Commit"))
        let unsafe = try Hub { request, _, answer in answer.headers["X-Repo-Commit"] = "../../../x"
        }
        #expect("\(unsafe.error() as Any)".contains("X-Repo-Commit"))
        let https = try #require(WebAddress("https://a.b/c"))
        #expect(https.following("//d/e")?.url == "https://d/e")
        #expect(https.following("/e")?.url == "https://a.b/e")
        #expect(WebAddress("https://user@host/") == nil)
        #expect(WebAddress("file:///etc") == nil)
    }

    @Test func fullDiskIsReported() throws {
        let size = 1 << 60
        let hub = try Hub { request, _, answer in
            if request.path.hasSuffix(Hub.name) { answer.headers["X-Linked-Size"] = "\(size)" }
        }
        guard case .diskFull(_, size, _) = hub.error() else {
            Issue.record("\(hub.error() as Any)")
            return
        }
        try hub.expectWhole(false)
    }

    @Test func readOnlyFolderIsReported() throws {
        let hub = try Hub(environment: ["HF_HOME": "/dev/null/hf"])
        #expect("\(hub.error() as Any)".contains("cannot write /dev/null"))
    }

    @Test func progressCanStopTheDownload() throws {
        let hub = try Hub { request, _, answer in
            if request.path == "/cdn/file" { answer.delay = 0.02 }
        }
        #expect(throws: HubError.cancelled) {
            try hub.hub.fetch("me/model") { $0.received < 100_000 }
        }
        try hub.expectWhole(false)
        #expect(try bytes(ofFile: hub.partial).count >= 100_000)
        _ = try hub.fetch()
        try hub.expectWhole(true)
        #expect((hub.server.requests.last { $0.path == "/cdn/file" }?.rangeStart ?? 0) >= 100_000)
    }

    @Test func offlineModeDownloadsNothing() throws {
        let hub = try Hub(environment: ["HF_HUB_OFFLINE": "1"])
        #expect(hub.error() == .offline(name: "me/model"))
        let file = HubError.offlineOfficial(name: "ViT-B/32", file: "ViT-B-32.pt")
        #expect(throws: file) { try hub.hub.fetch("ViT-B/32", official: true) }
        #expect(hub.server.requests.isEmpty)
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

    @Test func concurrentDownloadsGiveOneFile() async throws {
        let hub = try Hub { request, _, answer in
            if request.path == "/cdn/file" { answer.delay = 0.05 }
        }
        let client = hub.hub
        let found = try await withThrowingTaskGroup(of: ModelHub.InstalledModel.self) { group in
            for _ in 0..<3 { group.addTask { try client.fetch("me/model") } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(found.count == 3)
        #expect(Set(found.map(\.path)).count == 1)
        #expect(hub.bodies == 1)
        try hub.expectWhole(true)
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
}
