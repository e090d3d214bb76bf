import Foundation
import TestSupport
import Testing

@testable import CLIPHub

/// Tests the folders of the caches: their places by the environment, and the files found in them.
@Suite struct HubCacheTests {
    private let folder: TemporaryFolder
    private let cache: HubCache

    init() throws {
        folder = try TemporaryFolder()
        cache = HubCache(environment: [
            "HF_HUB_CACHE": folder.path + "/hub", "CLIP_HOME": folder.path + "/clip",
        ])
    }

    /// Writes a file and creates the folders on its path.
    private func write(_ path: String, _ text: String = "x") throws {
        let url = URL(fileURLWithPath: "\(folder.path)/\(path)")
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: url)
    }

    @Test(arguments: [
        (["HOME": "/h"], "/h/.cache/huggingface/hub", "/h/.cache/clip"),
        (["HOME": "/h", "XDG_CACHE_HOME": "/x"], "/x/huggingface/hub", "/h/.cache/clip"),
        (["HOME": "/h", "XDG_CACHE_HOME": "/x", "HF_HOME": "/f"], "/f/hub", "/h/.cache/clip"),
        (["HF_HOME": "/f", "HUGGINGFACE_HUB_CACHE": "/g"], "/g", "/.cache/clip"),
        (["HUGGINGFACE_HUB_CACHE": "/g", "HF_HUB_CACHE": "/c", "CLIP_HOME": "/o"], "/c", "/o"),
        // An empty variable counts as unset.
        (
            ["HOME": "/h", "HF_HUB_CACHE": "", "CLIP_HOME": ""], "/h/.cache/huggingface/hub",
            "/h/.cache/clip"
        ),
    ]) func foldersFollowTheEnvironment(
        _ environment: [String: String], root: String, official: String
    ) {
        let cache = HubCache(environment: environment)
        #expect(cache.root == root, "\(environment)")
        #expect(cache.official == official, "\(environment)")
    }

    @Test func repositoryNamesMapToFoldersAndBack() throws {
        #expect(cache.folder(of: .model("owner/name")) == folder.path + "/hub/models--owner--name")
        #expect(cache.repositories == [])
        let names = ["a/b", "laion/CLIP-ViT-B-32", "owner/two--dashes"]
        for name in names {
            try write("hub/models--\(name.replacing("/", with: "--"))/refs/main")
        }
        try write("hub/datasets--a--b/refs/main")
        try write("hub/models--old/x")
        try write("hub/version.txt")
        #expect(cache.repositories == names)
    }

    @Test func snapshotOfTheMainBranchComesFirst() throws {
        let repository = HubRepository.model("owner/name")
        let snapshots = "hub/models--owner--name/snapshots"
        #expect(cache.snapshots(of: repository) == [])
        for commit in ["aaa", "bbb", "ccc"] { try write("\(snapshots)/\(commit)/config.json") }
        func commits() -> [String] {
            cache.snapshots(of: repository).map { String($0.split(separator: "/").last ?? "") }
        }
        #expect(commits() == ["aaa", "bbb", "ccc"])
        try write("hub/models--owner--name/refs/main", "bbb\n")
        #expect(commits() == ["bbb", "aaa", "ccc"])
        // A reference that is not a commit name is ignored.
        try write("hub/models--owner--name/refs/main", String(repeating: "b", count: 2000))
        #expect(commits() == ["aaa", "bbb", "ccc"])
    }

    @Test func filesAreTakenFromTheMainBranchOrElseFromAny() throws {
        let repository = HubRepository.model("owner/name")
        let snapshots = "hub/models--owner--name/snapshots"
        let names = ["model.safetensors", "pytorch_model.bin"]
        #expect(cache.file(of: repository, among: names) == nil)
        try write("hub/models--owner--name/refs/main", "bbb")
        try write("\(snapshots)/aaa/model.safetensors")
        func found() -> String? {
            cache.file(of: repository, among: names).map {
                String($0.dropFirst(folder.path.count + 1))
            }
        }
        #expect(found() == "\(snapshots)/aaa/model.safetensors")
        try write("\(snapshots)/bbb/pytorch_model.bin")
        #expect(found() == "\(snapshots)/bbb/pytorch_model.bin")
        try write("\(snapshots)/bbb/model.safetensors")
        #expect(found() == "\(snapshots)/bbb/model.safetensors")
        #expect(cache.file(of: .model("owner/other"), among: names) == nil)
    }

    @Test func danglingLinksAreNotFound() throws {
        let snapshot = folder.path + "/hub/models--owner--name/snapshots/aaa"
        try FileManager.default.createDirectory(
            atPath: snapshot, withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: snapshot + "/model.safetensors", withDestinationPath: "../../blobs/gone")
        #expect(cache.file(of: .model("owner/name"), among: ["model.safetensors"]) == nil)
        try write("hub/models--owner--name/blobs/gone")
        #expect(
            cache.file(of: .model("owner/name"), among: ["model.safetensors"])
                == snapshot + "/model.safetensors")
    }

    @Test func officialFilesAreFoundInOrder() throws {
        let official = try #require(HubModel.named("ViT-B/32")?.official)
        #expect(cache.official(official) == nil)
        for name in ["ViT-B-32/open_clip_config.json", "ViT-B-32.pt", "ViT-B-32.safetensors"] {
            try write("clip/\(name)")
            let found = try #require(cache.official(official), "\(name)")
            let expected = "\(folder.path)/clip/\(name.split(separator: "/")[0])"
            #expect(found == expected)
        }
    }

    @Test func downloadedFileIsLinkedFromTheMainBranch() throws {
        let address = try #require(WebAddress("https://example.org/x"))
        let file = RemoteFile(
            name: "model.safetensors", address: address, etag: "e7a9", commit: "c0ffee", size: 1)
        let place = try cache.place(for: file, of: .model("owner/name"))
        let root = folder.path + "/hub/models--owner--name"
        #expect(place.blob == root + "/blobs/e7a9")
        #expect(place.lock == folder.path + "/hub/.locks/models--owner--name/e7a9.lock")
        #expect(place.snapshot == root + "/snapshots/c0ffee/model.safetensors")
        for _ in 0..<2 {  // the second time it is there already
            try write("hub/models--owner--name/blobs/e7a9", "weights")
            try cache.link(file, of: .model("owner/name"), as: place.snapshot)
            #expect(try bytes(ofFile: place.snapshot) == Array("weights".utf8))
            #expect(try bytes(ofFile: root + "/refs/main") == Array("c0ffee".utf8))
        }
        #expect(
            cache.file(of: .model("owner/name"), among: ["model.safetensors"]) == place.snapshot)
        #expect(cache.repositories == ["owner/name"])
    }
}
