import ArgumentParser
import CLIP
import CLIPSearch

struct Similarity: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Compare pictures with texts.",
        discussion: """
            A matrix of cosines, -1 to 1: pictures down, texts across. CLIP's are low, 0.2 to 0.35 for \
            what fits. Images are given as to clip encode: files, folders, .tar files, patterns, or - for \
            standard input.

            Examples: clip similarity --image bike.jpg hill.jpg --text "a bicycle" "a mountain"
            clip similarity photos.tar --sample 10 --text-file labels.txt --heatmap map.svg
            """)

    @Argument(
        help: ArgumentHelp("Images, folders, .tar files, patterns.", valueName: "input"),
        completion: .file())
    var inputs: [String] = []

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("More of them.", valueName: "input"), completion: .file())
    var image: [String] = []

    @OptionGroup var texts: TextInputs

    @Flag(help: "Print JSON.")
    var json = false

    @Option(
        help: ArgumentHelp(
            "Draw the matrix there too, with the pictures: .svg, or .html.", valueName: "file"),
        completion: .file(extensions: ["svg", "html"]))
    var heatmap: String?

    @OptionGroup var sampling: SampleOptions
    @OptionGroup var collection: CollectionOptions
    @OptionGroup var textOptions: TextOptions
    @OptionGroup var pictures: PictureOptions
    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions

    func validate() throws {
        if inputs.count > 1 && image.isEmpty && texts.isEmpty {
            throw ValidationError(
                """
                Texts are missing: images and texts are told apart by --image and --text here, as in clip \
                similarity --image \(inputs[0]) --text "\(inputs[1])".
                """)
        }
        if inputs.isEmpty && image.isEmpty && collection.filesFrom.isEmpty {
            throw ValidationError("Images are missing: give --image or --files-from.")
        }
        if texts.isEmpty {
            throw ValidationError("Texts are missing: give --text or --text-file.")
        }
        let endings = [".svg", ".html"]
        if let heatmap, !endings.contains(where: { heatmap.lowercased().hasSuffix($0) }) {
            throw ValidationError("--heatmap is to end in .svg or .html, not \(heatmap).")
        }
    }

    func run() throws {
        let model = try self.model.load(textOptions, pictures, common)
        let text = try texts.read()
        let textVectors = try model.encode(texts: text, truncating: textOptions.truncate)
        let job = CollectionJob(collection, common, name: "similarity")
        let decoding = pictures.decoding(for: model.preprocessor)
        var images: [(name: FilePath, thumbnail: [UInt8]?)] = []
        var cosines: [[Float]] = []
        try job.perform {
            try job.run(collection.sources(inputs + image), model, decoding, sample: sampling) {
                sample, vector in
                try MatrixLimit.check(
                    images: images.count + 1, texts: text.count, isDrawn: heatmap != nil)
                let thumbnail =
                    heatmap == nil ? nil : try? sample.picture(decoding).thumbnail(side: 192)
                images.append((sample.name, thumbnail))
                cosines += Embeddings(values: vector, dimension: vector.count)
                    .cosineSimilarities(to: textVectors)
            }
        }
        guard !images.isEmpty else { throw ExitCode(1) }
        if json {
            print(
                JSON.object([
                    "model": .string(try self.model.name()),
                    "images": .array(images.map { .path($0.name) }),
                    "texts": .array(text.map { .string($0) }),
                    "cosines": .array(cosines.map { .floats($0) }),
                ]))
        } else {
            printTable(cosines, images: images.map(\.name), text)
        }
        if let heatmap {
            let drawing = Heatmap(
                images: images.map { ("\($0.name)", $0.thumbnail) }, texts: text,
                cosines: cosines)
            if heatmap.lowercased().hasSuffix(".svg") {
                try write(Array(drawing.svg.utf8), to: heatmap)
            } else {
                var page = Page(title: "\(images.count) pictures and \(text.count) texts")
                page.append(drawing.svg)
                try write(page.bytes, to: heatmap)
            }
        }
        if job.failures > 0 { throw ExitCode(1) }
    }

    private func printTable(_ cosines: [[Float]], images: [FilePath], _ text: [String]) {
        // Texts may be long: the columns are numbered and spelt out above.
        for (i, text) in text.enumerated() { print("[\(i + 1)] \(text)") }
        print(text.indices.map { "[\($0 + 1)]".right(8) }.joined(), " cosine of")
        for (row, name) in zip(cosines, images) {
            printBytes(
                Array((row.map { fixed($0, 4).right(8) }.joined() + "  ").utf8) + name.bytes
                    + [UInt8(ascii: "\n")])
        }
    }
}
