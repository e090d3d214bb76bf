import Foundation
import TestSupport
import Testing

@testable import CLIPHub

/// A test hub with one model, `me/model`, and configurable answers.
final class Hub {
    static let commit = "0123456789abcdef0123456789abcdef01234567"
    static let name = "open_clip_model.safetensors"
    static let size = 300_000

    let contents: [UInt8]
    let sha256: String
    let folder: TemporaryFolder
    let server: FaultServer
    var hub: ModelHub
    /// The configuration, `{}`, and its git SHA-1.
    static let configuration = (
        bytes: Array("{}".utf8), etag: "9e26dfeeb6e641a33dae4961196235bdb965b21b"
    )

    init(
        environment: [String: String] = [:],
        _ change:
            @escaping @Sendable (FaultServer.Request, [UInt8], inout FaultServer.Answer)
            -> Void = { _, _, _ in }
    ) throws {
        let folder = try TemporaryFolder()
        var random = SystemRandomNumberGenerator()
        let contents = (0..<Self.size).map { _ in UInt8.random(in: 0...255, using: &random) }
        let path = try folder.write("contents", contents)
        let sha256 = try sha256sum(path)
        server = try FaultServer { request in
            var answer = Self.good(request, contents, sha256)
            change(request, contents, &answer)
            return answer
        }
        var hub = ModelHub(
            environment: [
                "HF_ENDPOINT": server.url, "HF_HOME": folder.path + "/hf", "HOME": folder.path,
                "CLIP_OPENAI_ENDPOINT": server.url + "/models",
            ].merging(environment) { $1 })
        hub.policy = TransferPolicy(attempts: 3, delay: 0.01, longestWait: 1, stall: 2)
        (self.folder, self.contents, self.sha256, self.hub) = (folder, contents, sha256, hub)
    }

    /// Answers like Hugging Face's hub: a description with a redirect, and then the bytes.
    static func good(
        _ request: FaultServer.Request, _ contents: [UInt8], _ sha256: String
    ) -> FaultServer.Answer {
        if request.path.hasPrefix("/me/model/resolve/main/") {
            if request.path.hasSuffix("open_clip_config.json") {
                return .init(
                    200,
                    headers: ["ETag": "\"\(configuration.etag)\"", "X-Repo-Commit": commit],
                    body: configuration.bytes)
            }
            guard request.path.hasSuffix(name) else { return .init(404) }
            return .init(
                302,
                headers: [
                    "Location": "/cdn/file", "X-Linked-ETag": "\"\(sha256)\"",
                    "X-Linked-Size": "\(contents.count)", "X-Repo-Commit": commit,
                ])
        }
        guard request.path == "/cdn/file" || request.path.hasPrefix("/models/") else {
            return .init(404)
        }
        guard let start = request.rangeStart else { return .init(200, body: contents) }
        guard start < contents.count else {
            return .init(416, headers: ["Content-Range": "bytes */\(contents.count)"])
        }
        return .init(
            206,
            headers: [
                "Content-Range": "bytes \(start)-\(contents.count - 1)/\(contents.count)"
            ], body: Array(contents[start...]))
    }

    var cache: String { folder.path + "/hf/hub/models--me--model" }
    var blob: String { "\(cache)/blobs/\(sha256)" }
    var partial: String { blob + ".incomplete" }

    func fetch() throws(HubError) -> ModelHub.InstalledModel { try hub.fetch("me/model") }

    func error() -> HubError? {
        do {
            _ = try fetch()
            return nil
        } catch {
            return error
        }
    }

    /// Expects that the file is complete and correct, or absent.
    func expectWhole(
        _ isThere: Bool, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let snapshot = "\(cache)/snapshots/\(Self.commit)/\(Self.name)"
        for path in [blob, snapshot] {
            let found = try? bytes(ofFile: path)
            #expect(
                found == (isThere ? contents : nil), "\(path)", sourceLocation: sourceLocation)
        }
    }

    /// Creates the folder of blobs.
    func prepareBlobs() throws {
        try FileManager.default.createDirectory(
            atPath: cache + "/blobs", withIntermediateDirectories: true)
    }

    /// The names in the folder of blobs.
    var blobs: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: cache + "/blobs")) ?? []).sorted()
    }

    var bodies: Int { server.requests.count { $0.path == "/cdn/file" } }
}
