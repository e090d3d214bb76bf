internal import TensorFiles

/// An error in a caller's input: a file, an image, a text or an option.
///
/// Each case carries the path or value at fault, and what was expected and found.
///
/// ```swift
/// do {
///     let model = try CLIPModel(path: "ViT-B-32.safetensors")
/// } catch CLIPError.missingTensor(let path, let name, _, _) {
///     print("\(path) has no \(name)")
/// }
/// ```
@nonexhaustive
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
    /// An image file has more bytes than all images together may take in memory; nil for a pipe,
    /// whose size is unknown.
    case imageFileNeedsMemory(path: String, bytes: Int?, memoryLimit: Int)
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
    /// The system grants no thread for an asynchronous call.
    case noThread
}

extension CLIPError {
    init(_ error: TensorFileError) {
        self =
            switch error {
            case .unreadable(let path, let reason): .unreadableFile(path: path, reason: reason)
            case .malformed(let path, let error):
                .malformedWeights(path: path, reason: error.description)
            case .damaged(let path, let expected, let found):
                .damagedWeights(path: path, expected: expected, found: found)
            case .unwritable(let path, let reason): .unwritableFile(path: path, reason: reason)
            case .unrepresentable(let tensor, let number, let format):
                .unrepresentableNumber(tensor: tensor, number: number, format: format)
            }
    }
}

/// A limit of decoding that an image can exceed; see `RGBImage.DecodingOptions`.
public enum ImageLimit: String, Sendable, CaseIterable, Codable {
    /// `maximumPixels`.
    case pixels
    /// `memoryLimit`.
    case memory
    /// `maximumScans`.
    case scans
}

extension CLIPError {
    /// The limit of `RGBImage.DecodingOptions` that an image exceeds; nil for other errors.
    public var exceededLimit: ImageLimit? {
        switch self {
        case .imageTooLarge: .pixels
        case .imageNeedsMemory, .imageFileNeedsMemory: .memory
        case .tooManyScans: .scans
        default: nil
        }
    }
}

extension CLIPError: CustomStringConvertible {
    /// The error as one line of English.
    ///
    /// Indexes store the lines of images, and compare them with those of the next update: their
    /// wording is part of the format.
    public var description: String {
        switch self {
        case .unreadableFile(let path, let reason):
            return "cannot read \(path): \(reason)"
        case .unreadableImage(let path, let reason):
            return "cannot read \(Self.image(path)): \(reason)"
        case .imageTooLarge(let path, let width, let height, let maximum):
            return """
                \(Self.image(path)) has \(width) x \(height) pixels, more than the \
                \(maximum) that are allowed
                """
        case .imageSideTooLong(let path, let width, let height, let maximum):
            return """
                \(Self.image(path)) has \(width) x \(height) pixels; no side of a PNG may be \
                longer than \(maximum)
                """
        case .imageNeedsMemory(let path, let width, let height, let bytes, let limit):
            return """
                \(Self.image(path)) has \(width) x \(height) pixels, which take \
                \(Self.megabytes(bytes)) to decode, more than the \(Self.megabytes(limit)) that \
                images may take
                """
        case .imageFileNeedsMemory(let path, let bytes, let limit):
            return """
                cannot read \(path): it has \(bytes.map { "\(Self.megabytes($0)), " } ?? "")more \
                than the \(Self.megabytes(limit)) that images may take
                """
        case .tooManyScans(let path, let maximum):
            return """
                \(Self.image(path)) is a JPEG of more than \(maximum) scans, the limit for its size
                """
        case .invalidResolution(let reason): return reason
        case .wrongPixelCount(let expected, let found):
            return "expected \(expected) pixel values, found \(found)"
        case .wrongBytesPerRow(let expected, let found):
            return "expected at least \(expected) bytes a row, found \(found)"
        case .malformedWeights(let path, let reason):
            return "cannot read the weights \(path): \(reason)"
        case .damagedWeights(let path, let expected, let found):
            return """
                \(path) is damaged or another file: expected the SHA-256 \(expected), found \
                \(found)
                """
        case .malformedConfiguration(let path, let reason):
            return "cannot use the configuration \(path): \(reason)"
        case .unknownArchitecture(let path, let reason):
            return "unsupported architecture in \(path): \(reason)"
        case .missingTensor(let path, let name, let shape, let others):
            return "tensor not found in \(path): \(name) \(shape)\(Self.more(others))"
        case .unexpectedTensor(let path, let name, let shape, let others):
            return "unexpected tensor in \(path): \(name) \(shape)\(Self.more(others))"
        case .misshapenTensor(let path, let name, let expected, let found):
            return
                "wrong shape of the tensor \(name) in \(path): expected \(expected), found \(found)"
        case .unknownActivation(let path):
            return """
                the activation of the weights \(path) is unknown: they do not have the name of one \
                of OpenAI's models, and no open_clip_config.json or config.json beside them states \
                it
                """
        case .contradictoryActivation(let path, let stated, let requested):
            return """
                \(path) was trained with \(stated.rawValue), as its configuration states; \
                \(requested.rawValue) would give wrong embeddings
                """
        case .textTooLong(let text, let tokens, let limit):
            let start = text.unicodeScalars.prefix(40).map { $0.properties.isWhitespace ? " " : $0 }
            return """
                a text has \(tokens) tokens, but the model takes \(limit): \
                "\(String(String.UnicodeScalarView(start)))…"
                """
        case .invalidTokens(let reason): return "invalid tokens: \(reason)"
        case .invalidLabels(let reason): return reason
        case .wrongDimension(let expected, let found):
            return "expected vectors of \(expected) dimensions, found \(found)"
        case .wrongValueCount(let dimension, let found):
            return "expected rows of \(dimension) values, at least 1, found \(found) values"
        case .unwritableFile(let path, let reason):
            return "cannot write \(path): \(reason)"
        case .unrepresentableNumber(let tensor, let number, let format):
            return """
                the tensor \(tensor) has the number \(number), which is too large for \(format)
                """
        case .unsupportedPrecision(let precision):
            return "this CPU has no instructions for the precision \(precision.rawValue)"
        case .unavailableEngine(let engine, let reason):
            return "cannot use the engine \(engine.rawValue): \(reason)"
        case .nonFiniteResult(let path, let stage):
            return "NaN or infinity from \(stage) on, with the weights \(path)"
        case .noThread:
            return "the system grants no thread: it may have too many, or too little memory"
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
