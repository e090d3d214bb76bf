internal import Tensors

/// The image of an input, with a value that the caller learned while decoding it.
///
/// ```swift
/// let encodings = model.encodings(of: paths) { path in
///     let image = Result { () throws(CLIPError) in try RGBImage(contentsOfFile: path) }
///     let width = (try? image.get())?.width ?? 0
///     return DecodedInput(image, learned: width)
/// }
/// for encoded in encodings { print(encoded.input, encoded.learned) }
/// ```
public struct DecodedInput<Learned: Sendable>: Sendable {
    /// The image, or the error of decoding it.
    public var image: Result<RGBImage, CLIPError>
    /// A value of the caller's, such as a digest of the file, which is returned with the embedding.
    public var learned: Learned

    /// Makes the result of decoding an input.
    ///
    /// - Parameters:
    ///   - image: The image, or the error of decoding it.
    ///   - learned: A value of the caller's, which is returned with the embedding.
    public init(_ image: Result<RGBImage, CLIPError>, learned: Learned) {
        self.image = image
        self.learned = learned
    }
}

/// An input with its embedding, an element of ``Encodings`` and ``AsyncEncodings``.
///
/// ```swift
/// for encoded in model.encodings(of: paths, decode: { path throws(CLIPError) in
///     try RGBImage(contentsOfFile: path)
/// }) {
///     switch encoded.embedding {
///     case .success(let vector): print(encoded.input, vector.count)
///     case .failure(let error): print(encoded.input, error)
///     }
/// }
/// ```
public struct EncodedInput<Input: Sendable, Learned: Sendable>: Sendable {
    /// The input, an element of the sequence that is encoded.
    public let input: Input
    /// The value that `decode` returned beside the image.
    public let learned: Learned
    /// The embedding, not normalised, or the error of the input.
    ///
    /// After `CLIPError.nonFiniteResult`, which means that the weights are unusable, the sequence
    /// ends.
    public let embedding: Result<[Float], CLIPError>
}

extension CLIPModel {
    /// Returns the embeddings of any number of images as a sequence, in the order of the inputs.
    ///
    /// Threads of the model decode and encode ahead of the caller; a bounded number of inputs is in
    /// memory at once. The caller takes the embeddings on its own thread and stops by leaving the
    /// loop. The bits of an embedding do not depend on the other inputs.
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
    ///   - inputs: The inputs, such as paths. The thread that takes the embeddings reads them, some
    ///     inputs ahead.
    ///   - decode: A function that returns the image of an input. Several threads call it at once.
    /// - Returns: A sequence of inputs with their embeddings.
    public func encodings<Inputs: Sequence>(
        of inputs: Inputs,
        decode: @escaping @Sendable (Inputs.Element) throws(CLIPError) -> RGBImage
    ) -> Encodings<Inputs, Void> where Inputs.Element: Sendable {
        encodings(of: inputs, decode: Self.learningNothing(decode))
    }

    /// Returns the embeddings of images together with a value that `decode` returns for each.
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

    /// Encodes the images of files and passes each embedding to a function.
    ///
    /// - Parameters:
    ///   - files: The paths of the files.
    ///   - options: The limits and choices of decoding.
    ///   - receive: A function that takes the embedding of each file, or the error of reading it, in
    ///     the order of the files. It is called on the calling thread.
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
    /// True if the cause lies in the weights, so that other inputs would fail too.
    public var isOfWeights: Bool {
        if case .nonFiniteResult = self { true } else { false }
    }
}

/// The embeddings of a sequence of images, computed ahead of the caller that takes them.
///
/// ```swift
/// for encoded in model.encodings(of: paths, decode: { path throws(CLIPError) in
///     try RGBImage(contentsOfFile: path)
/// }) {
///     print(encoded.input, try encoded.embedding.get().count)
/// }
/// ```
///
/// `CLIPModel.encodings(of:decode:)` makes it and describes its behaviour.
public struct Encodings<Inputs: Sequence, Learned: Sendable>: Sequence
where Inputs.Element: Sendable {
    /// An input with its embedding.
    public typealias Element = EncodedInput<Inputs.Element, Learned>

    let model: CLIPModel
    let inputs: Inputs
    let decode: @Sendable (Inputs.Element) -> DecodedInput<Learned>

    /// Makes an iterator, which begins to encode at the first call of `next`.
    public func makeIterator() -> Iterator {
        Iterator(inputs.makeIterator(), EncodingStream(.init(model), decode))
    }

    /// An iterator over the embeddings, in the order of the inputs.
    ///
    /// One thread at a time may use it.
    public struct Iterator: IteratorProtocol {
        private var inputs: Inputs.Iterator
        private let stream: EncodingStream<Inputs.Element, Learned>

        fileprivate init(
            _ inputs: Inputs.Iterator, _ stream: EncodingStream<Inputs.Element, Learned>
        ) {
            self.inputs = inputs
            self.stream = stream
        }

        /// Returns the next input with its embedding, or nil after the last one.
        public mutating func next() -> Element? { stream.next { inputs.next() } }
    }
}

/// The pipeline of a stream: inputs, the threads that encode them, and results in order.
///
/// One thread at a time may take the results.
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

    /// The entrance of a stream whose inputs another thread reads.
    struct Feeder: Sendable {
        let model: CLIPModel
        fileprivate let shared = Monitor(Shared())

        init(_ model: CLIPModel) { self.model = model }

        /// Puts an input in; blocks until there is room.
        ///
        /// - Returns: False if the stream takes no more inputs.
        func push(_ input: Input) -> Bool {
            let room = model.threads * model.imageBatchSize
            return shared.wait { shared in
                if shared.hasEnded { return false }
                // The results that a slow caller has not taken are limited too.
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

    /// The state that the threads share.
    fileprivate struct Shared {
        /// True if a `Feeder` puts the inputs in.
        ///
        /// Batches then need not be full, because the next input may take any time to come.
        var isFed = false
        /// The inputs that no thread has taken yet, the next first.
        var inputs: [Input] = []
        /// The number of inputs from a feeder whose results the caller has not taken.
        var ahead = 0
        var isAtEnd = false
        var isCancelled = false
        /// The number of batches that threads have taken.
        var taken = 0
        /// The number of batches whose results the caller has taken.
        var handed = 0
        var results: [Int: [EncodedInput<Input, Learned>]] = [:]
        /// The number of threads that have not ended.
        var threads = 0
        /// The batch that gave NaN or infinity, after which no batch is taken.
        var failed: FailedBatch<Input, Learned>?

        /// True if many results wait for a slow input or a slow caller.
        var isFarAhead: Bool { taken - handed > 256 }
        var hasEnded: Bool { isCancelled || failed != nil || isAtEnd && inputs.isEmpty }

        /// Takes the inputs of the next batch, or returns nil if there are too few yet.
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
        // A thread that still runs when the process ends may use memory that its libraries have
        // already freed.
        shared.withLock { $0.isCancelled = true }
        shared.wait { $0.threads == 0 ? () : nil }
    }

    /// Returns the next result; reads as many inputs as the threads need.
    func next(_ nextInput: () -> Input?) -> EncodedInput<Input, Learned>? {
        if phase == .notBegun { begin(nextInput) }
        while ready.isEmpty, phase == .running {
            feed(nextInput, upTo: model.threads * model.imageBatchSize)
            encodeMore()
        }
        return ready.popFirst()
    }

    /// Returns the next result of inputs from a feeder; waits for it.
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
        // A stream that got no thread encodes on the caller's.
        let isAlone = shared.withLock { $0.threads == 0 && !$0.isCancelled }
        let most = model.imageBatchSize
        if isAlone, let batch = shared.withLock({ $0.takeBatch(atMost: most, among: 1) }) {
            encode(batch)
        }
        takeResults()
    }

    /// Encodes all inputs at once if they are few; otherwise reads the first ones.
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

    /// Starts the threads of the stream, or as many as the system and other streams permit.
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

    /// Reads inputs until `count` of them wait for the threads.
    ///
    /// If inputs come more slowly than they are encoded, it returns earlier: when results are ready
    /// and one batch of inputs has been read.
    private func feed(_ nextInput: () -> Input?, upTo count: Int) {
        var read = 0
        func isWanted(_ shared: Shared) -> Bool {
            let hasResults = shared.results[shared.handed] != nil
            return !shared.isAtEnd && shared.failed == nil && shared.inputs.count < count
                && !(hasResults && read >= model.imageBatchSize)
        }
        while shared.withLock({ isWanted($0) }) {
            // Without the lock, since this may read a folder or wait for a pipe.
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

    /// Waits until the next batch has results or there is room for more inputs.
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
