public import CLIP
internal import Files
internal import Synchronization

/// A worker that encodes images and texts for another program over standard input and output.
///
/// `clip worker` is this type with a command line. <doc:WorkerProtocol> describes the protocol.
///
/// ```swift
/// let worker = EncodingWorker(model: try CLIPModel(path: "ViT-B-32.safetensors"))
/// try worker.run()
/// ```
///
/// Replies come in the order of the requests. A reply never waits for requests that have not come
/// yet. A bounded number of requests is in memory: if the client does not take its replies, the
/// worker stops reading. The vectors equal those of `clip encode` bit for bit.
public struct EncodingWorker: Sendable {
    /// The default of ``largestPayload``, 64 MiB.
    public static let defaultLargestPayload = 64 << 20
    /// The largest value of ``largestPayload`` that the protocol permits.
    public static let payloadLimit = WorkerProtocol.payloadLimit
    /// The largest number of texts that are encoded together.
    static let largestTextBatch = 256

    /// The model that encodes the images and texts.
    public let model: CLIPModel
    /// The limits and options for decoding images.
    public var decoding = RGBImage.DecodingOptions()
    /// True to truncate texts that have more tokens than the context.
    public var truncatesTexts = false
    /// True to divide each vector by its L2 norm.
    public var isNormalized = true
    /// The largest size of an image or a text in bytes; larger ones end the worker.
    public var largestPayload = Self.defaultLargestPayload
    /// A function that returns the message of a reply to an input that has no vector.
    public var describe: @Sendable (CLIPError) -> String = { "\($0)" }

    /// Makes a worker with the default options.
    public init(model: CLIPModel) { self.model = model }

    /// Answers the requests on standard input until its end, and writes the replies to standard
    /// output.
    ///
    /// From then on, what other code of the process prints to standard output goes to standard
    /// error.
    ///
    /// - Throws: ``WorkerError`` if the client violates the protocol, after the replies to all
    ///   complete requests, or if a reply cannot be written; `CLIPError.nonFiniteResult` if the
    ///   weights produce NaN or infinity, `.noThread`.
    public func run() throws {
        let output: ReservedOutput
        do throws(FileError) {
            output = try ReservedOutput()
        } catch {
            throw WorkerError.unwritableOutput(reason: error.reason)
        }
        try run(InputFile()) { bytes throws(WorkerError) in
            do throws(FileError) {
                try output.write(bytes)
            } catch {
                throw .unwritableOutput(reason: error.reason)
            }
        }
    }

    /// Answers the requests of an input; `write` writes bytes without a buffer.
    func run(
        _ input: sending InputFile, write: @escaping ([UInt8]) throws(WorkerError) -> Void
    ) throws {
        let reader = RequestReader(input, largestPayload: largestPayload)
        try reader.readHello()
        try write(
            WorkerProtocol.workerHello(
                dimension: model.configuration.embeddingDimension,
                fingerprint: Self.bytes(ofHexadecimal: model.fingerprint)))
        // Enough for each thread to decode a large photo while others wait.
        let budget = ByteBudget(limit: max(64 << 20, model.threads << 23))
        let feeder = EncodingStream<WorkerRequest, Decoded>.Feeder(model) { [self] request in
            decode(request, budget)
        }
        defer {
            feeder.cancel()
            budget.cancel()
        }
        let violation = Mutexed<WorkerError?>(nil)
        let isReading = startBackgroundThread {
            do throws(WorkerError) {
                while let request = try reader.next(within: budget), feeder.push(request) {}
            } catch {
                violation.value.withLock { $0 = error }
            }
            feeder.finish()
        }
        guard isReading else { throw CLIPError.noThread }
        var replies = WorkerReplies(self, EncodingStream(feeder), write)
        try replies.run()
        if let error = violation.value.withLock({ $0 }) { throw error }
    }

    /// A mutex that closures can share.
    private final class Mutexed<Value: Sendable>: Sendable {
        let value: Mutex<Value>
        init(_ value: Value) { self.value = Mutex(value) }
    }

    // MARK: decoding

    /// The result of decoding a request, beside the image.
    enum Decoded: Sendable {
        case image
        case tokens([Int])
        /// The input has no vector, for the reason given.
        case refused(String)
    }

    /// Decodes an image, or tokenizes a text; several threads call it at once.
    private func decode(_ request: WorkerRequest, _ budget: ByteBudget) -> DecodedInput<Decoded> {
        let bytes = request.payload.take()
        defer { budget.giveBack(bytes.count) }
        // A text is no input of the image tower: the thread that writes the replies encodes it.
        let none = CLIPError.unreadableImage(path: "", reason: "it is not an image")
        return switch request.kind {
        case .image where bytes.isEmpty:
            DecodedInput(.failure(none), learned: .refused("the image is empty"))
        case .image: DecodedInput(image(bytes), learned: .image)
        case .text: DecodedInput(.failure(none), learned: tokens(bytes))
        }
    }

    private func image(_ bytes: [UInt8]) -> Result<RGBImage, CLIPError> {
        guard bytes.count <= decoding.memoryLimit else {
            return .failure(
                .imageFileNeedsMemory(
                    path: "the image", bytes: bytes.count, memoryLimit: decoding.memoryLimit))
        }
        return Result { () throws(CLIPError) in try RGBImage(decoding: bytes, options: decoding) }
    }

    private func tokens(_ bytes: [UInt8]) -> Decoded {
        if let place = bytes.firstIndex(of: 0) {
            return .refused("the text has a NUL character at byte \(place)")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            return .refused("the text is not UTF-8")
        }
        do throws(CLIPError) {
            return .tokens(
                try model.tokenizer.tokenize(
                    text, contextLength: model.configuration.text.contextLength,
                    truncating: truncatesTexts))
        } catch {
            return .refused(describe(error))
        }
    }

    /// Returns the bytes that an even number of hexadecimal digits stand for.
    private static func bytes(ofHexadecimal digits: String) -> [UInt8] {
        let values = digits.utf8.compactMap(hexadecimalValue)
        return stride(from: 0, to: values.count - 1, by: 2).map { values[$0] << 4 | values[$0 + 1] }
    }
}
