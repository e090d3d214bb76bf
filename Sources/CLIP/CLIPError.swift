internal import TensorFiles

/// An error of this library: an unusable file, image, text or option, or a missing resource.
///
/// The associated values are the path or value at fault, and what was expected and found.
///
/// ```swift
/// do {
///     print(try CLIPModel(path: "ViT-B-32.safetensors").configuration.summary)
/// } catch CLIPError.missingTensor(let path, let name, _, _) {
///     print("\(path) has no \(name)")
/// }
/// ```
@nonexhaustive
public enum CLIPError: Error, Equatable, Sendable {
    /// A file cannot be read: it is missing, unreadable, a directory, or not of the expected kind.
    case unreadableFile(path: String, reason: String)

    /// Bytes are not an image in a supported format, or they are damaged or truncated.
    ///
    /// `path` is empty if the bytes did not come from a file.
    case unreadableImage(path: String, reason: String)
    /// An image has more pixels than allowed.
    case imageTooLarge(path: String, width: Int, height: Int, maximumPixels: Int)
    /// A side of a PNG is longer than allowed.
    case imageSideTooLong(path: String, width: Int, height: Int, maximumSide: Int)
    /// Decoding an image would take more memory than the limit for all images together.
    case imageNeedsMemory(path: String, width: Int, height: Int, bytes: Int, memoryLimit: Int)
    /// An image file is larger than the memory limit for all images together.
    ///
    /// `bytes` is nil for a pipe, whose size is unknown.
    case imageFileNeedsMemory(path: String, bytes: Int?, memoryLimit: Int)
    /// A progressive JPEG has more scans than are allowed for its size.
    case tooManyScans(path: String, maximumScans: Int)
    /// The image tower does not support a resolution.
    ///
    /// `expected` has the supported sides in pixels, a single one if the tower is a ResNet.
    case invalidResolution(expected: ClosedRange<Int>, found: Int)
    /// The length of a pixel array does not match the size of the image or images.
    case wrongPixelCount(expected: Int, found: Int)
    /// The distance between rows of raw pixels is less than the size of a row, in bytes.
    case wrongBytesPerRow(expected: Int, found: Int)

    /// A file of weights does not conform to its format.
    case malformedWeights(path: String, reason: String)
    /// The SHA-256 of a file of weights is not the expected one.
    case damagedWeights(path: String, expected: String, found: String)
    /// The configuration of the weights is malformed, unsupported, or not that of these weights.
    case malformedConfiguration(path: String, reason: String)
    /// The tensors are not those of a supported CLIP model.
    ///
    /// `expected` and `found` are noun phrases for the error message.
    case unknownArchitecture(path: String, expected: String, found: String)
    /// A tensor of the model is missing from the file; `others` is the number of further missing
    /// ones.
    case missingTensor(path: String, name: String, shape: [Int], others: Int)
    /// A tensor in the file is not part of the model; `others` is the number of further such
    /// tensors.
    case unexpectedTensor(path: String, name: String, shape: [Int], others: Int)
    /// A tensor does not have the shape that the model requires.
    case misshapenTensor(path: String, name: String, expected: [Int], found: [Int])
    /// The activation function of the weights is unknown: they have no configuration that states
    /// it, and neither the file name nor the sizes of an OpenAI model.
    case unknownActivation(path: String)
    /// The requested activation is not the one in the configuration of the weights.
    case contradictoryActivation(path: String, stated: Activation, requested: Activation)

    /// A text has more tokens than the model's context.
    case textTooLong(text: String, tokens: Int, limit: Int)
    /// A row of token ids has an unsupported length.
    case wrongTokenCount(expected: ClosedRange<Int>, found: Int)
    /// A token id is negative or not below the size of the vocabulary.
    case unknownToken(id: Int, vocabularySize: Int)
    /// There is no file of a tokenizer beside the weights.
    ///
    /// `expected` are the names of which one is needed; `folder` is empty for weights in memory.
    case missingTokenizer(folder: String, expected: [String])
    /// The file of a tokenizer is malformed or unsupported.
    ///
    /// `part` is the part of the file at fault; `expected` and `found` are noun phrases.
    case malformedTokenizer(path: String, part: String, expected: String, found: String)
    /// The model's tokenizer does not have the requested rules; `expected` are those it has.
    case unavailableRules(String, expected: [String])
    /// A classifier has fewer labels than the `expected` minimum, 2.
    case tooFewLabels(expected: Int, found: Int)
    /// A classifier has no prompt template.
    case noTemplate
    /// A prompt template has no `{}`, the placeholder for the label.
    case invalidTemplate(String)
    /// The number of label embeddings differs from the number of labels.
    case wrongEmbeddingCount(expected: Int, found: Int)
    /// Vectors do not have the expected number of dimensions.
    case wrongDimension(expected: Int, found: Int)
    /// The dimension of embeddings is less than 1 or does not divide the number of their values.
    case wrongValueCount(dimension: Int, found: Int)
    /// A file cannot be written.
    case unwritableFile(path: String, reason: String)
    /// A weight is too large for the number format of the file to write.
    case unrepresentableNumber(tensor: String, number: Float, format: String)
    /// The CPU has no instructions for a precision.
    case unsupportedPrecision(Precision)
    /// An engine is not installed or does not support the model's precision.
    case unavailableEngine(Engine, reason: String)
    /// A result contains NaN or infinity; `stage` is the first layer or tensor that contains one.
    case nonFiniteResult(path: String, stage: String)
    /// A model cannot be merged with the one at `reference`, because they differ in a property.
    ///
    /// `property`, `expected` and `found` are noun phrases for the error message.
    case differentModels(
        path: String, reference: String, property: String, expected: String, found: String)
    /// The weight of the second of two merged models is not in 0...1.
    case invalidAlpha(found: Double)
    /// The system cannot start a thread for an asynchronous call.
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

/// A limit of `RGBImage.DecodingOptions` that an image can exceed.
///
/// ```swift
/// do {
///     print(try RGBImage(contentsOfFile: "bike.jpg").width)
/// } catch where error.exceededLimit == .pixels {
///     print("raise DecodingOptions.maximumPixels")
/// }
/// ```
public enum ImageLimit: String, Sendable, CaseIterable, Codable {
    /// The limit `maximumPixels` on the number of pixels.
    case pixels
    /// The limit `memoryLimit` on the memory of all images.
    case memory
    /// The limit `maximumScans` on the scans of a progressive JPEG.
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
    /// Indexes store the messages about unreadable images and compare them at the next update, so
    /// their wording is part of the index format.
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
        case .invalidResolution(let expected, let found):
            guard expected.count > 1 else {
                return """
                    expected images of \(expected.lowerBound) pixels a side, the only resolution \
                    of this model, found \(found)
                    """
            }
            return """
                expected images of \(expected.lowerBound) to \(expected.upperBound) pixels a side \
                for this model, found \(found)
                """
        case .wrongPixelCount(let expected, let found):
            return "expected \(expected) pixel values, found \(found)"
        case .wrongBytesPerRow(let expected, let found):
            return "expected at least \(expected) bytes per row, found \(found)"
        case .malformedWeights(let path, let reason):
            return "cannot read the weights \(path): \(reason)"
        case .damagedWeights(let path, let expected, let found):
            return """
                \(path) is damaged or not the expected file: expected the SHA-256 \(expected), \
                found \(found)
                """
        case .malformedConfiguration(let path, let reason):
            return "cannot use the configuration \(path): \(reason)"
        case .unknownArchitecture(let path, let expected, let found):
            return "unsupported architecture in \(path): expected \(expected), found \(found)"
        case .missingTensor(let path, let name, let shape, let others):
            return "tensor not found in \(path): \(name) \(shape)\(Self.more(others))"
        case .unexpectedTensor(let path, let name, let shape, let others):
            return "unexpected tensor in \(path): \(name) \(shape)\(Self.more(others))"
        case .misshapenTensor(let path, let name, let expected, let found):
            return
                "wrong shape of the tensor \(name) in \(path): expected \(expected), found \(found)"
        case .unknownActivation(let path):
            return """
                the activation function of the weights \(path) is unknown: no \
                open_clip_config.json or config.json beside them states it, and they do not have \
                the file name and sizes of an OpenAI model
                """
        case .contradictoryActivation(let path, let stated, let requested):
            return """
                \(path) was trained with \(stated.rawValue), as its configuration states; \
                \(requested.rawValue) would give wrong embeddings
                """
        case .textTooLong(let text, let tokens, let limit):
            let start = text.unicodeScalars.prefix(40).map { $0.properties.isWhitespace ? " " : $0 }
            return """
                a text has \(tokens) tokens, but the model takes at most \(limit): \
                "\(String(String.UnicodeScalarView(start)))…"
                """
        case .wrongTokenCount(let expected, let found):
            let counts = expected.count > 1 ? "\(expected.lowerBound) to " : ""
            return "expected a row of \(counts)\(expected.upperBound) token ids, found \(found)"
        case .unknownToken(let id, let size):
            return "unknown token id \(id): expected 0 to \(size - 1)"
        case .missingTokenizer(let folder, let names):
            let place = folder.isEmpty ? "of weights in memory" : "in \(folder)"
            return """
                no tokenizer \(place): expected one of \(names.joined(separator: ", ")), because \
                the model's vocabulary is not CLIP's
                """
        case .malformedTokenizer(let path, let part, let expected, let found):
            return "cannot use the tokenizer \(path): \(part): expected \(expected), found \(found)"
        case .unavailableRules(let rules, let expected):
            return """
                the model's tokenizer has no rules \(rules): expected \
                \(expected.joined(separator: ", "))
                """
        case .tooFewLabels(let expected, let found):
            return "expected at least \(expected) labels, found \(found)"
        case .noTemplate: return "expected at least 1 prompt template, found none"
        case .invalidTemplate(let template):
            return "the template \"\(template)\" has no {} for the label"
        case .wrongEmbeddingCount(let expected, let found):
            return "expected \(expected) embeddings, one for each label, found \(found)"
        case .wrongDimension(let expected, let found):
            return "expected vectors of \(expected) dimensions, found \(found)"
        case .wrongValueCount(let dimension, let found):
            return """
                expected a positive dimension that divides the number of values, found the \
                dimension \(dimension) and \(found) values
                """
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
            return "the result contains NaN or infinity, first in \(stage) (weights: \(path))"
        case .differentModels(let path, let reference, let property, let expected, let found):
            return """
                cannot merge \(path) with \(reference): expected the \(property) \(expected), \
                found \(found)
                """
        case .invalidAlpha(let found):
            return "expected an alpha of 0 to 1, found \(found)"
        case .noThread:
            return "the system cannot start a thread: too many threads or too little memory"
        }
    }

    private static func image(_ path: String) -> String {
        path.isEmpty ? "the image" : "the image \(path)"
    }

    /// Returns a number of bytes in MB, rounded up to one decimal.
    static func megabytes(_ bytes: Int) -> String {
        let tenths = bytes / 100_000 + (bytes % 100_000 == 0 ? 0 : 1)
        return "\(tenths / 10).\(tenths % 10) MB"
    }

    private static func more(_ others: Int) -> String {
        others > 0 ? " and \(others) more" : ""
    }
}
