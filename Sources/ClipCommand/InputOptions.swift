import Files
import ArgumentParser
import CLIP
import CLIPSearch

/// Options for encoding texts.
struct TextOptions: ParsableArguments {
    @Flag(help: "Truncate texts beyond the model's context length instead of rejecting them.")
    var truncate = false

    @OptionGroup var tokenizerOptions: TokenizerOptions

    /// The rules that the option names; nil for the model's own.
    var rules: Tokenizer.Rules? { tokenizerOptions.rules }
}

/// The option that selects the tokenizer rules.
struct TokenizerOptions: ParsableArguments {
    @Option(
        name: .customLong("tokenizer"),
        help: ArgumentHelp(
            """
            Clean and tokenize texts like OpenAI's code (openai), open_clip, or Hugging Face \
            transformers (hf); for SentencePiece models also big_vision, or sentencepiece for no \
            cleaning. (default: openai for CLIP's vocabulary, else the library of the weights)
            """,
            valueName: "rules"))
    var rules: Tokenizer.Rules?
}

extension Tokenizer.Rules: ExpressibleByArgument {}

/// Options for decoding and preprocessing images.
struct ImageOptions: ParsableArguments {
    @Flag(
        help: """
            Decode images like OpenAI's Python code: ignore the EXIF orientation (TIFF, HEIC, AVIF \
            and JPEG XL are turned all the same) and colour profiles, and clip values of 16-bit \
            grey at 255.
            """)
    var reference = false

    @Option(
        name: .customLong("preprocess"),
        help: ArgumentHelp(
            """
            Resize and crop images like OpenAI's code (openai), or like Hugging Face transformers \
            with Pillow (hf). (default: openai for CLIP, else the library of the weights)
            """,
            valueName: "rules"))
    var givenPreprocess: ImagePreprocessor.Rules?

    @Flag(help: "Accept truncated image files, and decode the available part.")
    var allowTruncated = false

    @Option(
        name: .customLong("decode"),
        help: """
            Decode images at full size (exact), or large JPEGs at reduced size (fast; the measured \
            cosine to exact is 0.999 or more). (default: exact)
            """)
    var givenDecode: Decoding?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Reject images of more than N pixels.", valueName: "n"))
    var maxPixels = RGBImage.defaultMaximumPixels

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Limit the memory that all threads together use to decode images to MB megabytes.",
            valueName: "mb"))
    var imageMemory = RGBImage.defaultMemoryLimit / 1_000_000

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Reject progressive JPEGs of more than N scans.", valueName: "n"))
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

    /// The rules that `--preprocess` names; nil for the model's own.
    var preprocess: ImagePreprocessor.Rules? { givenPreprocess }
    /// The value of `--decode`, or the default.
    var decode: Decoding { givenDecode ?? .exact }

    /// Returns the decoding options for a model's preprocessing.
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

/// The options of every subcommand except `clip version`.
struct CommonOptions: ParsableArguments {
    @Flag(name: .shortAndLong, help: "Print only results and errors.")
    var quiet = false
}
