import ArgumentParser
import CLIP

struct Similarity: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Compare pictures with texts.",
        discussion: """
            A matrix of cosines, -1 to 1: pictures down, texts across. CLIP's are low, 0.2 to 0.35 for \
            what fits.

            Example: clip similarity --image bike.jpg hill.jpg --text "a bicycle" "a mountain"
            """)

    @Option(
        parsing: .upToNextOption, help: ArgumentHelp("JPEG, PNG or WebP files.", valueName: "file"))
    var image: [String]

    @Option(parsing: .upToNextOption, help: ArgumentHelp("Texts.", valueName: "text"))
    var text: [String]

    @Flag(help: "Print JSON.")
    var json = false

    @Option(
        help: ArgumentHelp(
            "Draw the matrix there too, with the pictures: .svg, or .html.", valueName: "file"))
    var heatmap: String?

    @OptionGroup var textOptions: TextOptions
    @OptionGroup var pictures: PictureOptions
    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions

    func validate() throws {
        let endings = [".svg", ".html"]
        if let heatmap, !endings.contains(where: { heatmap.lowercased().hasSuffix($0) }) {
            throw ValidationError("--heatmap is to end in .svg or .html, not \(heatmap).")
        }
    }

    func run() throws {
        let model = try self.model.load(textOptions, pictures, common)
        var images: [(name: String, image: RGBImage)] = []
        var failures = 0
        for path in image {
            do throws(CLIPError) {
                images.append((path, try pictures.read(path, for: model.preprocessor)))
            } catch {
                report(error)
                failures += 1
            }
        }
        guard !images.isEmpty else { throw ExitCode(1) }

        let texts = try model.encode(texts: text, truncating: textOptions.truncate)
        let cosines = try model.encode(images: images.map(\.image)).cosineSimilarities(to: texts)
        if json {
            print(
                JSON.object([
                    "model": .string(try self.model.name()),
                    "images": .array(images.map { .string($0.name) }),
                    "texts": .array(text.map { .string($0) }),
                    "cosines": .array(cosines.map { .floats($0) }),
                ]))
        } else {
            printTable(cosines, images: images.map(\.name))
        }
        if let heatmap {
            let drawing = Heatmap(
                images: images.map { ($0.name, $0.image.thumbnail(side: 192)) }, texts: text,
                cosines: cosines)
            if heatmap.lowercased().hasSuffix(".svg") {
                try write(Array(drawing.svg.utf8), to: heatmap)
            } else {
                var page = Page(title: "\(images.count) pictures and \(text.count) texts")
                page.append(drawing.svg)
                try write(page.bytes, to: heatmap)
            }
        }
        if failures > 0 { throw ExitCode(1) }
    }

    private func printTable(_ cosines: [[Float]], images: [String]) {
        // Texts may be long: the columns are numbered and spelt out above.
        for (i, text) in text.enumerated() { print("[\(i + 1)] \(text)") }
        print(text.indices.map { "[\($0 + 1)]".right(8) }.joined(), " cosine of")
        for (row, name) in zip(cosines, images) {
            print(row.map { fixed($0, 4).right(8) }.joined(), "", name)
        }
    }
}
