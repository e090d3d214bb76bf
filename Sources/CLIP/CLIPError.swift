/// Everything that can be wrong with what a caller hands in.
///
/// A message says what is wrong, where, what was expected and found, and what to do.
public enum CLIPError: Error, Equatable, Sendable {
    /// A file is missing, a directory, or may not be read.
    case unreadableFile(path: String, reason: String)

    /// Bytes are not an image in a format that is read, or are damaged or cut off.
    ///
    /// `path` is empty where the bytes did not come from a file.
    case unreadableImage(path: String, reason: String)
    /// An image has more pixels than allowed.
    case imageTooLarge(path: String, width: Int, height: Int, maximumPixels: Int)
    /// A side of a PNG is longer than allowed.
    case imageSideTooLong(path: String, width: Int, height: Int, maximumSide: Int)
    /// Decoding an image would take more memory than all images together may.
    case imageNeedsMemory(path: String, width: Int, height: Int, bytes: Int, memoryLimit: Int)
    /// A progressive JPEG has more scans than are allowed for its size.
    case tooManyScans(path: String, maximumScans: Int)
    /// A resolution that the image tower cannot be used at.
    case invalidResolution(reason: String)
    /// Pixels do not fit the size that they are said to have.
    case wrongPixelCount(expected: Int, found: Int)
    /// A row of raw pixels has more bytes than the distance between rows.
    case wrongBytesPerRow(expected: Int, found: Int)

    /// A file of weights breaks its format.
    case malformedWeights(path: String, reason: String)
    /// A file of weights is not the one that its SHA-256 was taken of.
    case damagedWeights(path: String, expected: String, found: String)
    /// A configuration beside the weights cannot be used.
    case malformedConfiguration(path: String, reason: String)
    /// The tensors' names are those of no CLIP model that is known.
    case unknownArchitecture(path: String, reason: String)
    /// A tensor of the model is not in the file.
    case missingTensor(path: String, name: String, shape: [Int], others: Int)
    /// A tensor in the file is not one of the model's.
    case unexpectedTensor(path: String, name: String, shape: [Int], others: Int)
    /// A tensor has another shape than the model needs.
    case misshapenTensor(path: String, name: String, expected: [Int], found: [Int])
    /// Neither the weights' name nor a configuration beside them says which activation they need.
    case unknownActivation(path: String)
    /// The activation asked for is not the one the weights were trained with.
    case contradictoryActivation(path: String, stated: Activation, requested: Activation)

    /// A text has more tokens than the model's context.
    case textTooLong(text: String, tokens: Int, limit: Int)
    /// A row of tokens that the model cannot take.
    case invalidTokens(reason: String)
    /// Labels or prompts that make no classifier.
    case invalidLabels(reason: String)
    /// Vectors have another dimension than those that they are used with.
    case wrongDimension(expected: Int, found: Int)
    /// The values of embeddings are not whole rows of a positive dimension.
    case wrongValueCount(dimension: Int, found: Int)
    /// A file cannot be written.
    case unwritableFile(path: String, reason: String)
    /// A number of the weights is too large for the format in which they are to be written.
    case unrepresentableNumber(tensor: String, number: Float, format: String)
    /// The CPU has no instructions for a precision.
    case unsupportedPrecision(Precision)
    /// An engine cannot compute the products of a model.
    case unavailableEngine(Engine, reason: String)
    /// A result is not a number, or infinite.
    case nonFiniteResult(path: String, stage: String)
}

extension CLIPError: CustomStringConvertible {
    /// One line for a person.
    public var description: String {
        switch self {
        case .unreadableFile(let path, let reason):
            return "cannot read \(path): \(reason)"
        case .unreadableImage(let path, let reason):
            return "cannot read \(Self.image(path)): \(reason)"
        case .imageTooLarge(let path, let width, let height, let maximum):
            return """
                \(Self.image(path)) has \(width) x \(height) pixels, more than the \
                \(maximum) that are allowed; raise the limit (--max-pixels, maximumPixels) if it is to be trusted
                """
        case .imageSideTooLong(let path, let width, let height, let maximum):
            return """
                \(Self.image(path)) has \(width) x \(height) pixels; no side of a PNG may be longer \
                than \(maximum)
                """
        case .imageNeedsMemory(let path, let width, let height, let bytes, let limit):
            return """
                \(Self.image(path)) has \(width) x \(height) pixels, which take \
                \(Self.megabytes(bytes)) to decode, more than the \(Self.megabytes(limit)) that images \
                may take; raise the limit (--image-memory, memoryLimit) if it is to be trusted
                """
        case .tooManyScans(let path, let maximum):
            return """
                \(Self.image(path)) is a JPEG of more than \(maximum) scans, the limit for its size; \
                raise it (--max-scans, maximumScans) if the image is to be trusted
                """
        case .invalidResolution(let reason): return reason
        case .wrongPixelCount(let expected, let found):
            return "expected \(expected) values of pixels, found \(found)"
        case .wrongBytesPerRow(let expected, let found):
            return "expected at least \(expected) bytes a row, found \(found)"
        case .malformedWeights(let path, let reason):
            return "\(path) is not a sound file of weights: \(reason)"
        case .damagedWeights(let path, let expected, let found):
            return """
                \(path) is damaged or not the file it should be: its SHA-256 is \(found), not \
                \(expected); get it anew
                """
        case .malformedConfiguration(let path, let reason):
            return "cannot use the configuration \(path): \(reason)"
        case .unknownArchitecture(let path, let reason):
            return "\(path) holds no CLIP model that is known: \(reason)"
        case .missingTensor(let path, let name, let shape, let others):
            return "\(path) lacks the tensor \(name) \(shape)\(Self.more(others))"
        case .unexpectedTensor(let path, let name, let shape, let others):
            return """
                \(path) holds the tensor \(name) \(shape)\(Self.more(others)), which this \
                architecture does not have
                """
        case .misshapenTensor(let path, let name, let expected, let found):
            return "\(path): the tensor \(name) should be \(expected) but is \(found)"
        case .unknownActivation(let path):
            return """
                nothing says which activation \(path) was trained with: pass --activation \
                quickgelu (OpenAI's weights and a few others) or --activation gelu (most of \
                open_clip's), or put its open_clip_config.json or config.json beside it
                """
        case .contradictoryActivation(let path, let stated, let requested):
            return """
                \(path) was trained with \(stated.rawValue), as its configuration says; \
                \(requested.rawValue) would give wrong embeddings
                """
        case .textTooLong(let text, let tokens, let limit):
            let start = text.unicodeScalars.prefix(40).map { $0.properties.isWhitespace ? " " : $0 }
            return """
                a text has \(tokens) tokens, but the model takes \(limit): \
                "\(String(String.UnicodeScalarView(start)))…"; shorten it, or have it cut (--truncate)
                """
        case .invalidTokens(let reason): return "cannot use these tokens: \(reason)"
        case .invalidLabels(let reason): return reason
        case .wrongDimension(let expected, let found):
            return "expected vectors of \(expected) dimensions, found \(found)"
        case .wrongValueCount(let dimension, let found):
            return "expected rows of \(dimension) values, at least 1, found \(found) values"
        case .unwritableFile(let path, let reason):
            return "cannot write \(path): \(reason)"
        case .unrepresentableNumber(let tensor, let number, let format):
            return """
                the tensor \(tensor) has the number \(number), which \(format) cannot hold; bf16 and f32 can
                """
        case .unsupportedPrecision(let precision):
            return "this CPU has no instructions for the precision \(precision.rawValue)"
        case .unavailableEngine(let engine, let reason):
            return "cannot use the engine \(engine.rawValue): \(reason)"
        case .nonFiniteResult(let path, let stage):
            return "the result is not a finite number from \(stage) on, with the weights \(path)"
        }
    }

    private static func image(_ path: String) -> String {
        path.isEmpty ? "the image" : "the image \(path)"
    }

    /// A number of bytes in MB, with one digit after the point, rounded up.
    static func megabytes(_ bytes: Int) -> String {
        let tenths = bytes / 100_000 + (bytes % 100_000 == 0 ? 0 : 1)
        return "\(tenths / 10).\(tenths % 10) MB"
    }

    private static func more(_ others: Int) -> String {
        others > 0 ? " and \(others) more" : ""
    }
}
