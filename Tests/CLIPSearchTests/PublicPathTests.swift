import CLIPAnalysis
import Files
import CLIP
import CLIPSearch
import Foundation
import Tensors
import TestSupport
import Testing

/// Tests paths as strings, bytes and URLs, and results as JSON.
@Suite struct PublicPathTests {
    private let folder: TemporaryFolder
    private let model: CLIPModel
    private let query = [Float](repeating: 1, count: 16)
    /// The name of an image; not UTF-8.
    private let oddName: [UInt8] = [0x62, 0xFF, 0x2E, 0x70, 0x6E, 0x67]
    private var oddPath: [UInt8] { Array("\(folder.path)/photos/".utf8) + oddName }

    init() throws {
        folder = try TemporaryFolder()
        model = try CLIPModel(path: Fixtures.path("models/seeded"), threads: 2)
        try FileManager.default.createDirectory(
            atPath: folder.path + "/photos", withIntermediateDirectories: true)
        try folder.write("photos/a.png", SmallPNG.bytes(1))
        let file = try folder.write("new", SmallPNG.bytes(2))
        try renameFile(Array(file.utf8), to: oddPath)
        try folder.write("photos/c.png", [1, 2, 3])
    }

    private var photos: String { folder.path + "/photos" }

    @Test func pathsAreStringsOrBytes() throws {
        let summary = try IndexUpdate(folder: photos, model: model, modelName: "seeded").run()
        #expect(summary.encoded == 2)
        #expect(summary.failures.map(\.path) == [photos + "/c.png"])
        let again = try IndexUpdate(folder: Array(photos.utf8), model: model, modelName: "seeded")
        #expect(try again.run().unchanged == 2)

        let index = try FolderIndex(folder: photos)
        let found = try index.search(query, top: 5)
        #expect(Set(found.map(\.pathBytes)) == [Array("\(photos)/a.png".utf8), oddPath])
        #expect(Set(found.map(\.path)) == [photos + "/a.png", photos + "/b\u{FFFD}.png"])
        #expect(try FolderIndex(folder: Array(photos.utf8)).search(query, top: 5) == found)
        #expect(throws: IndexError.missing(folder: folder.path)) {
            try FolderIndex(folder: folder.path)
        }

        let images = ImageCollection([.path(photos)]).map(\.pathBytes)
        #expect(
            images == [photos + "/a.png"].map { Array($0.utf8) } + [oddPath]
                + [Array("\(photos)/c.png".utf8)])
        #expect(ImageCollection([.file(oddPath)]).map(\.pathBytes) == [oddPath])
    }

    @Test func resultsSurviveJSON() throws {
        let summary = try IndexUpdate(folder: photos, model: model, modelName: "seeded").run()
        let index = try FolderIndex(folder: photos)
        func checkRoundTrip<Value: Codable & Equatable>(_ value: Value) throws {
            let data = try JSONEncoder().encode(value)
            #expect(try JSONDecoder().decode(Value.self, from: data) == value)
        }
        try checkRoundTrip(summary)
        try checkRoundTrip(index.search(query, top: 5))
        try checkRoundTrip(index.contents())
        try checkRoundTrip(index.model)
        try checkRoundTrip(
            SphericalKMeans(clusters: 2).run(on: index.contents().embeddings))
        try checkRoundTrip(TSNE().run(on: index.contents().embeddings))

        // A path is a string, or an array of bytes if it is not UTF-8.
        let matches = try index.search(query, top: 5)
        for match in matches {
            let object = try JSONSerialization.jsonObject(with: JSONEncoder().encode(match))
            let members = try #require(object as? [String: Any])
            #expect(Set(members.keys) == ["path", "cosine"])
            if match.pathBytes == oddPath {
                #expect(members["path"] as? [UInt8] == oddPath)
            } else {
                #expect(members["path"] as? String == match.path)
            }
        }
    }

    @Test func embeddingFilesTakeStringPaths() throws {
        var vectors = NamedEmbeddings(dimension: 2)
        try vectors.append("a", [1, 2])
        try vectors.append("b", [3, 4])
        let path = folder.path + "/x.npy"
        try vectors.write(npy: path)
        let read = try NamedEmbeddings(npy: path)
        #expect(read.names == ["a", "b"] && read.embeddings == vectors.embeddings)

        let lines = folder.path + "/x.jsonl"
        let writer = try EmbeddingWriter(path: lines, layout: .jsonLines, dimension: 2, job: "test")
        #expect(throws: EmbeddingFileError.wrongDimension(expected: 2, found: 3)) {
            try writer.append("text", "a", vector: [1, 2, 3])
        }
        #expect(!writer.takeRow("text", "a"))
        try writer.append("text", "a", vector: [1, 2])
        try writer.finish()
        let expected = "{\"text\":\"a\",\"embedding\":[1.0,2.0]}\n"
        #expect(String(decoding: try bytes(ofFile: lines), as: UTF8.self) == expected)

        let file = try folder.write("texts.csv", "id,text\n1,a cat\n".utf8)
        let format = try #require(TextCollection.Format(column: "text", of: file))
        var texts = try TextCollection(file, format: format)
        #expect(try texts.next() == "a cat")
        #expect(try texts.next() == nil)
    }

    #if Foundation
        @Test func fileURLsAreTaken() throws {
            let url = URL(fileURLWithPath: photos, isDirectory: true)
            let update = try IndexUpdate(folder: url, model: model, modelName: "seeded")
            #expect(try update.run().encoded == 2)
            #expect(try FolderIndex(folder: url).count == 2)
            let web = try #require(URL(string: "https://example.org/photos"))
            let error = IndexError.unreadableFolder(
                folder: web.absoluteString, reason: "it is not the URL of a file")
            #expect(throws: error) { try FolderIndex(folder: web) }
            #expect(throws: error) {
                try IndexUpdate(folder: web, model: model, modelName: "seeded")
            }
            #expect(throws: CLIPError.self) { try NamedEmbeddings(npy: web) }
        }
    #endif
}
