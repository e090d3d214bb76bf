import Files
import CLIPSearch
import CPages
import Foundation
import TestSupport
import Testing

@testable import ClipCommand

#if canImport(FoundationXML)
    import FoundationXML
#endif

/// Tests the parts of the pages.
@Suite struct PageTests {
    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    @Test func embeddedFilesEqualTheirSources() throws {
        let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Sources/CPages")
        let files = [
            "page.html": clip_page_html(), "page.css": clip_page_css(),
            "map.html": clip_map_html(), "map.css": clip_map_css(), "map.js": clip_map_js(),
            "heatmap.css": clip_heatmap_css(), "table.css": clip_table_css(),
            "eval.css": clip_eval_css(),
        ]
        let names = try FileManager.default.contentsOfDirectory(atPath: sources.path)
            .filter { $0 != "include" && $0 != "pages.c" && !$0.hasPrefix(".") }
        #expect(Set(names) == Set(files.keys))
        for (name, file) in files {
            let source = try Data(contentsOf: sources.appendingPathComponent(name))
            let embedded = PageTemplate.bytes(of: file)
            #expect(embedded == Array(source), "\(name): \(embedded.count) bytes embedded")
            #expect(!text(embedded).contains("://"), "\(name) names an address")
            #expect(!text(embedded).contains("url("), "\(name) names a resource")
        }
    }

    @Test func templateValuesAreNotExpandedAgain() {
        let page = text(
            PageTemplate(clip_page_html()).filled([
                "title": Array("{{body}}".utf8), "about": [], "style": [],
                "body": Array("{{title}}".utf8), "scripts": Array("'none'".utf8),
            ]))
        #expect(page.contains("<h1>{{body}}</h1>"), "\(page)")
        #expect(page.contains("\n{{title}}\n</body>"), "\(page)")
    }

    @Test(arguments: [
        // page, file, link; the current folder is /here/now
        ("m.html", "photos/a.jpg", "photos/a.jpg"),
        ("m.html", "./photos//a.jpg", "photos/a.jpg"),
        ("m.html", "a.jpg", "a.jpg"),
        ("m.html", "../a.jpg", "../a.jpg"),
        ("out/deep/m.html", "photos/a.jpg", "../../photos/a.jpg"),
        ("out/m.html", "out/a.jpg", "a.jpg"),
        ("/elsewhere/m.html", "photos/a.jpg", "../here/now/photos/a.jpg"),
        ("/here/m.html", "/here/now/a.jpg", "now/a.jpg"),
        ("m.html", "a b/50%#1?é\".jpg", "a%20b/50%25%231%3F%C3%A9%22.jpg"),
        ("m.html", "javascript:alert(1)//.jpg", "javascript%3Aalert%281%29/.jpg"),
        ("-", "photos/a b.jpg", "file:///here/now/photos/a%20b.jpg"),
        ("/dev/null", "/a.jpg", "file:///a.jpg"),
    ])
    func linksAreRelativeAndEncoded(page: String, file: String, expected: String) {
        let link = PageLocation(page: page, currentFolder: "/here/now").link(to: FilePath(file))
        #expect(link == expected, "\(page) to \(file): \(link)")
    }

    @Test func nonUTF8BytesAreEncodedUnchanged() {
        let file = FilePath(Array("a/".utf8) + [0xFF, 0x0A, 0x7E] + Array(".jpg".utf8))
        let link = PageLocation(page: "m.html", currentFolder: "/").link(to: file)
        #expect(link == "a/%FF%0A~.jpg")
        #expect(
            PageLocation(page: nil, currentFolder: "/").link(to: file) == "file:///a/%FF%0A~.jpg")
    }

    /// `..` from a folder that is a symbolic link leads to different places, depending on the path
    /// by which the folder was opened.
    @Test func linksOutOfASymbolicLinkAreAbsolute() throws {
        let folder = try TemporaryFolder()
        try FileManager.default.createDirectory(
            atPath: folder.path + "/real/pages", withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: folder.path + "/link", withDestinationPath: folder.path + "/real/pages")
        let here = FilePath(folder.path)
        let location = PageLocation(page: "link/m.html", currentFolder: here)
        #expect(location.link(to: "a.jpg") == "file://\(folder.path)/a.jpg")
        #expect(location.link(to: "link/a.jpg") == "a.jpg")
        let real = PageLocation(page: "real/pages/m.html", currentFolder: here)
        #expect(real.link(to: "a.jpg") == "../../a.jpg")
    }

    @Test func longTextsAreShortenedInTheMiddle() {
        #expect(shortened("short", to: 20) == "short")
        let long = "a photo of a very long thing with a dog"
        #expect(shortened(long, to: 20) == "a photo of…ith a dog")
        #expect(shortened(long, to: 20).count == 20)
        #expect(shortened([long, "x"], to: 20) == [shortened(long, to: 20), "x"])
    }

    @Test func differentTextsStayDifferent() {
        let middle = (1...20).map {
            "a photograph in colour of the number \($0), taken in the evening by a friend of mine"
        }
        let start = (1...20).map { "caption number \($0): a rather long description of a scene" }
        let hidden = (0..<30).map { i in
            String(repeating: "a", count: 40) + (i < 15 ? "b" : "c")
                + String(repeating: "a", count: 30) + String(UnicodeScalar(UInt8(65 + i % 15)))
                + String(repeating: "a", count: 60)
        }
        for texts in [middle, start, hidden] {
            let results = shortened(texts, to: 40)
            #expect(Set(results).count == texts.count, "\(results)")
            for result in results { #expect(result.count <= 40, "\(result)") }
        }
        // Equal texts are shortened equally.
        let twice = shortened([middle[0], middle[0]], to: 40)
        #expect(twice[0] == twice[1])
        #expect(twice[0].contains("…"))
    }

    @Test(arguments: [
        ("photos/a.jpg", "photos/a.jpg"),
        ("a long folder/and another/photograph.jpg", "…and another/photograph.jpg"),
        ("folder/a file whose name alone is too long.jpg", "a file whose … too long.jpg"),
    ])
    func pathsKeepTheirFileName(path: String, expected: String) {
        let result = shortened(FilePath(path), to: 27)
        #expect(result.count <= 27, "\(result)")
        #expect(result == expected, "\(path): \(result)")
    }

    @Test func clusterNamesAreUnique() {
        func names(_ predictions: [[(label: String, cosine: Float)]]) -> [String?] {
            ClusterName.distinct(predictions).map { $0?.text }
        }
        // The surest cluster keeps the label; a second-best label is not taken from the cluster
        // whose best it is.
        #expect(
            names([
                [("bike", 0.25), ("car", 0.2)], [("bike", 0.3), ("road", 0.1)],
                [("bike", 0.28), ("dog", 0.1)], [("car", 0.2), ("bike", 0.1)],
            ]) == ["bike 2", "bike", "dog", "car"])
        #expect(
            ClusterName.distinct([[("bike", 0.25), ("car", 0.2)], [("bike", 0.3), ("car", 0.1)]])
                == [
                    ClusterName(text: "car", cosine: 0.2), ClusterName(text: "bike", cosine: 0.3),
                ])
        // A label may look like a numbered name.
        #expect(
            names([
                [("a", 0.3), ("a 2", 0.2)], [("a", 0.2), ("a 2", 0.1)],
                [("a", 0.1), ("a 2", 0.05)],
            ]) == ["a", "a 2", "a 3"])
        #expect(names([[], [("a", 0.3)]]) == [nil, "a"])
    }

    @Test(arguments: [
        (0, "0 images"), (1, "1 image"), (999, "999 images"), (2000, "2,000 images"),
        (1_234_567, "1,234,567 images"),
    ])
    func numbersAreGrouped(count: Int, expected: String) {
        #expect(counted(count, "image") == expected)
    }
}

/// Tests the drawing and the page of `clip similarity --heatmap`.
@Suite struct HeatmapTests {
    private let heatmap = Heatmap(
        images: [
            Heatmap.Image(name: "photos/a.jpg", thumbnail: [1, 2, 3]),
            Heatmap.Image(name: "</svg><script>&\"'.jpg", thumbnail: nil),
        ],
        texts: [
            "a <cat> & \u{1}\u{FFFE}\u{FFFF}", "a dog",
            String(repeating: "a very long text ", count: 9),
        ],
        cosines: [[0.1, 0.3, 0.2], [0.25, -0.05, 0.25]], model: "tiny & small")

    private func page(_ heatmap: Heatmap) -> String {
        String(
            decoding: heatmap.page(PageLocation(page: "out/h.html", currentFolder: "/here")),
            as: UTF8.self)
    }

    @Test func drawingHasScaleAndCaption() throws {
        let svg = heatmap.svg
        #expect(XMLParser(data: Data(svg.utf8)).parse(), "\(svg)")
        #expect(svg.contains(">Cosines of 2 images and 3 texts</text>"))
        #expect(svg.contains(">tiny &amp; small<title>"))
        // The scale is from the least to the largest, and the best of each row is marked, including
        // ties.
        #expect(svg.contains("<linearGradient"))
        #expect(svg.contains(">-0.050</text>"))
        #expect(svg.contains(">0.300</text>"))
        #expect(svg.contains("the best of its row"))
        #expect(svg.components(separatedBy: "class=\"best\"").count == 4, "\(svg)")
        #expect(svg.contains("prefers-color-scheme: dark"))
        #expect(svg.contains("<title>a &lt;cat&gt; &amp; \u{FFFD}\u{FFFD}\u{FFFD}</title>"))
        #expect(svg.contains("<title>&lt;/svg&gt;&lt;script&gt;&amp;&quot;&#39;.jpg</title>"))
        #expect(svg.contains("…"))
        #expect(!svg.contains("<script"))
        #expect(svg.components(separatedBy: "://").count == 2, "only the namespace")
        #expect(svg.components(separatedBy: "<image ").count == 2)
    }

    @Test func pagesAreTables() throws {
        let page = page(heatmap)
        #expect(page.contains("<title>Cosines of 2 images and 3 texts</title>"))
        #expect(page.contains("<p class=\"about\">tiny &amp; small</p>"))
        #expect(page.contains("<span>-0.050</span>"))
        #expect(page.contains("<span>0.300</span>"))
        #expect(page.components(separatedBy: "<td class=\"best\"").count == 4)
        #expect(page.components(separatedBy: "<td").count == 7)
        #expect(page.contains("href=\"../photos/a.jpg\""))
        #expect(page.contains("&lt;/svg&gt;&lt;script&gt;&amp;&quot;&#39;.jpg"))
        #expect(page.contains("script-src 'none'"))
        #expect(!page.contains("<script"))
        #expect(!page.contains("://"))
    }

    @Test func membersOfArchivesHaveNoLink() {
        let page = page(
            Heatmap(
                images: [
                    Heatmap.Image(name: "0.tar/a.jpg", thumbnail: [1, 2, 3], isFile: false),
                    Heatmap.Image(name: "b.jpg", thumbnail: [1, 2, 3]),
                ], texts: ["x", "y"], cosines: [[0.2, 0.3], [0.1, 0.4]], model: "tiny"))
        #expect(page.contains("href=\"../b.jpg\""))
        #expect(!page.contains("a.jpg\" target"), "\(page)")
        #expect(page.components(separatedBy: "<img ").count == 3)
        #expect(page.contains("alt=\"a.jpg\""))
    }

    @Test func singleCellHasNoBestMark() {
        let one = Heatmap(
            images: [Heatmap.Image(name: "a.jpg", thumbnail: nil)], texts: ["x"],
            cosines: [[0.2]], model: "tiny")
        #expect(one.title == "Cosines of 1 image and 1 text")
        #expect(!one.svg.contains("class=\"best\""))
        #expect(!page(one).contains("class=\"best\""))
        #expect(XMLParser(data: Data(one.svg.utf8)).parse(), "\(one.svg)")
    }

    /// WCAG 2 demands a contrast of 4.5 for text.
    @Test func numbersContrastWithEveryColour() {
        func luminance(_ channels: [Double]) -> Double {
            let linear = channels.map { value in
                let part = value / 255
                return part <= 0.03928 ? part / 12.92 : pow((part + 0.055) / 1.055, 2.4)
            }
            return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        }
        for step in 0...100 {
            let share = Float(step) / 100
            let colour = Heatmap.colour(share)
            let channels = colour.dropFirst(4).dropLast().split(separator: ",").compactMap {
                Double($0)
            }
            let ink = luminance(
                Heatmap.ink(share) == "#fff" ? [255, 255, 255] : [0, 0, 0])
            let (a, b) = (luminance(channels), ink)
            let contrast = (max(a, b) + 0.05) / (min(a, b) + 0.05)
            #expect(contrast >= 4.5, "\(share): \(colour), \(Heatmap.ink(share)): \(contrast)")
        }
    }
}
