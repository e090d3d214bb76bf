import Foundation
import TestSupport
import Testing

@testable import CLIPHub

/// Tests one hub that many tasks use at once.
@Suite struct HubSharingTests {
    private static let tasks = 16
    private static let commit = Hub.commit

    /// A hub of the repositories me/a, me/b, …, each with its own weights and configuration.
    private struct Repositories {
        let folder: TemporaryFolder
        let server: FaultServer
        let hub: ModelHub
        let names = ["me/a", "me/b", "me/c", "me/d"]
        /// The contents by their path on the server.
        let files: [String: [UInt8]]

        init() throws {
            let folder = try TemporaryFolder()
            var files: [String: [UInt8]] = [:]
            var etags: [String: String] = [:]
            for (index, name) in names.enumerated() {
                let weights = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 * (2 * index + 3)) }
                let configuration = Array("{\"name\": \"\(name)\"}".utf8)
                let path = "/\(name)/resolve/main/"
                files[path + Hub.name] = weights
                etags[path + Hub.name] = try sha256sum(folder.write("weights", weights))
                files[path + "open_clip_config.json"] = configuration
                etags[path + "open_clip_config.json"] = try gitBlobSHA1(configuration)
            }
            let (served, named) = (files, etags)
            server = try FaultServer { request in
                guard let body = served[request.path], let etag = named[request.path] else {
                    return .init(404)
                }
                let headers = ["ETag": "\"\(etag)\"", "X-Repo-Commit": HubSharingTests.commit]
                var answer = FaultServer.Answer(200, headers: headers, body: body)
                answer.delay = 0.02
                return answer
            }
            hub = ModelHub(
                environment: [
                    "HF_ENDPOINT": server.url, "HF_HOME": folder.path + "/hf", "HOME": folder.path,
                ])
            (self.folder, self.files) = (folder, files)
        }
    }

    /// Fetches a model in each task; the tasks take the names in turn.
    private func fetch(
        _ names: [String], by hub: ModelHub
    ) async throws -> [ModelHub.InstalledModel] {
        try await withThrowingTaskGroup(of: ModelHub.InstalledModel.self) { group in
            for task in 0..<Self.tasks {
                group.addTask { try hub.fetch(names[task % names.count]) }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    @Test(arguments: [1, 4]) func eachFileIsDownloadedOnce(_ count: Int) async throws {
        let repositories = try Repositories()
        let names = Array(repositories.names.prefix(count))
        let models = try await fetch(names, by: repositories.hub)
        #expect(models.count == Self.tasks)
        for model in models {
            for name in [Hub.name, "open_clip_config.json"] {
                let expected = try #require(
                    repositories.files["/\(model.name)/resolve/main/\(name)"])
                let found = try bytes(ofFile: "\(model.path)/\(name)")
                #expect(
                    firstDifference(found, expected) == nil,
                    "\(model.name) \(name): \(found.count) bytes")
            }
        }
        let gets = repositories.server.requests.filter { $0.method == "GET" }.map(\.path)
        #expect(gets.count == 2 * count, "\(gets.sorted())")
        #expect(Set(gets).count == 2 * count, "\(gets.sorted())")
    }

    @Test func concurrentTasksFindAndCheckOneModel() async throws {
        let repositories = try Repositories()
        let hub = repositories.hub
        let model = try await hub.fetch("me/a")
        let requests = repositories.server.requests.count
        // Without the record of the check, each task may be the one that reads the file.
        try FileManager.default.removeItem(
            atPath: repositories.folder.path + "/.cache/clip/verified")
        let found = try await fetch(["me/a"], by: hub)
        #expect(found.allSatisfy { $0 == model })
        #expect(repositories.server.requests.count == requests)
    }
}
