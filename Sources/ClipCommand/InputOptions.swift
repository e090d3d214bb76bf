import Files
import ArgumentParser
import CLIP
import CLIPSearch

/// Options of texts.
struct TextOptions: ParsableArguments {
    @Flag(help: "Cut texts that are too long for the model instead of refusing them.")
    var truncate = false

    @OptionGroup var tokenizerOptions: TokenizerOptions

    var tokenizer: BPETokenizer { tokenizerOptions.tokenizer }
}

/// The rules that texts are tokenized by.
struct TokenizerOptions: ParsableArguments {
    @Option(
        name: .customLong("tokenizer"),
        help: ArgumentHelp(
            """
            The rules for cleaning texts: openai; open_clip, which differs only in how it reads \
            special tokens; or hf, as transformers does.
            """, valueName: "rules"))
    var rules: BPETokenizer.Rules = .openAI

    var tokenizer: BPETokenizer { BPETokenizer(rules: rules) }
}

extension BPETokenizer.Rules: ExpressibleByArgument {}

/// Options of images.
struct ImageOptions: ParsableArguments {
    @Flag(
        help: """
            Read images exactly as OpenAI's Python does: the EXIF orientation is ignored, and \
            16-bit grey is clipped to white above 255.
            """)
    var reference = false

    @Option(
        help: ArgumentHelp(
            """
            The order of resizing and cropping: openai, or hf, as transformers does with Pillow; \
            together with --reference it gives exactly the same pixels.
            """, valueName: "rules"))
    var preprocess: ImagePreprocessor.Rules = .openAI

    @Flag(help: "Accept a JPEG or PNG that ends early, with what is there.")
    var allowTruncated = false

    @Option(
        help: """
            Decode exactly, or fast: a JPEG much larger than the model needs is decoded at 1/2, \
            1/4 or 1/8 of its size; the embedding keeps a cosine of 0.999 or more.
            """)
    var decode: Decoding = .exact

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Refuse images of more than N pixels.", valueName: "n"))
    var maxPixels = RGBImage.defaultMaximumPixels

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            """
            Refuse images that take more than MB million bytes to decode; those of all threads \
            share them.
            """, valueName: "mb"))
    var imageMemory = RGBImage.defaultMemoryLimit / 1_000_000

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Refuse progressive JPEGs of more than N scans.", valueName: "n"))
    var maxScans = RGBImage.defaultMaximumScans

    func validate() throws {
        for (name, value) in [
            ("--max-pixels", maxPixels), ("--image-memory", imageMemory), ("--max-scans", maxScans),
        ] where value < 1 {
            throw ValidationError("\(name) must be at least 1, not \(value).")
        }
        guard imageMemory <= Int.max / 1_000_000 else {
            throw ValidationError(
                "--image-memory must be at most \(Int.max / 1_000_000), not \(imageMemory).")
        }
    }

    enum Decoding: String, ExpressibleByArgument, CaseIterable {
        case exact, fast
    }

    /// The decoding that fits a model's preprocessing.
    func decoding(for preprocessor: ImagePreprocessor) -> RGBImage.DecodingOptions {
        var options: RGBImage.DecodingOptions = reference ? .reference : .init()
        options.maximumPixels = maxPixels
        options.memoryLimit = imageMemory * 1_000_000
        options.maximumScans = maxScans
        options.allowsTruncated = allowTruncated
        options.smallestSide = decode == .fast ? preprocessor.fastDecodingSide : nil
        return options
    }

    func read(
        _ path: String, for preprocessor: ImagePreprocessor
    ) throws(CLIPError) -> RGBImage {
        try Sample(file: FilePath(argument: path)).image(decoding(for: preprocessor))
    }
}

extension ImagePreprocessor.Rules: ExpressibleByArgument {}

/// Options of every subcommand.
struct CommonOptions: ParsableArguments {
    @Flag(name: .shortAndLong, help: "Print nothing but data and errors.")
    var quiet = false
}
