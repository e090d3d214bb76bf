import Foundation
import TestSupport
import Testing

@testable import ClipCommand

/// Tests `clip serve` as a process: its options, signals, logs and unit file.
@Suite struct ServeTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func clip(
        _ arguments: [String], environment: [String: String] = [:]
    ) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(["serve"] + arguments, environment: environment)
    }

    // MARK: options

    @Test(arguments: [
        (["--port", "65536"], "--port must be 0 to 65535, not 65536"),
        (["--port", "-1"], "--port must be 0 to 65535, not -1"),
        (["--host", "example.com"], "--host must be an IP address or localhost"),
        (["--base-path", "clip"], "--base-path must begin with /"),
        (["--base-path", "/a/../b"], "--base-path must begin with /"),
        (["--base-path", "/a\r\nX: y"], "--base-path must begin with /"),
        (["--ttl", "-5"], "--ttl must be at least 0, not -5"),
        (["--memory", "many"], "'many' is invalid for '--memory <size>'"),
        (["--memory", "0"], "--memory must be more than 0"),
        (["--max-body", "10"], "--max-body must be 1KiB to 1TiB, not 10"),
        (["--max-body", "3000000T"], "--max-body must be 1KiB to 1TiB, not 3000000T"),
        (["--max-images", "0"], "--max-images must be at least 1, not 0"),
        (["--max-pixels", "0"], "--max-pixels must be at least 1, not 0"),
        (["--max-connections", "0"], "--max-connections must be at least 1, not 0"),
        (["--queue", "0"], "--queue must be at least 1, not 0"),
        (["--request-timeout", "0"], "--request-timeout must be 1 to 86400, not 0"),
        (["--grace", "-1"], "--grace must be 0 to 86400, not -1"),
        (["--log", "xml"], "'xml' is invalid for '--log <format>'"),
        (["--allow-host", "http://a.b"], "--allow-host must be a host name"),
        (["--allow-host", "a:80"], "--allow-host must be a host name"),
        (["--cors", "example.com"], "--cors must be * or an origin"),
        (["--cors", "https://example.com/"], "--cors must be * or an origin"),
        (["--cors", "null"], "--cors must be * or an origin"),
        (["--api-key", "a b"], "--api-key must be a key of printable ASCII characters"),
        (["--api-key", ""], "--api-key must be a key of printable ASCII characters"),
        (["--api-key", "a", "--api-key-file", "f"], "cannot be combined"),
        (["--model", ""], "--model is empty"),
        (["--threads", "0"], "--threads must be at least 1, not 0"),
        (["--resolution", "0"], "--resolution must be 1 to 8192, not 0"),
        (["--systemd", "--port", "0"], "--systemd needs a fixed --port"),
        (["--systemd", "--api-key", "a"], "--systemd and --api-key cannot be combined"),
    ])
    func wrongOptionsAreRejected(_ arguments: [String], _ message: String) throws {
        let result = try clip(arguments)
        expectFailure(result, status: 2, says: message)
        #expect(result.errors.contains("(see clip serve --help)"), "\(result.errors)")
    }

    @Test func unusableKeysAreRejected() throws {
        let empty = try folder.write("key", "\nsecret\n".utf8)
        expectFailure(
            try clip(["--api-key-file", empty]), status: 2, says: "the first line of \(empty)")
        expectFailure(
            try clip(["--api-key-file", "missing"]), status: 1, says: "cannot read missing")
        expectFailure(
            try clip([], environment: ["CLIP_API_KEY": "a b"]), status: 2, says: "CLIP_API_KEY")
    }

    @Test func unitFileDoesNotDropTheKeyOfTheEnvironment() throws {
        let environment = ["CLIP_API_KEY": "secret"]
        let result = try clip(["--systemd"], environment: environment)
        expectFailure(result, status: 2, says: "give --api-key-file FILE")
        #expect(!result.errors.contains("secret"))
        let key = try folder.write("key", "other".utf8)
        let unit = try clip(["--systemd", "--api-key-file", key], environment: environment)
            .successful()
        #expect(unit.text.contains("--api-key-file %d/api-key"))
    }

    @Test func foldersWithoutAnIndexAreRejected() throws {
        let photos = folder.path + "/photos"
        try FileManager.default.createDirectory(
            atPath: photos, withIntermediateDirectories: true)
        expectFailure(
            try clip(["--index", photos]), status: 1, says: "create it with clip index \(photos)")
        expectFailure(try clip(["--index", "missing"]), status: 1, says: "missing")
    }

    @Test func missingModelsAreRejected() throws {
        expectFailure(try clip(["-m", "ViT-B/32"]), status: 1, says: "run clip pull ViT-B/32")
        expectFailure(try clip(["-m", "tiny", "-m", "nope"]), status: 1, says: "nope")
        let variable = try clip([], environment: ["CLIP_MODEL": "nope"])
        expectFailure(variable, status: 1, says: "the name comes from CLIP_MODEL")
        expectFailure(
            try clip(["-m", Fixtures.path("images/rgb.jpg")]), status: 1,
            says: "unsupported weights")
    }

    @Test(arguments: [
        ("0", 0), ("1024", 1024), ("500M", 500_000_000), ("4g", 4_000_000_000),
        ("1.5GB", 1_500_000_000), ("64MiB", 64 << 20), ("2Ki", 2048), ("7b", 7),
    ])
    func sizesHaveUnits(_ text: String, _ bytes: Int) {
        #expect(ByteCount(argument: text)?.bytes == bytes)
    }

    @Test(arguments: [
        "", "M", "-1", "1X", "1MM", "1 M", ".5G", "1.", "1e3", "0x10", "i", "1i", "9999999T",
        "99999999999999999999", "nan", "inf", "١",
    ])
    func textsThatAreNoSizesAreRejected(_ text: String) {
        #expect(ByteCount(argument: text) == nil)
    }

    @Test(arguments: [0, 1, 1000, 1024, 64 << 20, 4_000_000_000, 178_956_971])
    func sizesAreReadAsTheyAreWritten(_ bytes: Int) {
        #expect(ByteCount(argument: "\(ByteCount(bytes))")?.bytes == bytes)
    }

    /// Makes a folder with an image and its index, by `tiny`.
    private func makeIndex(_ name: String) throws {
        try FileManager.default.createDirectory(
            atPath: folder.path + "/" + name, withIntermediateDirectories: true)
        try folder.copy(Fixtures.path("images/rgb.jpg"), as: name + "/rgb.jpg")
        _ = try ClipBinary(folder: folder).run(["index", name, "--model", "tiny"]).successful()
    }

    // MARK: systemd

    /// Checks a unit by systemd itself, where that is installed.
    private func verify(_ unit: String) throws {
        guard FileManager.default.fileExists(atPath: "/usr/bin/systemd-analyze") else { return }
        let file = try folder.write("clip.service", unit.utf8)
        let binary = ClipBinary(
            folder: folder, executable: URL(fileURLWithPath: "/usr/bin/systemd-analyze"))
        let result = try binary.run(["verify", "--man=no", file])
        #expect(result.status == 0)
        #expect(!result.errors.contains("clip.service"), "\(result.errors)\n\(unit)")
    }

    @Test func unitFileRunsTheSameOptions() throws {
        try makeIndex("my photos: 100%")
        let key = try folder.write("key", "secret".utf8)
        let result = try clip([
            "--systemd", "--model", "tiny", "--index", "my photos: 100%", "--port", "81",
            "--grace", "7", "--max-body", "1MiB", "--api-key-file", key, "--log", "json",
            "--cors", "https://a.b:80", "--precision", "bf16", "--quiet", "--memory", "4G",
        ]).successful()
        let lines = result.text.components(separatedBy: "\n")
        let path = folder.path
        let command = try #require(lines.first { $0.hasPrefix("ExecStart=/") })
        #expect(
            command.hasSuffix(
                """
                 serve --model tiny --precision bf16 --memory 4G --port 81 --api-key-file \
                %d/api-key --cors https://a.b:80 --max-body 1MiB --grace 7 --log json --index \
                \"\(path)/my photos: 100%%\" --quiet
                """), "\(command)")
        for line in [
            "LoadCredential=api-key:\(key)", "TimeoutStopSec=12", "DynamicUser=yes",
            "ProtectSystem=strict", "StateDirectory=clip", "CacheDirectory=clip",
            "Restart=on-failure", "AmbientCapabilities=CAP_NET_BIND_SERVICE",
            "MemoryDenyWriteExecute=yes", "BindReadOnlyPaths=\"\(path)/my photos\\: 100%%\"",
        ] {
            #expect(lines.contains(line), "\(line) is missing in:\n\(result.text)")
        }
        #expect(!result.text.contains("secret"))
        try verify(result.text)
    }

    @Test func unitFileNeedsTheModelsAndIndexes() throws {
        expectFailure(
            try clip(["--systemd", "--model", "nope"]), status: 1, says: "no model nope")
        expectFailure(try clip(["--systemd", "--index", "missing"]), status: 1, says: "missing")
    }

    @Test func unitFileWithoutOptionsIsValid() throws {
        let result = try clip(["--systemd"]).successful()
        #expect(result.errors.isEmpty, "\(result.errors)")
        #expect(result.text.contains("/clip serve\n"), "\(result.text)")
        #expect(result.text.contains("\nCapabilityBoundingSet=\n"), "\(result.text)")
        try verify(result.text)
    }

    // MARK: serving

    @Test func embeddingsEqualThoseOfEncode() throws {
        let model = CommandTests.model
        let server = try ServedProcess(["--model", model], in: folder)
        #expect(try server.errors.hasPrefix("clip: serving \(model) on http://127.0.0.1:"))
        let ping = try server.request("GET", "/ping")
        #expect(ping.status == 200)
        #expect(ping.text == "pong")

        let texts = ["a photo of a cat", "a man riding bicycle"]
        let list = texts.map { "\"\($0)\"" }.joined(separator: ",")
        let answer = try server.request(
            "POST", "/v1/embeddings", json: "{\"input\": [\(list)], \"encoding_format\": \"float\"}"
        ).json()
        let rows = try #require(answer["data"] as? [[String: Any]], "\(answer)")
        let served = rows.map { $0["embedding"] as? [Double] }
        let encoded = try ClipBinary(folder: folder).run(
            ["encode", "--model", model, "--format", "json"] + texts.flatMap { ["--text", $0] }
        ).json()
        let expected = try #require(encoded["embeddings"] as? [[String: Any]])
            .map { $0["embedding"] as? [Double] }
        #expect(served == expected)
        #expect(server.end(by: SIGTERM) == 0)
        let log = try server.output.split(separator: "\n")
        #expect(log.count == 2, "\(log)")
        #expect(log.allSatisfy { $0.contains("200") }, "\(log)")
        #expect(!log.contains { $0.contains("cat") }, "\(log)")
    }

    @Test func controlCEndsWithStatus130() throws {
        let server = try ServedProcess(["--model", "tiny", "--log", "none"], in: folder)
        #expect(try server.request("GET", "/ping").status == 200)
        #expect(server.end(by: SIGINT) == 130)
        #expect(try server.output.isEmpty)
    }

    @Test func openConnectionsDoNotDelayTheEnd() throws {
        let server = try ServedProcess(["--model", "tiny"], in: folder)
        let idle = try LocalConnection(port: server.port)
        try idle.send(Array("GET /ping HTTP/1.1\r\nHost: localhost\r\n".utf8))
        #expect(try server.request("GET", "/ping").status == 200)
        #expect(server.end(by: SIGTERM) == 0)
    }

    @Test func usedPortIsAnError() throws {
        let server = try ServedProcess(["--model", "tiny"], in: folder)
        let result = try clip(["--model", "tiny", "--port", "\(server.port)"])
        expectFailure(result, status: 1, says: "\(server.port)")
    }

    @Test func closedStandardOutputDoesNotEndTheServer() throws {
        let pipe = Pipe()
        let server = try ServedProcess(
            ["--model", "tiny"], in: folder, output: pipe.fileHandleForWriting)
        try pipe.fileHandleForWriting.close()
        try pipe.fileHandleForReading.close()
        for _ in 0..<3 {
            #expect(try server.request("GET", "/ping").status == 200)
            usleep(50_000)
        }
        let errors = try server.errors
        #expect(
            errors.contains("the access log ends: cannot write to standard output"), "\(errors)")
        #expect(server.end(by: SIGTERM) == 0)
    }

    @Test func urlsOfThisMachineAreNeverFetched() throws {
        let server = try ServedProcess(["--model", "tiny", "--allow-urls"], in: folder)
        let answer = try server.request(
            "POST", "/v1/embeddings",
            json: """
                {"modality": "image", "input": "http://127.0.0.1:\(server.port)/image/0/0"}
                """)
        #expect(answer.status == 400)
        #expect(answer.text.contains("unreachable_url"), "\(answer.text)")
        #expect(server.end(by: SIGTERM) == 0)
        #expect(try server.output.split(separator: "\n").count == 1)
    }

    @Test func keyOfAFileIsRequired() throws {
        let key = try folder.write("key", "secret\n".utf8)
        let server = try ServedProcess(["-m", "tiny", "--api-key-file", key], in: folder)
        #expect(try server.request("GET", "/v1/models").status == 401)
        let header = "Authorization: Bearer secret"
        #expect(try server.request("GET", "/v1/models", headers: [header]).status == 200)
        #expect(try !server.output.contains("secret"))
        #expect(try !server.errors.contains("secret"))
    }

    @Test func serversOfOtherMachinesWithoutKeyWarn() throws {
        let server = try ServedProcess(["-m", "tiny", "--host", "0.0.0.0"], in: folder)
        #expect(try server.errors.contains("clip: warning: everyone who can connect to 0.0.0.0"))
        let safe = try ServedProcess(
            ["-m", "tiny", "--host", "0.0.0.0"], in: folder, environment: ["CLIP_API_KEY": "a"])
        #expect(try !safe.errors.contains("warning"))
    }

    @Test func demonstrationModelGivesNoEmbeddings() throws {
        let server = try ServedProcess([], in: folder)
        #expect(try server.errors.contains("using tiny, a demonstration model"))
        let refused = try server.request("POST", "/v1/embeddings", json: "{\"input\": \"a dog\"}")
        #expect(refused.status == 404, "\(refused.text)")
        let named = try ServedProcess(["--model", "tiny"], in: folder)
        let answer = try named.request("POST", "/v1/embeddings", json: "{\"input\": \"a dog\"}")
        #expect(answer.status == 200, "\(answer.text)")
    }

    @Test func requestsOpenNoPaths() throws {
        try FileManager.default.copyItem(
            atPath: CommandTests.model, toPath: folder.path + "/owner-model")
        let server = try ServedProcess(["--model", "tiny"], in: folder)
        for name in ["owner-model", "./owner-model", CommandTests.model] {
            let refused = try server.request(
                "POST", "/v1/embeddings", json: "{\"input\": \"a\", \"model\": \"\(name)\"}")
            #expect(refused.status == 404, "\(name): \(refused.text)")
        }
    }

    @Test func startNamesTheIndexes() throws {
        try makeIndex("photos")
        let photos = folder.path + "/photos"
        let server = try ServedProcess(["--index", photos], in: folder)
        let line = "clip: serve: index of \(photos): 1 image, model tiny"
        // It follows the line that `ServedProcess` waits for.
        for _ in 0..<100 where try !server.errors.contains(line) { usleep(10_000) }
        let errors = try server.errors
        #expect(errors.contains(line), "\(errors)")
    }
}
