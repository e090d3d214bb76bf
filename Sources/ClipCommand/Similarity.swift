import ArgumentParser
import CLIP
import CLIPSearch

struct Similarity: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Compare images with texts.",
        discussion: """
            Prints a matrix of cosines, -1 to 1: images down, texts across. CLIP's cosines are low, \
            0.2 to 0.35 for what fits.

            Examples:
              clip similarity --image bike.jpg dog.jpg --text "a bicycle" "a dog"
              clip similarity --image *.jpg --text bike dog --heatmap matrix.svg
            """)

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "JPEG, PNG or WebP files; give several at once, or repeat the option.",
            valueName: "file"))
    var image: [String] = []

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "Texts; give several at once, or repeat the option.", valueName: "text"))
    var text: [String] = []

    @Flag(help: "Print JSON.")
    var json = false

    @Option(
        help: ArgumentHelp(
            "Also draw the matrix, with the images, as .svg or .html.", valueName: "file"))
    var heatmap: String?

    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions
    @OptionGroup var textOptions: TextOptions
    @OptionGroup var pictures: PictureOptions

    func validate() throws {
        let endings = [".svg", ".html"]
        if let heatmap, !endings.contains(where: { heatmap.lowercased().hasSuffix($0) }) {
            throw ValidationError("--heatmap is to end in .svg or .html, not \(heatmap).")
        }
        try InputHints.check(image, streamedBy: nil)
    }

    func run() throws {
        // Not in validate(), so that a mistyped option is reported first.
        guard !image.isEmpty, !text.isEmpty else {
            throw Failure("give images with --image and texts with --text", status: 2)
        }
        try OutputChecks.checkPlace(of: heatmap)
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
            printLine(
                .object([
                    "model": .string(try self.model.name()),
                    "images": .array(images.map { .string($0.name) }),
                    "texts": .array(text.map { .string($0) }),
                    "cosines": .array(cosines.map { .floats($0) }),
                ]))
        } else {
            CosineTable(images: images.map(\.name), texts: text, cosines: cosines)
                .lines(fitting: terminalColumns(of: 1) ?? 80).forEach { print($0) }
        }
        if let heatmap {
            let drawing = Heatmap(
                images: images.map {
                    Heatmap.Image(
                        name: FilePath(argument: $0.name),
                        thumbnail: $0.image.thumbnail(fitting: 192))
                }, texts: text, cosines: cosines,
                model: modelWords(try self.model.name(), model.precision))
            let bytes =
                heatmap.lowercased().hasSuffix(".svg")
                ? Array(drawing.svg.utf8) : drawing.page(PageLocation(page: heatmap))
            try write(bytes, to: heatmap)
        }
        if failures > 0 { throw ExitCode(1) }
    }
}
