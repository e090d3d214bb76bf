import Foundation
#if canImport(FoundationXML)
    import FoundationXML
#endif
import TestSupport
import Testing

@testable import ClipCommand

/// Tests `clip index` and `clip search`.
@Suite struct SearchCommandTests {
    private let folder: TemporaryFolder
    private static let model = CommandTests.model

    init() throws { folder = try TemporaryFolder() }

    private func clip(_ arguments: String...) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(arguments)
    }

    private func makePhotos(_ count: Int) throws -> String { try folder.makePhotos(count) }

    @Test func searchesByTextImageAndArithmetic() throws {
        let path = try makePhotos(4)
        let made = try clip("index", path, "--model", Self.model, "--json")
        #expect(made.status == 0)
        #expect(made.errors.isEmpty)
        #expect(try made.json()["encoded"] as? Int == 4)

        let lines = try clip("search", "a cat", "--index", path).text.split(separator: "\n")
        #expect(lines.count == 4)
        #expect(lines.allSatisfy { $0.split(separator: "\t").count == 2 })
        let first = "\(path)/0 é.jpg"
        let like = try clip("search", first, "--index", path, "--top", "1", "--paths")
        #expect(like.text == first + "\n")
        #expect(try clip("search", first, "--index", path, "--top", "1", "-0").text == first + "\0")
        let object = try json(
            clip("search", first, "--index", path, "--top", "1", "--json").output)
        #expect(object["path"] as? String == first)
        #expect(abs((object["cosine"] as? Double ?? 0) - 1) < 1e-5)

        // Twice an image minus itself is the image.
        let sum = try clip(
            "search", "2:\(first)", "-", first, "--index", path, "--top", "1", "--paths")
        #expect(sum.text == first + "\n")
        let none = try clip("search", "a cat", "--index", path, "--threshold", "1")
        #expect(none.status == 1)
        #expect(none.output.isEmpty)
        #expect(none.errors.contains("no image has a cosine of 1.0 or more"), "\(none.errors)")
    }

    @Test func wrongUsageIsRejected() throws {
        let path = try makePhotos(1)
        _ = try clip("index", path, "--model", Self.model, "-q")
        expectFailure(
            try clip("search", "a", "b", "--index", path), status: 2,
            says: "is missing before \"b\"")
        expectFailure(
            try clip("search", "a", "+", "--index", path), status: 2, says: "ends with + or -")
        expectFailure(
            try clip("search", "a", "--index", folder.path), status: 1, says: "clip index")
        expectFailure(
            try clip("search", "a", "--index", path, "--model", Fixtures.path("models/vit")),
            status: 1,
            says: "cannot be compared")
        expectFailure(
            try clip("index", folder.path + "/none", "--model", Self.model), status: 1,
            says: "No such file")
    }

    /// Kills updates with `kill -9` at several moments: the final index equals an undisturbed one.
    @Test func killedUpdateIsContinued() throws {
        let path = try makePhotos(300)
        let arguments = ["index", path, "--model", Self.model, "-q"]
        let whole = try ClipBinary(folder: folder).run(arguments)
        #expect(whole.status == 0, "\(whole.errors)")
        let expected = try bytes(ofFile: path + "/.clip-index/vectors.f32")
        let listed = try clip("search", "x", "--index", path, "--top", "300").text

        for attempt in 0..<3 {
            try FileManager.default.removeItem(atPath: path + "/.clip-index")
            for round in 0..<5 {
                let process = ClipBinary(folder: folder).process(arguments)
                try process.run()
                Thread.sleep(forTimeInterval: 0.03 + 0.07 * Double(round) + 0.02 * Double(attempt))
                kill(process.processIdentifier, SIGKILL)
                process.waitUntilExit()
            }
            #expect(try ClipBinary(folder: folder).run(arguments).status == 0)
            #expect(
                try firstDifference(bytes(ofFile: path + "/.clip-index/vectors.f32"), expected)
                    == nil)
            #expect(try clip("search", "x", "--index", path, "--top", "300").text == listed)
        }
    }
}

extension TemporaryFolder {
    /// Creates a folder of images of a few kinds, some of them equal.
    fileprivate func makePhotos(_ count: Int) throws -> String {
        let path = self.path + "/photos"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true)
        let sources = ["rgb.jpg", "rgb.png", "grey.jpg", "rgba.png", "palette.png"]
            .map { Fixtures.path("images/\($0)") }
            .filter { FileManager.default.fileExists(atPath: $0) }
        for index in 0..<count {
            let source = sources[index % sources.count]
            try FileManager.default.copyItem(
                atPath: source, toPath: "\(path)/\(index) é.\((source as NSString).pathExtension)")
        }
        return path
    }
}

/// Tests `clip cluster`, `dedupe`, `map` and `score`, and their pages.
@Suite struct AnalysisCommandTests {
    private let folder: TemporaryFolder
    private let photos: String
    private static let model = CommandTests.model

    init() throws {
        folder = try TemporaryFolder()
        photos = try folder.makePhotos(12)
        // Names that a page must escape.
        try FileManager.default.createDirectory(
            atPath: photos + "/<", withIntermediateDirectories: true)
        try FileManager.default.copyItem(
            atPath: Fixtures.path("images/rgb.png"), toPath: photos + "/</script><b>&\"'.png")
        _ = try clip("index", photos, "--model", Self.model, "-q")
        try Data("a cat\na dog\n".utf8).write(to: URL(fileURLWithPath: folder.path + "/labels"))
    }

    @discardableResult
    private func clip(_ arguments: String...) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(arguments)
    }

    private func lines(_ result: ClipBinary.Result) throws -> [[String: Any]] {
        #expect(result.status == 0, "\(result.errors)")
        return try result.output.split(separator: 10).map { try json(Data($0)) }
    }

    private func text(_ name: String) throws -> String {
        String(decoding: try bytes(ofFile: folder.path + "/" + name), as: UTF8.self)
    }

    @Test func imagesAreClustered() throws {
        let clusters = try lines(
            clip("cluster", photos, "-k", "3", "--labels", "labels", "--json", "--html", "c.html"))
        #expect(clusters.count == 3)
        let members = clusters.flatMap { $0["members"] as? [[String: Any]] ?? [] }
        #expect(Set(members.compactMap { $0["path"] as? String }).count == 13)
        for cluster in clusters {
            #expect(["a cat", "a dog"].contains(cluster["label"] as? String))
            let own = cluster["members"] as? [[String: Any]] ?? []
            #expect(own.count == cluster["size"] as? Int)
            let cosines = own.compactMap { $0["cosine"] as? Double }
            #expect(cosines == cosines.sorted(by: >))
        }
        let page = try text("c.html")
        #expect(page.components(separatedBy: "<figure").count == 14)
        #expect(page.contains("&lt;/script&gt;&lt;b&gt;&amp;&quot;&#39;.png"))
        #expect(page.components(separatedBy: "data:image/jpeg;base64,").count == 14)
        #expect(!page.contains("://"))
        #expect(page.contains("href=\"photos/%3C/script%3E%3Cb%3E%26%22%27.png\""))
        #expect(page.contains("<h1>13 images in 3 clusters</h1>"))
        #expect(page.contains("\(photos) · model \(Self.model) · "))
        // No name occurs twice, and each has its cosine; the labels in JSON are unchanged.
        let names = clusters.compactMap { $0["name"] as? String }
        #expect(Set(names).count == 3, "\(names)")
        for cluster in clusters {
            let name = try #require(cluster["name"] as? String)
            let cosine = try #require(cluster["name_cosine"] as? Double)
            #expect(page.contains("<h2>\(name) <small>"), "\(name)")
            #expect(page.contains("cosine of the name \(fixed(cosine, 3))"), "\(cosine)")
        }

        let table = try clip("cluster", photos, "-k", "3").text.split(separator: "\n")
        #expect(table.count == 13 && table[0].split(separator: "\t").count == 3)
        expectFailure(try clip("cluster", photos, "-k", "14"), status: 2, says: "only 13 images")
        expectFailure(
            try clip("cluster", folder.path, "-k", "2"), status: 1, says: "clip index")
    }

    @Test func duplicatesAreListedMovedAndDeleted() throws {
        let found = try clip("dedupe", photos, "--threshold", "0.9999", "-q")
        #expect(found.status == 0)
        #expect(found.errors.isEmpty)
        let groups = try lines(clip("dedupe", photos, "--threshold", "0.9999", "--json", "-q"))
        let similar = groups.flatMap { $0["duplicates"] as? [[String: Any]] ?? [] }
        #expect(similar.allSatisfy { ($0["cosine"] as? Double ?? 0) >= 0.9999 })
        let duplicates = similar.filter { $0["duplicate"] as? Bool == true }
        #expect(duplicates.contains { $0["identical"] as? Bool == true })
        let paths = try clip("dedupe", photos, "--threshold", "0.9999", "-0", "-q").text
            .split(separator: "\0").map(String.init)
        #expect(paths == duplicates.compactMap { $0["path"] as? String })
        #expect(!paths.isEmpty)

        // Changed files are kept; the others are moved, and nothing is lost.
        let files = FileManager.default
        func images(_ path: String) throws -> Set<String> {
            Set(try files.subpathsOfDirectory(atPath: path).filter { $0.hasSuffix("g") })
        }
        let before = try images(photos)
        try Data(contentsOf: URL(fileURLWithPath: paths[0])).dropLast()
            .write(to: URL(fileURLWithPath: paths[0]))
        let away = folder.path + "/away"
        let moved = try clip("dedupe", photos, "--threshold", "0.9999", "--move-to", "away")
        #expect(moved.status == 1)
        #expect(moved.errors.contains("has changed since it was indexed"))
        let names = Set(paths.dropFirst().map { String($0.dropFirst(photos.count + 1)) })
        #expect(try images(away) == names)
        #expect(try images(photos) == before.subtracting(names))

        for name in names {
            try files.moveItem(atPath: "\(away)/\(name)", toPath: "\(photos)/\(name)")
        }
        try clip("index", photos, "--model", Self.model, "-q")
        let deleted = try clip("dedupe", photos, "--threshold", "0.9999", "--delete", "--yes", "-q")
        #expect(deleted.status == 0, "\(deleted.errors)")
        #expect(try images(photos).isDisjoint(with: names))
        try clip("index", photos, "--model", Self.model, "-q")
        #expect(try clip("dedupe", photos, "--threshold", "0.9999", "--paths", "-q").output.isEmpty)

        try clip(
            "encode", photos, "--model", Self.model, "-o", folder.path + "/x.npy", "-q")
        let byFile = try clip(
            "search", "a cat", "--index", "x.npy", "--model", Self.model, "--paths")
        let byIndex = try clip("search", "a cat", "--index", photos, "--paths")
        #expect(byFile.status == 0)
        #expect(byFile.output == byIndex.output)
        expectFailure(
            try clip("search", "a cat", "--index", "x.npy", "--model", Fixtures.path("models/vit")),
            status: 1, says: "cannot be compared")
        expectFailure(
            try clip("dedupe", "x.npy", "--delete", "--yes"), status: 2,
            says: "need an indexed folder")
        #expect(try clip("dedupe", "x.npy", "--threshold", "0.2", "-q").status == 0)
    }

    @Test func mapsAreOnePage() throws {
        let points = try lines(clip("map", photos, "-o", "m.html", "--json", "-k", "2", "-q"))
        #expect(points.count == 13)
        #expect(points.allSatisfy { $0["x"] is Double && $0["y"] is Double })
        #expect(Set(points.compactMap { $0["cluster"] as? Int }) == [1, 2])
        let page = try text("m.html")
        #expect(page.components(separatedBy: "</script>").count == 3)
        #expect(!page.contains("://"))
        #expect(page.contains("<h1>Map of 13 images in \(photos)</h1>"))
        #expect(page.contains("model \(Self.model) · 2 clusters · t-SNE, KL divergence "))
        let start = try #require(page.range(of: "id=\"data\">")).upperBound
        let end = try #require(page.range(of: "</script>")).lowerBound
        let data = try json(Data(page[start..<end].utf8))
        #expect((data["names"] as? [String])?.contains("\(photos)/</script><b>&\"'.png") == true)
        #expect((data["images"] as? [String])?.count == 13)
        let links = try #require(data["links"] as? [String])
        #expect(links.contains("photos/%3C/script%3E%3Cb%3E%26%22%27.png"), "\(links)")
        #expect(links.contains("photos/0%20%C3%A9.jpg"), "\(links)")
        for link in links {
            let path = try #require(link.removingPercentEncoding)
            #expect(FileManager.default.fileExists(atPath: folder.path + "/" + path), "\(path)")
        }
        let clusters = try #require(data["clusters"] as? [[String: Any]])
        #expect(clusters.compactMap { $0["size"] as? Int }.reduce(0, +) == 13)

        let said = try clip("map", photos, "-o", "n.html")
        #expect(said.status == 0)
        #expect(said.output.isEmpty)
        #expect(
            said.errors.hasPrefix("clip: wrote n.html: 13 images, KL divergence "), "\(said.errors)"
        )
        let printed = try clip("map", photos, "-o", "-", "-q")
        #expect(
            printed.text.contains("\"file:///"), "links of a page that is not a file are absolute")

        let some = try clip("map", photos, "--json", "--most", "5", "-o", "some.html")
        #expect(try text("some.html").contains("<h1>Map of 5 of 13 images in \(photos)</h1>"))
        #expect(some.text.split(separator: "\n").count == 5)
        #expect(some.errors.contains("5 of 13"))
        expectFailure(try clip("map", photos), status: 2, says: "-o FILE")
    }

    @Test func matricesAreDrawn() throws {
        let images = ["rgb.jpg", "grey.jpg"].map { Fixtures.path("images/\($0)") }
        for name in ["h.svg", "h.html"] {
            let result = try clip(
                "similarity", "--model", Self.model, "--image", images[0], images[1], "--text",
                "a <cat> & \u{1}", "a dog", "--heatmap", name)
            #expect(result.status == 0, "\(result.errors)")
            let drawing = try text(name)
            let image = name == "h.svg" ? "<image " : "<img "
            #expect(drawing.components(separatedBy: image).count == 3)
            #expect(drawing.contains("Cosines of 2 images and 2 texts"))
            #expect(drawing.contains("model \(Self.model)"))
            #expect(drawing.contains("a &lt;cat&gt; &amp; \u{FFFD}"))
        }
        #expect(XMLParser(data: Data(try bytes(ofFile: folder.path + "/h.svg"))).parse())
        expectFailure(
            try clip(
                "similarity", "--model", Self.model, "--image", images[0], "--text", "x",
                "--heatmap", "h.png"), status: 2, says: ".svg or .html")
        let found = try clip("search", "a cat", "--index", photos, "--html", "s.html", "--top", "4")
        #expect(found.status == 0)
        let page = try text("s.html")
        #expect(page.components(separatedBy: "<figure").count == 5)
        #expect(page.components(separatedBy: "href=\"photos/").count == 5)
        #expect(page.contains("<h1>a cat</h1>"))
        #expect(!page.contains("://"))
        #expect(
            page.contains("The best 4 of 13 images in \(photos) · model \(Self.model)</p>"),
            "\(page.prefix(4000))")
        for path in found.text.split(separator: "\n").map({ $0.split(separator: "\t")[1] }) {
            #expect(page.contains("<div class=\"whole\">\(escaped(String(path)))</div>"), "\(path)")
        }
    }

    @Test func captionsAreScored() throws {
        let (a, b) = (Fixtures.path("images/rgb.jpg"), Fixtures.path("images/grey.jpg"))
        func score(_ arguments: String...) throws -> ClipBinary.Result {
            try ClipBinary(folder: folder).run(["score", "--model", Self.model] + arguments)
        }
        let ranked = try lines(
            score(
                "--image", a, "--text", "a cat", "a dog", "--references", "a dog", "--prefix", "",
                "--json"))
        let texts = try #require(ranked.first?["texts"] as? [[String: Any]])
        #expect(ranked.count == 1)
        #expect(texts.count == 2)
        let cosines =
            try json(
                clip(
                    "similarity", "--model", Self.model, "--image", a, "--text", "a cat", "a dog",
                    "--json"
                ).output)["cosines"] as? [[Double]]
        for text in texts {
            let index = text["text"] as? String == "a cat" ? 0 : 1
            let cosine = try #require(text["cosine"] as? Double)
            #expect(abs(cosine - (cosines?[0][index] ?? 2)) < 1e-6)
            let clipScore = 2.5 * max(0, cosine)
            #expect(abs((text["clip_score"] as? Double ?? -1) - clipScore) < 1e-5)
            if index == 1 {  // its own reference
                let expected = clipScore > 0 ? 2 * clipScore / (clipScore + 1) : 0
                #expect(abs((text["ref_clip_score"] as? Double ?? -1) - expected) < 1e-5)
            }
        }
        let byText = try lines(
            score("--image", a, b, "--text", "x", "--by", "text", "--top", "1", "--json"))
        #expect((byText.first?["images"] as? [[String: Any]])?.count == 1)

        // The same pairs as a table and as JSON objects.
        try Data("image,text,reference\n\(a),a cat,\n\(b),a dog,the dog\n".utf8)
            .write(to: URL(fileURLWithPath: folder.path + "/p.csv"))
        try Data(
            """
            {"image": "\(a)", "text": "a cat"}

            {"image": "\(b)", "text": "a dog", "references": ["the dog"]}
            """.utf8
        ).write(to: URL(fileURLWithPath: folder.path + "/p.jsonl"))
        let table = try lines(score("--pairs", "p.csv", "--json"))
        let objects = try lines(score("--pairs", "p.jsonl", "--json"))
        #expect(table.count == 3)
        #expect(NSArray(array: table) == NSArray(array: objects))
        #expect(table[2]["pairs"] as? Int == 2 && table[2]["loss"] is Double)
        #expect(table[0]["ref_clip_score"] == nil && table[1]["ref_clip_score"] is Double)

        try Data("{\"image\": \"nowhere.png\", \"text\": \"x\"}\n".utf8)
            .write(to: URL(fileURLWithPath: folder.path + "/none.jsonl"))
        expectFailure(try score("--pairs", "none.jsonl"), status: 1, says: "nowhere.png")
        for (name, content, says) in [
            ("bad.jsonl", "{\"image\": \"x.png\"}", "line 1"),
            (
                "bad.jsonl", "{\"image\": \"x\", \"text\": \"y\", \"references\": \"z\"}",
                "a list of strings"
            ),
            ("bad.csv", "image,text,reference\nx,y\n", "has no column \"reference\""),
            ("bad.csv", "image,caption\nx,y\n", "no column \"text\""),
        ] {
            try Data(content.utf8).write(to: URL(fileURLWithPath: "\(folder.path)/\(name)"))
            expectFailure(try score("--pairs", name), status: 1, says: says)
        }
        expectFailure(try score("--image", a), status: 2, says: "must be given together")
        expectFailure(try score(), status: 2, says: "--pairs")
    }
}
