import Foundation
import Synchronization
import TestSupport
import Testing

/// Tests models by name: listed, downloaded, found, verified and converted.
@Suite struct HubCommandTests {
    private static let commit = "89abcdef0123456789abcdef0123456789abcdef"
    private let folder: TemporaryFolder
    private let server: FaultServer
    private let weights: [UInt8]
    /// The seconds before each 64 KB.
    private let delay = Delay()

    private final class Delay: Sendable {
        let seconds = Mutex(0.0)
    }

    /// Starts a hub with the repository me/model.
    init() throws {
        folder = try TemporaryFolder()
        let model = Fixtures.path("models/seeded")
        let contents = try bytes(ofFile: model + "/open_clip_model.safetensors")
        let configuration = try bytes(ofFile: model + "/open_clip_config.json")
        weights = contents
        let sum = try sha256sum(model + "/open_clip_model.safetensors")
        let configurationSum = try gitBlobSHA1(configuration)
        let delay = delay
        server = try FaultServer { request in
            let name = request.path.split(separator: "/").last
            let isConfiguration = name == "open_clip_config.json"
            guard request.path.hasPrefix("/me/model/resolve/main/"),
                isConfiguration || name == "open_clip_model.safetensors"
            else { return .init(404) }
            let headers = [
                "ETag": "\"\(isConfiguration ? configurationSum : sum)\"",
                "X-Repo-Commit": Self.commit,
            ]
            guard !isConfiguration else { return .init(200, headers: headers, body: configuration) }
            var answer = FaultServer.Answer(200, headers: headers, body: contents)
            if let start = request.rangeStart {
                answer.status = 206
                answer.headers["Content-Range"] =
                    "bytes \(start)-\(contents.count - 1)/\(contents.count)"
                answer.body = Array(contents[start...])
            }
            answer.delay = delay.seconds.withLock { $0 }
            return answer
        }
    }

    private var environment: [String: String] { ["HF_ENDPOINT": server.url] }
    private var binary: ClipBinary { ClipBinary(folder: folder) }
    private var cache: String { folder.path + "/.cache/huggingface/hub/models--me--model" }
    private var partial: String? {
        let blobs = try? FileManager.default.contentsOfDirectory(atPath: cache + "/blobs")
        return blobs?.first { $0.hasSuffix(".incomplete") }.map { "\(cache)/blobs/\($0)" }
    }

    private func clip(
        _ arguments: String..., variables: [String: String] = [:]
    ) throws -> ClipBinary.Result {
        try binary.run(arguments, environment: environment.merging(variables) { $1 })
    }

    @Test func pulledModelsAreFound() throws {
        let before = try clip("encode", "--model", "me/model", "--text", "a cat")
        expectFailure(before, status: 1, says: "clip pull me/model")
        #expect(before.errors.contains("or use the model tiny"))
        #expect(server.requests.isEmpty)

        let pull = try clip("pull", "me/model")
        #expect(pull.status == 0, "\(pull.errors)")
        #expect(pull.errors.isEmpty, "\(pull.errors)")
        #expect(pull.text == "\(cache)/snapshots/\(Self.commit)\n")
        let found = try clip("encode", "--model", "me/model", "--text", "a cat", "--format", "json")
        let direct = try clip(
            "encode", "--model", Fixtures.path("models/seeded"), "--text", "a cat", "--format",
            "json")
        #expect(found.status == 0, "\(found.errors)")
        let embedding = { (data: Data) in
            ((try json(data)["embeddings"] as? [[String: Any]])?.first?["embedding"] as? [Double])
        }
        #expect(try embedding(found.output) == embedding(direct.output))
        // Installed models need no network.
        let offline = try clip(
            "info", "me/model",
            variables: ["HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:1"])
        #expect(offline.status == 0, "\(offline.errors)")
        expectFailure(
            try clip("pull", "me/other", variables: ["HF_HUB_OFFLINE": "1"]), status: 1,
            says: "HF_HUB_OFFLINE")
        expectFailure(try clip("pull", "me/other"), status: 1, says: "404")
        expectFailure(try clip("pull", "no model"), status: 1, says: "clip models")
        expectFailure(try clip("pull", "ViT-B-33"), status: 1, says: "ViT-B/32")
    }

    @Test func filesWithoutChecksumAreReported() throws {
        let model = Fixtures.path("models/seeded")
        let sum = try sha256sum(model + "/open_clip_model.safetensors")
        let other = try FaultServer { request in
            let name = request.path.split(separator: "/").last.map(String.init) ?? ""
            let etags = [
                "open_clip_model.safetensors": sum,
                "open_clip_config.json": "0123456789abcdef0123456789abcdef",
            ]
            guard let etag = etags[name], let body = try? bytes(ofFile: "\(model)/\(name)") else {
                return .init(404)
            }
            return .init(
                200, headers: ["ETag": "\"\(etag)\"", "X-Repo-Commit": Self.commit], body: body)
        }
        let result = try clip("pull", "me/model", variables: ["HF_ENDPOINT": other.url])
        #expect(result.status == 0, "\(result.errors)")
        #expect(
            result.errors
                == "clip: pull: only the size was checked, the server sent no checksum of "
                + "open_clip_config.json\n", "\(result.errors)")
        // Files that exist already are not reported again.
        let again = try clip("pull", "me/model", variables: ["HF_ENDPOINT": other.url])
        #expect(again.status == 0, "\(again.errors)")
        #expect(again.errors.isEmpty, "\(again.errors)")
    }

    @Test func killedDownloadIsContinued() throws {
        delay.seconds.withLock { $0 = 0.15 }
        let process = binary.process(["pull", "me/model"], environment: environment)
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        var kept = 0
        for _ in 0..<500 where kept < 150_000 {
            Thread.sleep(forTimeInterval: 0.02)
            kept = partial.flatMap { try? bytes(ofFile: $0).count } ?? 0
        }
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        let path = try #require(partial)
        let start = try bytes(ofFile: path)
        #expect(start.count >= 150_000)
        #expect(start == Array(weights.prefix(start.count)))

        delay.seconds.withLock { $0 = 0 }
        let again = try clip("pull", "me/model")
        #expect(again.status == 0, "\(again.errors)")
        #expect(server.requests.last?.rangeStart == start.count)
        let file = "\(cache)/snapshots/\(Self.commit)/open_clip_model.safetensors"
        #expect(try firstDifference(bytes(ofFile: file), weights) == nil)
        #expect(partial == nil)
    }

    @Test func interruptedDownloadSaysHowToContinue() throws {
        delay.seconds.withLock { $0 = 0.15 }
        let process = binary.process(["pull", "me/model"], environment: environment)
        let errors = folder.path + "/errors"
        try Data().write(to: URL(fileURLWithPath: errors))
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle(forWritingAtPath: errors)
        try process.run()
        for _ in 0..<500 where (partial.flatMap { try? bytes(ofFile: $0).count } ?? 0) < 100_000 {
            Thread.sleep(forTimeInterval: 0.02)
        }
        process.interrupt()
        process.waitUntilExit()
        #expect(process.terminationReason == .uncaughtSignal)
        #expect(process.terminationStatus == SIGINT)
        let line = String(decoding: try bytes(ofFile: errors), as: UTF8.self)
        #expect(line.hasPrefix("clip: pull: "), "\(line)")
        #expect(line.hasSuffix("run the command again to resume\n"), "\(line)")
        let kept = try bytes(ofFile: #require(partial)).count
        delay.seconds.withLock { $0 = 0 }
        #expect(try clip("pull", "me/model").status == 0)
        #expect(server.requests.last?.rangeStart == kept)
    }

    @Test func concurrentPullsGiveOneFile() throws {
        delay.seconds.withLock { $0 = 0.05 }
        let processes = try (0..<2).map { _ in
            let process = binary.process(["pull", "me/model"], environment: environment)
            process.standardOutput = FileHandle.nullDevice
            try process.run()
            return process
        }
        for process in processes {
            process.waitUntilExit()
            #expect(process.terminationStatus == 0)
        }
        let file = "\(cache)/snapshots/\(Self.commit)/open_clip_model.safetensors"
        #expect(try firstDifference(bytes(ofFile: file), weights) == nil)
        let bodies = server.requests.count {
            $0.method == "GET" && $0.path.hasSuffix("open_clip_model.safetensors")
        }
        #expect(bodies == 1)
    }

    @Test func missingModelIsDownloadedAtATerminal() throws {
        // script runs a command at a terminal of its own.
        let command = "'\(binary.executable.path)' encode --model me/model --text 'a cat'"
        let terminal = ClipBinary(
            folder: folder, executable: URL(fileURLWithPath: "/usr/bin/script"))
        let result = try terminal.run(
            ["-q", "-e", "-c", command, "/dev/null"], environment: environment)
        #expect(result.status == 0, "\(result.text)")
        #expect(result.text.contains("downloading the weights of me/model"), "\(result.text)")
        #expect(result.text.contains("100 %"))
        #expect(result.text.contains("embedding"))
    }

    @Test func modelsAreListed() throws {
        let table = try clip("models")
        #expect(table.status == 0)
        #expect(table.text.split(separator: "\n").count == 115)
        #expect(table.text.contains("ViT-B/32"))
        #expect(table.text.contains("tiny"))
        let objects = try #require(
            JSONSerialization.jsonObject(with: clip("models", "--json").output) as? [[String: Any]])
        #expect(objects.count == 114)
        let entry = try #require(objects.first { $0["name"] as? String == "ViT-B-32:openai" })
        #expect(entry["activation"] as? String == "quickgelu")
        #expect(entry["installed"] as? Bool == false)
        #expect(entry["tokenizer"] is NSNull)
        let other = objects.first {
            $0["name"] as? String == "ViT-H-14-worldwide-378:metaclip2_worldwide"
        }
        #expect(other?["tokenizer"] as? String == "facebook/xlm-v-base")
        #expect(other?["license"] as? String == "CC BY-NC 4.0")
        let none = try clip("models", "--installed")
        #expect(none.text.split(separator: "\n").count == 2)
    }

    @Test func tinyMatchesItsKnownAnswers() throws {
        let result = try clip("verify", "tiny")
        #expect(result.status == 0, "\(result.text)")
        #expect(result.text.contains("3 of 3"), "\(result.text)")
        let copy = folder.path + "/copy.safetensors"
        #expect(try clip("convert", "tiny", copy, "--quiet").status == 0)
        #expect(try clip("verify", copy, "--as", "tiny").status == 0)
        // Numbers of another model are detected.
        let other = try clip("verify", Fixtures.path("models/seeded"), "--as", "tiny", "--json")
        #expect(other.status == 1)
        #expect(try other.json()["failed"] as? Int == 3)
        expectFailure(
            try clip("verify", Fixtures.path("models/seeded")), status: 1,
            says: "values for ViT-B/32"
        )
    }

    @Test func convertWritesTheRequestedFormat() throws {
        let path = folder.path + "/out.safetensors"
        for (dtype, type) in [("f32", "F32"), ("f16", "F16"), ("bf16", "BF16")] {
            let result = try clip(
                "convert", Fixtures.path("formats/hf-bin"), path, "--dtype", dtype)
            #expect(result.status == 0)
            #expect(result.output.isEmpty)
            let info = try json(clip("info", path, "--json").output)
            #expect(info["types"] as? [String] == [type])
            #expect(info["layout"] as? String == "openai")
            #expect(info["activation"] as? String == "quickgelu")
        }
        expectFailure(
            try clip("convert", Fixtures.path("formats/hf-bin"), "/no/such/folder/x"), status: 2,
            says: "cannot write /no/such/folder/x")
        expectFailure(
            try clip("convert", Fixtures.path("formats/gadget.pt"), path), status: 1,
            says: "posix.system, which is not allowed")
        #expect(
            try clip("convert", Fixtures.path("formats/hf-bin"), path, "--dtype", "int4").status
                == 2)
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(!names.contains { $0.hasSuffix(".partial") })
    }
}
