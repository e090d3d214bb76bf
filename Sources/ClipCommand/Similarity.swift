import ArgumentParser
import CLIP
import CLIPSearch
import Files

struct Similarity: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the cosine similarity of each image with each text.",
        discussion: """
            Prints a matrix of cosines, -1 to 1, with a row per image and a column per text. A \
            good match has a cosine of only 0.2 to 0.35. An input is an image, a folder, a \
            WebDataset (.tar), a pattern or -, as for clip encode.

            Examples:
              clip similarity --image bike.jpg dog.jpg --text "a bicycle" "a dog"
              clip similarity --image *.jpg --text bike dog --heatmap matrix.svg
              clip similarity . --sample 2 --text "a bicycle" "a dog"
            """)

    @Argument(
        help: ArgumentHelp(
            "Compare these images, folders, .tar files or patterns with the texts.",
            valueName: "input"),
        completion: .file())
    var inputs: [String] = []

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            """
            Compare these images, folders, .tar files or patterns with the texts: several at once, \
            or repeat the option.
            """, valueName: "input"),
        completion: .file())
    var image: [String] = []

    @OptionGroup var texts: TextInputs

    @Flag(help: "Print a JSON object with the images, the texts and the matrix of cosines.")
    var json = false

    @Option(
        help: ArgumentHelp(
            "Also draw the matrix, with thumbnails of the images, to FILE (.svg or .html).",
            valueName: "file"),
        completion: .file(extensions: ["svg", "html"]))
    var heatmap: String?

    @OptionGroup var sampling: SampleOptions
    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions
    @OptionGroup var collection: CollectionOptions
    @OptionGroup var textOptions: TextOptions
    @OptionGroup var images: ImageOptions

    func validate() throws {
        let endings = [".svg", ".html"]
        if let heatmap, !endings.contains(where: { heatmap.lowercased().hasSuffix($0) }) {
            throw ValidationError("--heatmap must end in .svg or .html, not \(heatmap).")
        }
        try InputHints.check(inputs + image, streamedBy: "similarity --image")
    }

    /// Checks that images and texts are given.
    ///
    /// It is not part of `validate()`, so that a mistyped option is reported first.
    ///
    /// - Throws: `Failure` with status 2 if images or texts are missing.
    private func checkInputs() throws {
        if inputs.count > 1 && image.isEmpty && texts.isEmpty {
            throw Failure(
                """
                texts are missing: mark images with --image and texts with --text, as in clip \
                similarity --image \(inputs[0]) --text "\(inputs[1])"
                """, status: 2)
        }
        if inputs.isEmpty && image.isEmpty && collection.filesFrom.isEmpty {
            throw Failure(
                "images are missing: give --image or --files-from", status: 2)
        }
        if texts.readsStandardInput && (inputs + image + collection.filesFrom).contains("-") {
            throw Failure("standard input (-) can be given only once", status: 2)
        }
        if texts.isEmpty {
            throw Failure("texts are missing: give --text or --text-file", status: 2)
        }
    }

    func run() throws {
        try checkInputs()
        try OutputChecks.checkPlace(of: heatmap)
        try collection.checkErrors(
            inputs: inputs + image,
            others: [("--text-file", texts.file.textFile), ("--heatmap", heatmap)])
        let model = try self.model.load(textOptions, images, common)
        let text = try texts.read()
        let textVectors = UnitVectors(
            try model.encode(texts: text, truncating: textOptions.truncate))
        let job = CollectionJob(collection, common, name: "similarity")
        let decoding = images.decoding(for: model.preprocessor)
        var images: [Heatmap.Image] = []
        var cosines: [[Float]] = []
        try job.perform {
            try job.run(collection.sources(inputs + image), model, decoding, sample: sampling) {
                sample, vector in
                try MatrixLimit.check(
                    images: images.count + 1, texts: text.count, isDrawn: heatmap != nil)
                let thumbnail =
                    heatmap == nil ? nil : try? sample.image(decoding).thumbnail(fitting: 192)
                images.append(
                    Heatmap.Image(
                        name: sample.name,
                        thumbnail: thumbnail?.isEmpty == true ? nil : thumbnail,
                        isFile: sample.isFile))
                cosines += try textVectors.cosines(
                    of: Embeddings(rows: vector, dimension: vector.count))
            }
        }
        guard !images.isEmpty else { throw ExitCode(1) }
        if json {
            printLine(
                .object([
                    "model": .string(try self.model.name()),
                    "images": .array(images.map { .path($0.name) }),
                    "texts": .array(text.map { .string($0) }),
                    "cosines": .array(cosines.map { .floats($0) }),
                ]))
        } else {
            CosineTable(images: images.map { "\($0.name)" }, texts: text, cosines: cosines)
                .lines(fitting: terminalColumns(of: 1) ?? 80).forEach { print($0) }
        }
        if let heatmap {
            let drawing = Heatmap(
                images: images, texts: text, cosines: cosines,
                model: modelDescription(try self.model.name(), model.precision))
            let bytes =
                heatmap.lowercased().hasSuffix(".svg")
                ? Array(drawing.svg.utf8) : drawing.page(PageLocation(page: heatmap))
            try write(bytes, to: heatmap)
        }
        if job.failures > 0 { throw ExitCode(1) }
    }
}
