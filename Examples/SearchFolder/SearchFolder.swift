import CLIP
import CLIPHub
import CLIPSearch
import Foundation

/// Searches a folder of images by text.
///
/// The index is updated first. It is stored in the folder, so that only new and changed images are
/// encoded.
///
///     swift run SearchFolder ~/Images "a dog on a beach"
///     swift run SearchFolder ~/Images "a dog on a beach" ViT-B/32
@main
struct SearchFolder {
    static func main() {
        let arguments = CommandLine.arguments.dropFirst()
        guard let folder = arguments.first, let query = arguments.dropFirst().first else {
            fail("usage: SearchFolder FOLDER QUERY [MODEL]", status: 2)
        }
        do {
            let model = arguments.dropFirst(2).first ?? "ViT-B/32"
            try search(folder, for: query, modelName: model)
        } catch {
            fail("\(error)", status: 1)
        }
    }

    static func search(_ folder: String, for query: String, modelName: String) throws {
        let model = try load(modelName)
        let summary = try IndexUpdate(folder: folder, model: model, modelName: modelName).run()
        for failure in summary.failures { print("\(failure.path): \(failure.reason)") }
        print("\(summary.encoded) new images, \(summary.unchanged) unchanged")

        let index = try FolderIndex(folder: folder)
        let embedding = try model.encode(text: query)
        for match in try index.search(embedding, top: 5) { print(match.cosine, match.path) }
    }

    /// Returns an installed model by its name, or a model from a file or folder of weights.
    static func load(_ name: String) throws -> CLIPModel {
        if FileManager.default.fileExists(atPath: name) { return try CLIPModel(path: name) }
        guard let installed = try ModelHub().find(name) else {
            fail("\(name) is not installed: run clip pull \(name)", status: 1)
        }
        return try installed.load()
    }

    static func fail(_ message: String, status: Int32) -> Never {
        FileHandle.standardError.write(Data((message + "\n").utf8))
        exit(status)
    }
}
