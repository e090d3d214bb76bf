internal import CLIP
internal import Synchronization

/// A loaded model with the queues of its two towers.
final class ServedModel: Sendable {
    /// The largest number of images in a batch.
    ///
    /// The tower itself divides a batch into groups that fit the caches. A larger batch is hardly
    /// faster, and the images that arrive meanwhile wait for all of it.
    static let largestImageBatch = 16
    /// The largest number of texts in a batch.
    ///
    /// A text costs about a tenth of an image, and sorted texts share the work of equal beginnings,
    /// so a batch is larger than one of images and takes about as long.
    static let largestTextBatch = 64
    /// The largest size of a text in bytes, far beyond the context of any model: the time of
    /// tokenization grows with the size of a text, even if the text is truncated then.
    static let largestText = 1 << 20

    /// The largest size of the images that wait for a model, in bytes.
    ///
    /// Each has the resolution of the model and three bytes for each pixel.
    static let largestImageMemory = 256_000_000

    let name: String
    let model: CLIPModel
    /// The fingerprint of the model, which is computed at its first use: it reads a part of every
    /// tensor.
    var fingerprint: String {
        storedFingerprint.withLock { stored in
            let fingerprint = stored ?? model.fingerprint
            stored = fingerprint
            return fingerprint
        }
    }

    private let storedFingerprint = Mutex<String?>(nil)
    private let metrics: Metrics
    private let decodingOptions: RGBImage.DecodingOptions
    private let images: BatchQueue<ReducedImage>
    private let texts: BatchQueue<[Int]>
    /// The threads that decode and resize images.
    private let decoders: CallThreads
    /// The threads that tokenize texts, which never wait for images.
    private let tokenizers: CallThreads

    /// Makes the queues of a model.
    ///
    /// - Parameters:
    ///   - name: The name in responses and errors.
    ///   - model: The model.
    ///   - options: The settings of the server: the sizes of queues and images.
    ///   - metrics: The metrics in which all stages are recorded.
    init(
        name: String, model: CLIPModel, options: ServerOptions = ServerOptions(),
        metrics: Metrics = Metrics()
    ) {
        (self.name, self.model, self.metrics) = (name, model, metrics)
        var decoding = RGBImage.DecodingOptions()
        decoding.maximumPixels = options.maximumPixels
        decodingOptions = decoding
        images = BatchQueue(
            capacity: Self.imagePlaces(
                options.queueLimit, resolution: model.configuration.resolution),
            largestBatch: Self.largestImageBatch, tower: .image, metrics: metrics
        ) { batch in try model.encode(reduced: batch).vectors }
        texts = BatchQueue(
            capacity: options.queueLimit, largestBatch: Self.largestTextBatch, tower: .text,
            metrics: metrics
        ) { batch in try model.encode(tokens: batch).vectors }
        decoders = CallThreads(atMost: model.threads)
        tokenizers = CallThreads(atMost: model.threads)
    }

    /// Returns the number of images that may wait: at most `limit`, and as many as fit in
    /// `largestImageMemory`, but at least one.
    static func imagePlaces(_ limit: Int, resolution: Int) -> Int {
        max(1, min(limit, largestImageMemory / max(1, 3 * resolution * resolution)))
    }

    /// The number of images that wait, including those that are being decoded.
    var waitingImages: Int { images.count }
    /// The number of texts that wait, including those that are being tokenized.
    var waitingTexts: Int { texts.count }

    /// Fails the requests that wait, and all later ones, with status 503.
    func close() {
        images.close()
        texts.close()
    }

    /// Encodes a text and a small image, so that the first request does not wait for the packing
    /// of the weights.
    ///
    /// Errors are ignored, because a model may have no tokenizer: requests get them. The metrics do
    /// not count the work.
    ///
    /// - Throws: `CancellationError`.
    func warm() async throws {
        do {
            try await decoders.run { [model] _ in
                if let tokens = try? model.tokenizer.tokenize("a") {
                    _ = try? model.encode(tokens: [tokens])
                }
                let image = try RGBImage(
                    width: 8, height: 8, pixels: Array(repeating: 128, count: 8 * 8 * 3))
                _ = try model.encode(reduced: [model.reduced(image)])
            }
        } catch is CLIPError {}
    }

    // MARK: Texts

    /// Embeddings of texts and the number of their tokens.
    struct TextEmbeddings: Sendable {
        /// The vectors, one for each text, L2-normalised unless asked otherwise.
        let vectors: [[Float]]
        /// The number of token ids of all texts, start and end included.
        let tokenCount: Int
    }

    /// Encodes texts in the order given, together with those of other requests.
    ///
    /// - Parameters:
    ///   - texts: The texts, which may be empty.
    ///   - truncating: True to truncate texts that have more tokens than the context.
    ///   - normalized: True to divide each vector by its L2 norm.
    /// - Returns: The vectors and the number of tokens.
    /// - Throws: `RequestError` with status 400 for a text that is too long if `truncating` is
    ///   false, 413 for a text beyond the limit, 429 if the queue is full, 500 if the result is not
    ///   finite, 503 if the server is shutting down; `CLIPError.noThread`; `CancellationError`.
    func embeddings(
        ofTexts texts: [String], truncating: Bool, normalized: Bool = true
    ) async throws -> TextEmbeddings {
        for (index, text) in texts.enumerated() where text.utf8.count > Self.largestText {
            throw RequestError.tooLarge(
                """
                the text at index \(index) has \(text.utf8.count) bytes, more than the \
                \(Self.largestText) that are allowed
                """)
        }
        var tokenCount = 0
        let vectors = try await explainingErrors {
            try await self.texts.encode(texts.count) { piece in
                let rows = try await tokenizers.run { cancellation in
                    try self.rows(of: texts[piece], truncating: truncating, cancellation)
                }
                tokenCount += rows.reduce(0) { $0 + $1.count }
                return rows
            }
        }
        return TextEmbeddings(
            vectors: finished(vectors, normalized: normalized), tokenCount: tokenCount)
    }

    private func rows(
        of texts: ArraySlice<String>, truncating: Bool, _ cancellation: CallThreads.Cancellation
    ) throws -> [[Int]] {
        // The tokenizer's file is read at the first use.
        let tokenizer = try model.tokenizer
        var rows: [[Int]] = []
        for (index, text) in zip(texts.indices, texts) {
            try cancellation.check()
            let start = ContinuousClock.now
            do throws(CLIPError) {
                rows.append(
                    try tokenizer.tokenize(
                        text, contextLength: model.configuration.text.contextLength,
                        truncating: truncating))
            } catch .textTooLong(_, let tokens, let limit) {
                throw RequestError.invalid(
                    """
                    the text at index \(index) has \(tokens) tokens, but the model takes at most \
                    \(limit)
                    """)
            }
            metrics.observe(.tokenize, seconds: (.now - start).inSeconds)
        }
        return rows
    }

    // MARK: Images

    /// The vector and the size of an image.
    struct EncodedImage: Sendable {
        let vector: [Float]
        /// The width and height after the EXIF orientation is applied, in pixels.
        let width: Int
        let height: Int
    }

    private struct DecodedImage: Sendable {
        let reduced: ReducedImage
        let width, height: Int
    }

    /// Decodes and encodes the bytes of image files in the order given, together with those of
    /// other requests.
    ///
    /// - Parameters:
    ///   - images: The bytes of image files.
    ///   - normalized: True to divide each vector by its L2 norm.
    /// - Returns: The vector and the size of each image.
    /// - Throws: `RequestError` with status 400 for an image that cannot be read (the message names
    ///   its index), 413 for an image beyond the limits, 429 if the queue is full, 500 if the
    ///   result is not finite, 503 if the server is shutting down or has no memory;
    ///   `CLIPError.noThread`; `CancellationError`.
    func embeddings(
        ofImages images: [[UInt8]], normalized: Bool = true
    ) async throws -> [EncodedImage] {
        var sizes: [(width: Int, height: Int)] = []
        let vectors = try await explainingErrors {
            try await self.images.encode(images.count) { piece in
                let decoded = try await self.decoded(images[piece])
                sizes += decoded.map { ($0.width, $0.height) }
                return decoded.map(\.reduced)
            }
        }
        return zip(finished(vectors, normalized: normalized), sizes).map { vector, size in
            EncodedImage(vector: vector, width: size.width, height: size.height)
        }
    }

    /// Decodes the images of a request with several threads.
    ///
    /// - Throws: The error of the first image that cannot be decoded.
    private func decoded(_ images: ArraySlice<[UInt8]>) async throws -> [DecodedImage] {
        typealias Outcome = Result<DecodedImage, any Error>
        return try await withThrowingTaskGroup(of: (Int, Outcome).self) { group in
            for (index, bytes) in zip(images.indices, images) {
                group.addTask {
                    do {
                        let image = try await self.decoders.run { _ in
                            try self.decoded(bytes, at: index)
                        }
                        return (index, .success(image))
                    } catch {
                        return (index, .failure(error))
                    }
                }
            }
            var outcomes: [Int: Outcome] = [:]
            // In the order of the images, so that the error does not depend on the threads.
            for try await (index, outcome) in group { outcomes[index] = outcome }
            return try images.indices.compactMap { try outcomes[$0]?.get() }
        }
    }

    /// Decodes and resizes an image within the limit on the memory of all decoded images.
    private func decoded(_ bytes: [UInt8], at index: Int) throws -> DecodedImage {
        let start = ContinuousClock.now
        defer { metrics.observe(.decode, seconds: (.now - start).inSeconds) }
        do throws(CLIPError) {
            return try RGBImage.whileHoldingMemory { () throws(CLIPError) in
                let image = try RGBImage(
                    decoding: bytes, path: "at index \(index)", options: decodingOptions)
                return DecodedImage(
                    reduced: model.reduced(image), width: image.width, height: image.height)
            }
        } catch {
            switch error {
            case .imageSideTooLong: throw RequestError.tooLarge("\(error)")
            case .unreadableFile(_, let reason):
                throw RequestError(
                    503, "out_of_memory", "cannot read the image at index \(index): \(reason)",
                    retryAfter: 1)
            default:
                throw error.exceededLimit == nil
                    ? RequestError.invalid("\(error)") : RequestError.tooLarge("\(error)")
            }
        }
    }

    // MARK: Both

    private func finished(_ vectors: [[Float]], normalized: Bool) -> [[Float]] {
        guard normalized else { return vectors }
        return Embeddings(
            rows: vectors.flatMap(\.self), dimension: model.configuration.embeddingDimension
        ).normalized().vectors
    }

    /// Calls a function and turns errors of the library, whose text may have the path of the
    /// weights, into ones for clients.
    private func explainingErrors<Value>(_ body: () async throws -> Value) async throws -> Value {
        do {
            return try await body()
        } catch let error as CLIPError {
            switch error {
            case .nonFiniteResult(_, let stage):
                throw RequestError(
                    500, "non_finite_result",
                    "the result of the model \(name) contains NaN or infinity, first in \(stage)")
            case .noThread: throw error
            case .missingTokenizer, .malformedTokenizer, .unreadableFile, .unavailableRules,
                .unknownArchitecture:
                throw RequestError(
                    503, "no_tokenizer", "the tokenizer of the model \(name) cannot be used")
            default:
                throw RequestError(
                    500, "internal_error", "the model \(name) cannot encode the input")
            }
        }
    }
}

extension Embeddings {
    /// The rows as arrays.
    fileprivate var vectors: [[Float]] { (0..<count).map { self[$0] } }
}
