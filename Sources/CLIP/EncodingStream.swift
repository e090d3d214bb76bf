internal import Tensors

/// The image of an input, and everything else that was learned while it was decoded.
public struct DecodedInput<Learned: Sendable>: Sendable {
    /// The image, or the reason why there is none.
    public var image: Result<RGBImage, CLIPError>
    /// A value of the caller's, such as a digest of the file; it is handed back with the embedding.
    public var learned: Learned

    /// - Parameters:
    ///   - image: The image, or the reason why there is none.
    ///   - learned: A value of the caller's.
    public init(_ image: Result<RGBImage, CLIPError>, learned: Learned) {
        self.image = image
        self.learned = learned
    }
}

/// An input with its embedding.
public struct EncodedInput<Input: Sendable, Learned: Sendable>: Sendable {
    /// The input, as it was handed in.
    public let input: Input
    /// The value that `decode` returned beside the image.
    public let learned: Learned
    /// The embedding, not normalised, or the reason why there is none. `CLIPError.nonFiniteResult`
    /// is the last element of a sequence: the weights are unusable.
    public let embedding: Result<[Float], CLIPError>
}

extension CLIPModel {
    /// Encodes any number of images, and returns their embeddings in the order of the inputs.
    ///
    /// Threads of the model decode and encode ahead of the caller; a bounded number of inputs is in
    /// memory at once. The caller takes the embeddings on its own thread and stops by leaving the
    /// loop. A vector has the same bits whatever is encoded beside it.
    ///
    /// ```swift
    /// for encoded in model.encodings(of: paths, decode: { path throws(CLIPError) in
    ///     try RGBImage(contentsOfFile: path)
    /// }) {
    ///     print(encoded.input, try encoded.embedding.get().count)
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - inputs: Read by the thread that takes the embeddings, some inputs ahead.
    ///   - decode: Returns the image of an input. Called by any thread, by several at once.
    public func encodings<Inputs: Sequence>(
        of inputs: Inputs,
        decode: @escaping @Sendable (Inputs.Element) throws(CLIPError) -> RGBImage
    ) -> Encodings<Inputs, Void> where Inputs.Element: Sendable {
        encodings(of: inputs, decode: Self.learningNothing(decode))
    }

    /// The same for a `decode` that returns a value of its own beside each image.
    public func encodings<Inputs: Sequence, Learned: Sendable>(
        of inputs: Inputs,
        decode: @escaping @Sendable (Inputs.Element) -> DecodedInput<Learned>
    ) -> Encodings<Inputs, Learned> where Inputs.Element: Sendable {
        Encodings(model: self, inputs: inputs, decode: decode)
    }

    static func learningNothing<Input>(
        _ decode: @escaping @Sendable (Input) throws(CLIPError) -> RGBImage
    ) -> @Sendable (Input) -> DecodedInput<Void> {
        { input in
            do throws(CLIPError) {
                return DecodedInput(.success(try decode(input)), learned: ())
            } catch {
                return DecodedInput(.failure(error), learned: ())
            }
        }
    }

    /// Encodes images in files.
    ///
    /// - Parameter receive: Takes the embedding of each file, or the reason why it could not be
    ///   read, in the order of the files. Called by the calling thread.
    /// - Throws: `CLIPError.nonFiniteResult` if the weights produce NaN or infinity.
    public func encode(
        files: [String], options: RGBImage.DecodingOptions = .init(),
        receive: (_ index: Int, _ result: Result<[Float], CLIPError>) -> Void
    ) throws(CLIPError) {
        for encoded in encodings(
            of: files.indices,
            decode: { index throws(CLIPError) in
                try RGBImage(contentsOfFile: files[index], options: options)
            })
        {
            if case .failure(let error) = encoded.embedding, error.isOfWeights { throw error }
            receive(encoded.input, encoded.embedding)
        }
    }
}

extension CLIPError {
    /// True if the weights are at fault, so that no other input can be encoded either.
    public var isOfWeights: Bool {
        if case .nonFiniteResult = self { true } else { false }
    }
}

/// The embeddings of a sequence of inputs, in order; see `CLIPModel.encodings(of:decode:)`.
public struct Encodings<Inputs: Sequence, Learned: Sendable>: Sequence
where Inputs.Element: Sendable {
    /// An input with its embedding.
    public typealias Element = EncodedInput<Inputs.Element, Learned>

    let model: CLIPModel
    let inputs: Inputs
    let decode: @Sendable (Inputs.Element) -> DecodedInput<Learned>

    /// Begins to encode at the first call of `next`.
    public func makeIterator() -> Iterator {
        Iterator(inputs.makeIterator(), EncodingStream(.init(model), decode))
    }

    /// The embeddings one after the other. For one thread at a time.
    public struct Iterator: IteratorProtocol {
        private var inputs: Inputs.Iterator
        private let stream: EncodingStream<Inputs.Element, Learned>

        fileprivate init(
            _ inputs: Inputs.Iterator, _ stream: EncodingStream<Inputs.Element, Learned>
        ) {
            self.inputs = inputs
            self.stream = stream
        }

        /// The next input with its embedding; nil after the last one.
        public mutating func next() -> Element? { stream.next { inputs.next() } }
    }
}

/// Inputs on their way through the threads, and the results that wait to be taken in order.
///
/// For one thread at a time, which takes the results.
final class EncodingStream<Input: Sendable, Learned: Sendable> {
    private let model: CLIPModel
    private let decode: @Sendable (Input) -> DecodedInput<Learned>
    private let shared: Monitor<Shared>
    /// The next results to return, in order.
    private var ready: ArraySlice<EncodedInput<Input, Learned>> = []
    private var phase = Phase.notBegun

    private enum Phase { case notBegun, running, isOver }
    private enum Outcome {
        case results([EncodedInput<Input, Learned>]), failed(FailedBatch<Input, Learned>)
        /// There is room for more inputs.
        case hungry
        case isOver
    }

    /// Hands the inputs to a stream from a thread of its own; the stream then reads none itself.
    struct Feeder: Sendable {
        let model: CLIPModel
        fileprivate let shared = Monitor(Shared())

        init(_ model: CLIPModel) { self.model = model }

        /// Hands an input in, for which it waits until there is room.
        ///
        /// - Returns: false if the stream takes no more.
        func push(_ input: Input) -> Bool {
            let room = model.threads * model.imageBatchSize
            return shared.wait { shared in
                if shared.hasEnded { return false }
                // A slow caller is no reason to keep any number of results.
                guard shared.inputs.count < room, shared.ahead < 8 * room else { return nil }
                shared.inputs.append(input)
                shared.ahead += 1
                return true
            }
        }

        /// Marks the last input.
        func finish() { shared.withLock { $0.isAtEnd = true } }

        /// Ends the stream at the next opportunity.
        func cancel() { shared.withLock { $0.isCancelled = true } }
    }

    /// The part of the state that the threads share.
    fileprivate struct Shared {
        /// True if a `Feeder` hands the inputs in. They are then taken as they come, and not in full
        /// batches, because nobody knows how long the next ones take.
        var isFed = false
        /// Inputs that no thread has taken yet, the next first.
        var inputs: [Input] = []
        /// The number of inputs from a feeder whose results have not been taken by the caller.
        var ahead = 0
        var isAtEnd = false
        var isCancelled = false
        /// The numbers of batches: taken by a thread, and taken by the caller.
        var taken = 0
        var handed = 0
        var results: [Int: [EncodedInput<Input, Learned>]] = [:]
        /// Threads that have not ended.
        var threads = 0
        /// The batch that led to NaN or infinity, after which nothing is taken.
        var failed: FailedBatch<Input, Learned>?

        /// True if results pile up behind an input that takes long, or behind a slow caller.
        var isFarAhead: Bool { taken - handed > 256 }
        var hasEnded: Bool { isCancelled || failed != nil || isAtEnd && inputs.isEmpty }

        /// Takes the inputs of the next batch; none if there are too few yet.
        mutating func takeBatch(atMost most: Int, among threads: Int) -> (Int, [Input])? {
            let isPartial = isAtEnd || isFed
            guard isFed || !isFarAhead, isPartial || inputs.count >= most, !inputs.isEmpty else {
                return nil
            }
            // The last inputs are divided among the threads.
            let share = isPartial ? (inputs.count + threads - 1) / threads : most
            let batch = Array(inputs.prefix(min(most, share)))
            inputs.removeFirst(batch.count)
            taken += 1
            return (taken - 1, batch)
        }
    }

    init(_ feeder: Feeder, _ decode: @escaping @Sendable (Input) -> DecodedInput<Learned>) {
        model = feeder.model
        shared = feeder.shared
        self.decode = decode
    }

    deinit {
        // Threads that still run when a process ends may use what its libraries have freed by then.
        shared.withLock { $0.isCancelled = true }
        shared.wait { $0.threads == 0 ? () : nil }
    }

    /// Returns the next result, for which it reads as many inputs as keep the threads busy.
    func next(_ nextInput: () -> Input?) -> EncodedInput<Input, Learned>? {
        if phase == .notBegun { begin(nextInput) }
        while ready.isEmpty, phase == .running {
            feed(nextInput, upTo: model.threads * model.imageBatchSize)
            encodeMore()
        }
        return ready.popFirst()
    }

    /// Returns the next result of inputs that the feeder hands in; waits for it.
    func next() -> EncodedInput<Input, Learned>? {
        if phase == .notBegun {
            phase = .running
            shared.withLock { $0.isFed = true }
        }
        while ready.isEmpty, phase == .running { encodeMore() }
        return ready.popFirst()
    }

    private func encodeMore() {
        if shared.withLock({ $0.threads == 0 }) { startWorkers() }
        // Without a thread of its own, the stream encodes on the caller's.
        let isAlone = shared.withLock { $0.threads == 0 && !$0.isCancelled }
        let most = model.imageBatchSize
        if isAlone, let batch = shared.withLock({ $0.takeBatch(atMost: most, among: 1) }) {
            encode(batch)
        }
        takeResults()
    }

    /// Encodes few inputs on all threads together, or starts the threads for many.
    private func begin(_ nextInput: () -> Input?) {
        phase = .running
        let enough = model.threads * model.imageBatchSize
        feed(nextInput, upTo: enough)
        let few = shared.withLock { shared in
            shared.isAtEnd && shared.inputs.count < enough ? shared.inputs : nil
        }
        if let few {
            phase = .isOver
            ready = model.encodeTogether(few, decode)[...]
        }
    }

    /// Starts the threads of the stream, fewer if the system or other streams leave fewer.
    private func startWorkers() {
        guard model.threads > 1, !shared.withLock({ $0.hasEnded }) else { return }
        for _ in 0..<model.threads where !startWorker() { break }
    }

    private func startWorker() -> Bool {
        shared.withLock { $0.threads += 1 }
        let (model, decode, shared) = (model, decode, shared)
        let isStarted = EncodingWorkers.start(atMost: model.threads) {
            while let batch = Self.takeBatch(model, shared) {
                Self.encode(batch, model, decode, shared)
            }
        } whenEnded: {
            shared.withLock { $0.threads -= 1 }
        }
        if !isStarted { shared.withLock { $0.threads -= 1 } }
        return isStarted
    }

    private static func takeBatch(
        _ model: CLIPModel, _ shared: Monitor<Shared>
    ) -> (Int, [Input])? {
        shared.wait { shared -> (Int, [Input])?? in
            if shared.hasEnded { return .some(nil) }
            let batch = shared.takeBatch(atMost: model.imageBatchSize, among: model.threads)
            return batch.map { .some($0) }
        }
    }

    /// Reads inputs until so many wait for the threads.
    ///
    /// Returns earlier if the inputs come more slowly than they are encoded: at the latest one
    /// batch of inputs after the next results are ready.
    private func feed(_ nextInput: () -> Input?, upTo count: Int) {
        var read = 0
        func isWanted(_ shared: Shared) -> Bool {
            let hasResults = shared.results[shared.handed] != nil
            return !shared.isAtEnd && shared.failed == nil && shared.inputs.count < count
                && !(hasResults && read >= model.imageBatchSize)
        }
        while shared.withLock({ isWanted($0) }) {
            // Not under the lock: this may read a folder or wait for a pipe.
            let input = nextInput()
            read += 1
            shared.withLock { shared in
                if let input { shared.inputs.append(input) } else { shared.isAtEnd = true }
            }
        }
    }

    private func encode(_ batch: (Int, [Input])) {
        Self.encode(batch, model, decode, shared)
    }

    private static func encode(
        _ batch: (Int, [Input]), _ model: CLIPModel,
        _ decode: (Input) -> DecodedInput<Learned>, _ shared: Monitor<Shared>
    ) {
        let outcome = model.workspaces.withOneThread { model.encodeBatch(batch.1, decode, $0) }
        shared.withLock { shared in
            switch outcome {
            case .success(let results): shared.results[batch.0] = results
            case .failure(let failed): shared.failed = failed
            }
        }
    }

    /// Waits for the results of the next batch, or until there is room for more inputs.
    private func takeResults() {
        let room = model.threads * model.imageBatchSize
        let outcome: Outcome = shared.wait { shared in
            if shared.isCancelled { return .isOver }
            if let failed = shared.failed { return .failed(failed) }
            if let results = shared.results.removeValue(forKey: shared.handed) {
                shared.handed += 1
                shared.ahead -= results.count
                return .results(results)
            }
            if shared.isAtEnd {
                if shared.inputs.isEmpty && shared.handed == shared.taken { return .isOver }
                return shared.threads == 0 ? .hungry : nil
            }
            if shared.isFed { return shared.threads == 0 && !shared.inputs.isEmpty ? .hungry : nil }
            return shared.inputs.count < room || shared.threads == 0 ? .hungry : nil
        }
        switch outcome {
        case .results(let results): ready = results[...]
        case .hungry: break
        case .isOver: phase = .isOver
        case .failed(let batch):
            phase = .isOver
            ready = [batch.element]
        }
    }
}
