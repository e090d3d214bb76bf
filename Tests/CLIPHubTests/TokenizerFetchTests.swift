import Foundation
import Synchronization
import TestSupport
import Testing

@testable import CLIPHub

/// Tests that the tokenizer of a model is downloaded with its weights.
@Suite struct TokenizerFetchTests {
    /// A test hub with the given files, by `owner/name/file`.
    private final class Repositories {
        static let commit = "0123456789abcdef0123456789abcdef01234567"
        let folder: TemporaryFolder
        let files: [String: [UInt8]]
        let server: FaultServer
        var hub: ModelHub

        init(
            _ files: [String: [UInt8]],
            _ change:
                @escaping @Sendable (FaultServer.Request, inout FaultServer.Answer) -> Void = {
                    _, _ in
                }
        ) throws {
            let etags = try files.mapValues(gitBlobSHA1)
            server = try FaultServer { request in
                let path = Self.file(request)
                guard let body = files[path], let etag = etags[path] else { return .init(404) }
                // Each repository has a commit of its own.
                let digits = path.hasPrefix("timm/ViT-B-16-SigLIP/") ? "f" : "0"
                var answer = FaultServer.Answer(
                    200,
                    headers: [
                        "ETag": "\"\(etag)\"", "X-Repo-Commit": digits + Self.commit.dropFirst(),
                    ], body: body)
                if request.method == "GET", let start = request.rangeStart {
                    answer.status = 206
                    answer.headers["Content-Range"] =
                        "bytes \(start)-\(body.count - 1)/\(body.count)"
                    answer.body = Array(body[start...])
                }
                change(request, &answer)
                return answer
            }
            folder = try TemporaryFolder()
            self.files = files
            hub = ModelHub(environment: [
                "HF_ENDPOINT": server.url, "HF_HOME": folder.path + "/hf", "HOME": folder.path,
            ])
            hub.policy = TransferPolicy(attempts: 2, delay: 0.01, longestWait: 1, stall: 2)
        }

        /// Returns the requested file as `owner/name/file`.
        private static func file(_ request: FaultServer.Request) -> String {
            String(request.path.dropFirst()).replacing("/resolve/main/", with: "/")
        }

        /// A hub on the same folder that may not use the network.
        var offline: ModelHub {
            ModelHub(environment: [
                "HF_ENDPOINT": server.url, "HF_HOME": folder.path + "/hf", "HOME": folder.path,
                "HF_HUB_OFFLINE": "1",
            ])
        }

        func cache(_ repository: String) -> String {
            folder.path + "/hf/hub/models--" + repository.replacing("/", with: "--")
        }
        func snapshot(_ repository: String) -> String {
            "\(cache(repository))/snapshots/\(Self.commit)"
        }

        /// The names in the snapshot of a repository, sorted.
        func names(_ repository: String) -> [String] {
            let found = try? FileManager.default.contentsOfDirectory(atPath: snapshot(repository))
            return (found ?? []).sorted()
        }

        /// The downloaded files as `owner/name/file`, in order.
        var downloads: [String] {
            server.requests.filter { $0.method == "GET" }.map(Self.file)
        }

        /// Writes a file into the snapshot of a repository, as other libraries do.
        func install(_ name: String, of repository: String) throws {
            let snapshot = snapshot(repository)
            try FileManager.default.createDirectory(
                atPath: snapshot, withIntermediateDirectories: true)
            let bytes = try #require(files["\(repository)/\(name)"])
            try Data(bytes).write(to: URL(fileURLWithPath: "\(snapshot)/\(name)"))
        }

        func error(_ name: String) -> HubError? {
            do {
                _ = try hub.fetch(name)
                return nil
            } catch {
                return error
            }
        }
    }

    private static let weights = [UInt8](repeating: 7, count: 200_000)
    private static let tokenizer = (0..<150_000).map { UInt8(truncatingIfNeeded: $0 * $0 / 77) }
    private static let name = "ViT-B-16-SigLIP-256:webli"
    private static let repository = "timm/ViT-B-16-SigLIP-256"
    private static let other = "timm/ViT-B-16-SigLIP/tokenizer.json"
    /// The weights of a model whose tokenizer is in another repository, and that tokenizer.
    private static let files = [
        "\(repository)/open_clip_model.safetensors": weights, other: tokenizer,
    ]

    @Test func tokenizerOfAnotherRepositoryIsStoredBesideTheWeights() throws {
        let hub = try Repositories(Self.files)
        let model = try hub.hub.fetch(Self.name)
        let snapshot = hub.snapshot(Self.repository)
        #expect(model.path == snapshot + "/open_clip_model.safetensors")
        #expect(hub.names(Self.repository) == ["open_clip_model.safetensors", "tokenizer.json"])
        #expect(
            try firstDifference(bytes(ofFile: snapshot + "/tokenizer.json"), Self.tokenizer) == nil)
        #expect(
            try FileManager.default.destinationOfSymbolicLink(atPath: snapshot + "/tokenizer.json")
                == "../../blobs/\(gitBlobSHA1(Self.tokenizer))")
        #expect(
            try bytes(ofFile: hub.cache(Self.repository) + "/refs/main")
                == Array(Repositories.commit.utf8))
        #expect(hub.hub.installedRepositories == [Self.repository])
        // The second time no request is sent.
        let before = hub.server.requests.count
        #expect(try hub.hub.fetch(Self.name) == model)
        #expect(hub.server.requests.count == before)
        #expect(try hub.offline.fetch(Self.name) == model)
    }

    @Test(arguments: [
        (["tokenizer.model", "tokenizer.json"], "tokenizer.model"),
        (["tokenizer.json"], "tokenizer.json"),
    ]) func smallestTokenizerThatExistsIsDownloaded(_ names: [String], _ expected: String) throws {
        let repository = "timm/ViT-B-32-SigLIP2-256"
        var files = ["\(repository)/open_clip_model.safetensors": Self.weights]
        for name in names { files["\(repository)/\(name)"] = Self.tokenizer }
        let hub = try Repositories(files)
        _ = try hub.hub.fetch("ViT-B-32-SigLIP2-256:webli")
        #expect(hub.names(repository) == ["open_clip_model.safetensors", expected].sorted())
    }

    @Test func weightsOfOtherLibrariesAreCompleted() throws {
        let hub = try Repositories(Self.files)
        try hub.install("open_clip_model.safetensors", of: Self.repository)
        let found = try #require(try hub.hub.find(Self.name))
        // Images can be encoded without a tokenizer.
        #expect(try hub.offline.fetch(Self.name) == found)
        #expect(hub.server.requests.isEmpty)
        #expect(try hub.hub.fetch(Self.name) == found)
        #expect(hub.downloads == [Self.other])
        #expect(hub.names(Self.repository) == ["open_clip_model.safetensors", "tokenizer.json"])
        // The other library's reference to the main branch is not replaced.
        #expect((try? bytes(ofFile: hub.cache(Self.repository) + "/refs/main")) == nil)
    }

    @Test func interruptedTokenizerIsResumed() throws {
        let hub = try Repositories(Self.files) { request, answer in
            guard request.method == "GET", request.path.hasSuffix("tokenizer.json") else { return }
            if request.repetition < 3 { answer.cut = request.repetition == 0 ? 100_000 : 0 }
        }
        let error = hub.error(Self.name)
        #expect("\(error as Any)".contains("cannot fetch"), "\(error as Any)")
        // Weights are downloaded last, so a model without its tokenizer is not installed.
        #expect(try hub.hub.find(Self.name) == nil)
        #expect(!hub.downloads.contains { $0.hasSuffix(".safetensors") }, "\(hub.downloads)")
        _ = try hub.hub.fetch(Self.name)
        let starts = hub.server.requests.filter {
            $0.method == "GET" && $0.path.hasSuffix("tokenizer.json")
        }.map { $0.rangeStart ?? 0 }
        #expect(starts.last == 100_000, "\(starts)")
        let path = hub.snapshot(Self.repository) + "/tokenizer.json"
        #expect(try firstDifference(bytes(ofFile: path), Self.tokenizer) == nil)
    }

    @Test func interruptedWeightsKeepTheTokenizer() throws {
        let hub = try Repositories(Self.files)
        #expect(throws: HubError.cancelled) {
            try hub.hub.fetch(Self.name) { !$0.file.hasSuffix(".safetensors") }
        }
        #expect(hub.names(Self.repository) == ["tokenizer.json"])
        _ = try hub.hub.fetch(Self.name)
        #expect(hub.downloads.count { $0 == Self.other } == 1, "\(hub.downloads)")
    }

    @Test func damagedTokenizerIsDownloadedAgain() throws {
        let hub = try Repositories(Self.files)
        let model = try hub.hub.fetch(Self.name)
        let path = hub.snapshot(Self.repository) + "/tokenizer.json"
        var damaged = Self.tokenizer
        damaged[1000] ^= 1
        let blob = "\(hub.cache(Self.repository))/blobs/\(try gitBlobSHA1(Self.tokenizer))"
        try Data(damaged).write(to: URL(fileURLWithPath: blob))
        let error = #expect(throws: HubError.self) { try hub.offline.fetch(Self.name) }
        guard case .damaged(path, _, _) = error else {
            Issue.record("\(error as Any)")
            return
        }
        #expect(try hub.hub.fetch(Self.name) == model)
        #expect(try firstDifference(bytes(ofFile: path), Self.tokenizer) == nil)
        #expect(hub.downloads.count { $0.hasSuffix(".safetensors") } == 1, "\(hub.downloads)")
    }

    @Test func missingTokenizerIsAnError() throws {
        var files = Self.files
        files[Self.other] = nil
        let hub = try Repositories(files)
        #expect(
            hub.error(Self.name)
                == .noTokenizer(
                    url: hub.server.url + "/timm/ViT-B-16-SigLIP", files: ["tokenizer.json"]))
        #expect(hub.downloads.isEmpty, "\(hub.downloads)")
        #expect(try hub.hub.find(Self.name) == nil)
    }

    @Test func wrongAndOversizedTokenizersAreRejected() throws {
        let wrong = try Repositories(Self.files) { request, answer in
            if request.method == "GET" { answer.body = [UInt8](repeating: 1, count: 150_000) }
        }
        var error = wrong.error(Self.name)
        guard case .wrongChecksum = error else {
            Issue.record("\(error as Any)")
            return
        }
        #expect(wrong.names(Self.repository).isEmpty)
        let large = try Repositories(Self.files)
        large.hub.policy.largestTokenizer = 149_999
        error = large.error(Self.name)
        guard case .tooLarge(_, 149_999) = error else {
            Issue.record("\(error as Any)")
            return
        }
        #expect(large.downloads.isEmpty, "\(large.downloads)")
    }

    @Test func transformersRepositoriesHaveTheirOwnTokenizerAndConfiguration() throws {
        let repository = "google/siglip-base-patch16-256"
        let hub = try Repositories([
            "\(repository)/model.safetensors": Self.weights,
            "\(repository)/tokenizer.json": Self.tokenizer,
            "\(repository)/spiece.model": Self.tokenizer,
            "\(repository)/config.json": Array("{}".utf8),
        ])
        let model = try hub.hub.fetch(repository)
        #expect(
            hub.names(repository) == ["config.json", "model.safetensors", "spiece.model"])
        #expect(model.known == nil)
        #expect(try hub.hub.find(repository) == model)
        // The same weights under open_clip's name follow open_clip's configuration.
        let found = try #require(try hub.hub.find(Self.name))
        #expect(found.path == "\(model.path)/model.safetensors")
        #expect(found.known == Self.name)
        let before = hub.server.requests.count
        #expect(try hub.hub.fetch(Self.name) == found)
        #expect(hub.server.requests.count == before)
    }

    @Test func naFlexModelsAreInTheFormatOfTransformers() throws {
        let repository = "google/siglip2-base-patch16-naflex"
        let hub = try Repositories([
            "\(repository)/model.safetensors": Self.weights,
            "\(repository)/tokenizer.json": Self.tokenizer,
        ])
        let model = try hub.hub.fetch(repository)
        #expect(model.path == hub.snapshot(repository) + "/model.safetensors")
        #expect(model.known == repository)
        #expect(hub.names(repository) == ["model.safetensors", "tokenizer.json"])
        #expect(try hub.hub.find("hf-hub:" + repository)?.known == repository)
    }

    private static let names = [
        "tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model",
    ]

    @Test(arguments: [
        ("open_clip_config.json", #"{"model_cfg": {"text_cfg": {"vocab_size": 32000}}}"#, names[0]),
        (
            "open_clip_config.json", #"{"model_cfg": {"text_cfg": {"vocab_size": 256000}}}"#,
            names[1]
        ),
        (
            "open_clip_config.json",
            #"{"model_cfg": {"text_cfg": {"hf_tokenizer_name": "me/model"}}}"#, names[0]
        ),
        ("open_clip_config.json", #"{"model_cfg": {"text_cfg": {"vocab_size": 49408}}}"#, nil),
        ("open_clip_config.json", #"{"model_cfg": {"text_cfg": {}}}"#, nil),
        ("config.json", #"{"model_type": "siglip", "text_config": {}}"#, names[2]),
        (
            "config.json", #"{"model_type": "siglip", "text_config": {"vocab_size": 250000}}"#,
            names[2]
        ),
        (
            "config.json", #"{"model_type": "siglip", "text_config": {"vocab_size": 1000}}"#,
            names[0]
        ),
        (
            "config.json", #"{"model_type": "siglip", "text_config": {"vocab_size": 256000}}"#,
            names[1]
        ),
        ("config.json", #"{"model_type": "clip", "text_config": {"vocab_size": 49408}}"#, nil),
        ("config.json", #"{"text_config": {}}"#, nil), ("config.json", "[", nil),
    ])
    func repositoriesOutsideTheRegistryAreJudgedByTheirConfiguration(
        _ file: String, _ text: String, _ expected: String?
    ) throws {
        let weights = file == "config.json" ? "model.safetensors" : "open_clip_model.safetensors"
        var files = ["me/model/\(weights)": Self.weights, "me/model/\(file)": Array(text.utf8)]
        for name in Self.names { files["me/model/\(name)"] = Self.tokenizer }
        let hub = try Repositories(files)
        let model = try hub.hub.fetch("me/model")
        #expect(
            hub.names("me/model") == ([weights, file] + [expected].compactMap(\.self)).sorted())
        let requested = hub.server.requests.map { $0.path.split(separator: "/").last ?? "" }
        #expect(expected != nil || !requested.contains { Self.names.contains(String($0)) })
        #expect(try hub.hub.fetch("me/model") == model)
    }

    @Test func repositoriesOutsideTheRegistryMayHaveNoTokenizer() throws {
        let hub = try Repositories([
            "me/model/model.safetensors": Self.weights,
            "me/model/config.json": Array(#"{"model_type": "siglip", "text_config": {}}"#.utf8),
        ])
        let model = try hub.hub.fetch("me/model")
        #expect(hub.names("me/model") == ["config.json", "model.safetensors"])
        // The second time no request is sent.
        let before = hub.server.requests.count
        #expect(try hub.hub.fetch("me/model") == model)
        #expect(hub.server.requests.count == before)
        #expect(hub.downloads.count == 2, "\(hub.downloads)")
    }

    /// transformers reads only `spiece.model` of SigLIP.
    @Test func tokenizerThatTransformersReadsIsAdded() throws {
        let repository = "google/siglip-base-patch16-256"
        var files = [
            "\(repository)/model.safetensors": Self.weights,
            "\(repository)/tokenizer.json": Self.tokenizer,
            "\(repository)/config.json": Array("{}".utf8),
        ]
        let old = try Repositories(files)
        for name in ["model.safetensors", "tokenizer.json", "config.json"] {
            try old.install(name, of: repository)
        }
        // A repository may have no other file; it is asked once.
        let model = try old.hub.fetch(repository)
        #expect(old.downloads.isEmpty, "\(old.downloads)")
        let before = old.server.requests.count
        #expect(before > 0)
        #expect(try old.hub.fetch(repository) == model)
        #expect(old.server.requests.count == before)

        files["\(repository)/spiece.model"] = Self.tokenizer
        let new = try Repositories(files)
        for name in ["model.safetensors", "tokenizer.json", "config.json"] {
            try new.install(name, of: repository)
        }
        _ = try new.hub.fetch(repository)
        #expect(new.downloads == ["\(repository)/spiece.model"])
    }

    /// The class tells whether transformers converts texts to lower case.
    @Test(arguments: ["siglip", "siglip2"]) func classOfTheTokenizerIsFetched(
        _ type: String
    ) throws {
        let text = #"{"model_type": "\#(type)", "text_config": {"vocab_size": 256000}}"#
        let hub = try Repositories([
            "me/model/model.safetensors": Self.weights,
            "me/model/config.json": Array(text.utf8),
            "me/model/tokenizer.model": Self.tokenizer,
            "me/model/tokenizer_config.json": Array("{}".utf8),
        ])
        let model = try hub.hub.fetch("me/model")
        let kept = ["config.json", "model.safetensors", "tokenizer.model"]
        #expect(
            hub.names("me/model") == kept + (type == "siglip" ? ["tokenizer_config.json"] : []))
        // It is added to what was installed without it.
        try? FileManager.default.removeItem(
            atPath: hub.snapshot("me/model") + "/tokenizer_config.json")
        #expect(try hub.hub.fetch("me/model") == model)
        #expect(hub.names("me/model").contains("tokenizer_config.json") == (type == "siglip"))
        let before = hub.server.requests.count
        #expect(try hub.hub.fetch("me/model") == model)
        #expect(hub.server.requests.count == before)
    }
}
