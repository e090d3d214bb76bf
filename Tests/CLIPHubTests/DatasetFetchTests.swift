import CLIP
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import CLIPHub

/// Tests downloads of data sets.
@Suite struct DatasetFetchTests {
    /// A test hub with the data set `clip-benchmark/wds_small`.
    private final class DatasetHub {
        static let commit = "0123456789abcdef0123456789abcdef01234567"
        static let size = 200_000

        let folder: TemporaryFolder
        let archives: [[UInt8]]
        let sums: [String]
        let server: FaultServer
        var hub: ModelHub

        /// The texts of the data set, apart from the archives.
        static let texts = [
            "classnames.txt": "cat\ndog\n", "zeroshot_classification_templates.txt": "a {c}\n",
            "dataset_type.txt": "classification\n", "test/nshards.txt": "2",
        ]

        init(
            environment: [String: String] = [:], texts: [String: String] = texts,
            _ change:
                @escaping @Sendable (FaultServer.Request, inout FaultServer.Answer) -> Void = {
                    _, _ in
                }
        ) throws {
            folder = try TemporaryFolder()
            let size = Self.size
            let archives = (0..<2).map { [UInt8](repeating: UInt8(7 + $0), count: size + $0) }
            var answers: [String: FaultServer.Answer] = [:]
            let repository = "/datasets/clip-benchmark/wds_small/resolve/main/"
            let commit = ["X-Repo-Commit": Self.commit]
            for (name, text) in texts {
                let etag = try gitBlobSHA1(Array(text.utf8))
                answers[repository + name] = .init(
                    200, headers: commit.merging(["ETag": "\"\(etag)\""]) { $1 },
                    body: Array(text.utf8))
            }
            var sums: [String] = []
            for (index, archive) in archives.enumerated() {
                let sum = try sha256sum(folder.write("contents", archive))
                sums.append(sum)
                answers["\(repository)test/\(index).tar"] = .init(
                    302,
                    headers: commit.merging([
                        "Location": "/cdn/\(index)", "X-Linked-ETag": "\"\(sum)\"",
                        "X-Linked-Size": "\(archive.count)",
                    ]) { $1 })
            }
            server = try FaultServer { [answers] request in
                var answer = answers[request.path] ?? .init(404)
                if request.path.hasPrefix("/cdn/"), let index = Int(request.path.dropFirst(5)) {
                    let archive = archives[index]
                    let start = request.rangeStart ?? 0
                    answer = .init(
                        start > 0 ? 206 : 200,
                        headers: start > 0
                            ? [
                                "Content-Range":
                                    "bytes \(start)-\(archive.count - 1)/\(archive.count)"
                            ] : [:],
                        body: Array(archive[start...]))
                }
                change(request, &answer)
                return answer
            }
            (self.archives, self.sums) = (archives, sums)
            hub = ModelHub(
                environment: [
                    "HF_ENDPOINT": server.url, "HF_HOME": folder.path + "/hf", "HOME": folder.path,
                ].merging(environment) { $1 })
            hub.policy = TransferPolicy(attempts: 3, delay: 0.01, longestWait: 1, stall: 2)
        }

        var cache: String { folder.path + "/hf/hub/datasets--clip-benchmark--wds_small" }
        var snapshot: String { "\(cache)/snapshots/\(Self.commit)" }
        var bodies: [String] {
            server.requests.filter { $0.method == "GET" }.map { request in
                String(request.path.split(separator: "/").suffix(2).joined(separator: "/"))
            }
        }

        func error(split: String = "test") -> HubError? {
            do {
                _ = try hub.fetchDataset("wds/small", split: split)
                return nil
            } catch {
                return error
            }
        }
    }

    @Test func fetchesIntoTheLayoutOfHuggingFace() throws {
        let hub = try DatasetHub()
        #expect(try hub.hub.findDataset("wds/small") == nil)
        let steps = Mutex<[DownloadProgress]>([])
        let path = try hub.hub.fetchDataset("wds/small") { step in
            steps.withLock { $0.append(step) }
            return true
        }
        #expect(path == hub.snapshot)
        for (name, text) in DatasetHub.texts {
            #expect(try bytes(ofFile: "\(path)/\(name)") == Array(text.utf8), "\(name)")
        }
        for index in 0..<2 {
            let file = "\(path)/test/\(index).tar"
            #expect(try firstDifference(bytes(ofFile: file), hub.archives[index]) == nil)
            #expect(
                try FileManager.default.destinationOfSymbolicLink(atPath: file)
                    == "../../../blobs/\(hub.sums[index])")
        }
        #expect(
            try FileManager.default.destinationOfSymbolicLink(atPath: path + "/classnames.txt")
                .hasPrefix("../../blobs/"))
        #expect(try bytes(ofFile: hub.cache + "/refs/main") == Array(DatasetHub.commit.utf8))
        let last = steps.withLock { $0.last { $0.file == "test/1.tar" } }
        #expect(last?.received == DatasetHub.size + 1)
        #expect(last?.total == DatasetHub.size + 1)
        #expect(try hub.hub.findDataset("wds/small") == path)
        #expect(try hub.hub.findDataset("clip-benchmark/wds_small") == path)
        #expect(try hub.hub.findDataset("wds/small", split: "train") == nil)
        // The second time no request is sent.
        let before = hub.server.requests.count
        #expect(try hub.hub.fetchDataset("wds/small") == path)
        #expect(hub.server.requests.count == before)
        // The data set is no model.
        #expect(hub.hub.installedRepositories == [])
    }

    @Test func interruptedDownloadIsResumed() throws {
        let hub = try DatasetHub { request, answer in
            guard request.path == "/cdn/1", request.repetition < 3 else { return }
            answer.cut = request.repetition == 0 ? 100_000 : 0
        }
        let error = hub.error()
        #expect("\(error as Any)".contains("cannot fetch"), "\(error as Any)")
        // A split without all its archives is not found.
        #expect(try hub.hub.findDataset("wds/small") == nil)
        let partial = "\(hub.cache)/blobs/\(hub.sums[1]).incomplete"
        #expect(try bytes(ofFile: partial).count == 100_000)
        let before = hub.bodies.count
        let path = try hub.hub.fetchDataset("wds/small")
        #expect(hub.bodies[before...] == ["test/1.tar", "cdn/1"])
        #expect(hub.server.requests.last { $0.path == "/cdn/1" }?.rangeStart == 100_000)
        #expect(try firstDifference(bytes(ofFile: path + "/test/1.tar"), hub.archives[1]) == nil)
    }

    @Test(arguments: ["dataset_type.txt", "zeroshot_classification_templates.txt"])
    func optionalFilesMayBeMissing(_ name: String) throws {
        var texts = DatasetHub.texts
        texts[name] = nil
        let hub = try DatasetHub(texts: texts)
        let path = try hub.hub.fetchDataset("wds/small")
        let names = try FileManager.default.contentsOfDirectory(atPath: path)
        #expect(Set(names) == Set(texts.keys.filter { !$0.contains("/") } + ["test"]))
    }

    @Test func onlyRetrievalNeedsNoClassNames() throws {
        var texts = DatasetHub.texts
        texts["classnames.txt"] = nil
        let hub = try DatasetHub(texts: texts)
        #expect(
            hub.error()
                == .incompleteDataset(
                    url: hub.server.url + "/datasets/clip-benchmark/wds_small",
                    missing: "classnames.txt"))
        #expect(!hub.bodies.contains("cdn/0"))
        texts = ["dataset_type.txt": "Retrieval\n", "test/nshards.txt": "2\n"]
        let retrieval = try DatasetHub(texts: texts)
        #expect(try retrieval.hub.fetchDataset("wds/small") == retrieval.snapshot)
        // Nor are they needed if the caller knows them.
        #expect(
            try hub.hub.fetchDataset("wds/small", requiresClassNames: false) == hub.snapshot)
    }

    @Test(arguments: [401, 403])
    func refusalNamesTheDataset(_ status: Int) throws {
        let hub = try DatasetHub { _, answer in answer = .init(status) }
        let url =
            hub.server.url + "/datasets/clip-benchmark/wds_small/resolve/main/test/nshards.txt"
        #expect(hub.error() == .refusedDataset(url: url, status: status, hasToken: false))
        // The server of the archives may refuse too.
        let other = try DatasetHub { request, answer in
            if request.path == "/cdn/0" { answer = .init(status) }
        }
        guard case .refusedDataset(_, status, false) = other.error() else {
            Issue.record("\(other.error() as Any)")
            return
        }
    }

    @Test func missingSplitsAndArchivesAreReported() throws {
        let hub = try DatasetHub()
        let url = hub.server.url + "/datasets/clip-benchmark/wds_small"
        #expect(
            hub.error(split: "train")
                == .incompleteDataset(url: url, missing: "train/nshards.txt"))
        var texts = DatasetHub.texts
        texts["test/nshards.txt"] = "3"
        let three = try DatasetHub(texts: texts)
        #expect(
            three.error()
                == .incompleteDataset(
                    url: three.server.url + "/datasets/clip-benchmark/wds_small",
                    missing: "test/2.tar"))
        #expect(try three.hub.findDataset("wds/small") == nil)
        for count in ["", "0", "many", "-1", "99999999999"] {
            texts["test/nshards.txt"] = count
            let hub = try DatasetHub(texts: texts)
            let error = hub.error()
            guard case .malformed = error else {
                Issue.record("\(count): \(error as Any)")
                continue
            }
        }
    }

    @Test func changeOfTheRepositoryDuringTheDownloadIsAnError() throws {
        let hub = try DatasetHub { request, answer in
            if request.path.hasSuffix("1.tar") {
                answer.headers["X-Repo-Commit"] = String(repeating: "f", count: 40)
            }
        }
        let error = hub.error()
        #expect("\(error as Any)".contains("was changed during the download"), "\(error as Any)")
        #expect(try hub.hub.findDataset("wds/small") == nil)
    }

    @Test func offlineHubFindsOnlyWhatIsThere() throws {
        let hub = try DatasetHub()
        let offline = ModelHub(environment: [
            "HF_ENDPOINT": hub.server.url, "HF_HOME": hub.folder.path + "/hf",
            "HOME": hub.folder.path, "HF_HUB_OFFLINE": "1",
        ])
        #expect(throws: HubError.offlineDataset(name: "wds/small", split: "test")) {
            try offline.fetchDataset("wds/small")
        }
        #expect(hub.server.requests.isEmpty)
        let path = try hub.hub.fetchDataset("wds/small")
        #expect(try offline.fetchDataset("wds/small") == path)
    }

    @Test func damagedArchiveIsFetchedAgain() throws {
        let hub = try DatasetHub()
        let path = try hub.hub.fetchDataset("wds/small")
        var damaged = hub.archives[0]
        damaged[1000] ^= 1
        let blob = "\(hub.cache)/blobs/\(hub.sums[0])"
        try Data(damaged).write(to: URL(fileURLWithPath: blob))
        #expect(try hub.hub.fetchDataset("wds/small") == path)
        #expect(try firstDifference(bytes(ofFile: path + "/test/0.tar"), hub.archives[0]) == nil)
        #expect(hub.bodies.count { $0 == "cdn/0" } == 2)
        #expect(hub.bodies.count { $0 == "cdn/1" } == 1)
    }

    @Test func asynchronousFormAndItsCancellation() async throws {
        let hub = try DatasetHub()
        await #expect(throws: HubError.cancelled) {
            try await hub.hub.fetchDataset("wds/small") { !$0.file.hasSuffix(".tar") }
        }
        #expect(try await hub.hub.fetchDataset("wds/small") == hub.snapshot)
        let client = try DatasetHub().hub
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await client.fetchDataset("wds/small")
        }
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test(arguments: [
        ("wds/imagenetv2", "clip-benchmark/wds_imagenetv2"),
        ("wds/vtab/cifar10", "clip-benchmark/wds_vtab-cifar10"),
        ("wds/wds/x", "clip-benchmark/wds_wds-x"), ("me/pets", "me/pets"),
        ("wds/imagenetv2/", "clip-benchmark/wds_imagenetv2"), ("me/pets/", "me/pets"),
    ])
    func namesOfCLIPBenchmarkMapToRepositories(_ name: String, _ repository: String) throws {
        #expect(try ModelHub.datasetRepository(name, "test") == .dataset(repository))
    }

    @Test(arguments: [
        ("imagenetv2", "test"), ("wds/", "test"), ("a/b/c", "test"), ("wds/ü", "test"),
        ("wds//", "test"), ("wds//x", "test"), ("wds/x//", "test"), ("wds/../x", "test"),
        ("wds/x/./y", "test"), ("me/pets//", "test"), ("me/", "test"), ("/", "test"),
        ("../x", "test"), ("me/pets", ""), ("me/pets", "../x"), ("me/pets", "a/b"),
    ])
    func invalidNamesAreRejected(_ name: String, _ split: String) throws {
        let hub = try DatasetHub().hub
        let expected = HubError.unknownDataset(name: name, split: split)
        #expect(throws: expected) { try hub.findDataset(name, split: split) }
        #expect(throws: expected) { try hub.fetchDataset(name, split: split) }
    }
}
