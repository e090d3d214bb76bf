import ArgumentParser
import CLIP
import CLIPSearch

/// How texts are read.
struct TextOptions: ParsableArguments {
    @Flag(help: "Cut texts that are too long for the model instead of refusing them.")
    var truncate = false

    @OptionGroup var tokenizerOptions: TokenizerOptions

    var tokenizer: BPETokenizer { tokenizerOptions.tokenizer }
}

/// By whose rules texts are tokenized.
struct TokenizerOptions: ParsableArguments {
    @Option(
        name: .customLong("tokenizer"),
        help: ArgumentHelp(
            """
            Whose rules clean texts: openai; open_clip, which differs in the special texts alone; or hf, \
            to match what transformers made.
            """, valueName: "rules"))
    var rules: BPETokenizer.Rules = .openAI

    var tokenizer: BPETokenizer { BPETokenizer(rules: rules) }
}

extension BPETokenizer.Rules: ExpressibleByArgument {}

/// How pictures are read.
struct PictureOptions: ParsableArguments {
    @Flag(
        help: """
            Read pictures exactly as OpenAI's Python does: EXIF's orientation is ignored, and grey of \
            16 bits is clipped to white above 255.
            """)
    var reference = false

    @Option(
        help: ArgumentHelp(
            """
            Whose order and crop: openai, or hf for what transformers does with Pillow, for which \
            --reference is needed too.
            """,
            valueName: "rules"))
    var preprocess: ImagePreprocessor.Rules = .openAI

    @Flag(help: "Take what is there of a JPEG or PNG that ends early.")
    var allowTruncated = false

    @Option(
        help: """
            exact, or fast: a JPEG much larger than the model needs is decoded at 1/2, 1/4 or 1/8 of its \
            size; the cosine of the embeddings is 0.999 or more.
            """)
    var decode: Decoding = .exact

    @Option(
        help: ArgumentHelp("Refuse pictures of more pixels than this.", valueName: "n"))
    var maxPixels = RGBImage.defaultMaximumPixels

    func validate() throws {
        if maxPixels < 1 {
            throw ValidationError("--max-pixels must be at least 1, not \(maxPixels).")
        }
    }

    enum Decoding: String, ExpressibleByArgument, CaseIterable {
        case exact, fast
    }

    /// How pictures are decoded for a model's preprocessing.
    func decoding(for preprocessor: ImagePreprocessor) -> RGBImage.DecodingOptions {
        var options: RGBImage.DecodingOptions = reference ? .reference : .init()
        options.maximumPixels = maxPixels
        options.allowsTruncated = allowTruncated
        options.smallestSide = decode == .fast ? preprocessor.fastDecodingSide : nil
        return options
    }

    func read(
        _ path: String, for preprocessor: ImagePreprocessor
    ) throws(CLIPError) -> RGBImage {
        try Sample(file: FilePath(argument: path)).picture(decoding(for: preprocessor))
    }
}

extension ImagePreprocessor.Rules: ExpressibleByArgument {}

/// What every subcommand takes.
struct CommonOptions: ParsableArguments {
    @Flag(name: .shortAndLong, help: "Print nothing but data and errors.")
    var quiet = false
}
