internal import Tensors

/// The pipeline of a stream: inputs, the threads that encode them, and results in order.
///
/// One thread at a time may take the results.
final class EncodingStream<Input: Sendable, Learned: Sendable> {
    private let pipeline: Pipeline
    private var model: CLIPModel { pipeline.model }
    private var shared: Monitor<Shared> { pipeline.shared }
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
        fileprivate let pipeline: Pipeline

        init(_ model: CLIPModel, _ decode: @escaping @Sendable (Input) -> DecodedInput<Learned>) {
            pipeline = Pipeline(model: model, decode: decode, shared: Monitor(Shared(isFed: true)))
        }

        /// Puts an input in, and starts a thread for it if not all are running; blocks until there
        /// is room.
        ///
        /// - Returns: False if the stream takes no more inputs.
        func push(_ input: Input) -> Bool {
            let threads = pipeline.model.threads
            let room = pipeline.model.imagesOfAllThreads
            let (isTaken, startsThread) = pipeline.shared.wait { shared -> (Bool, Bool)? in
                if shared.hasEnded { return (false, false) }
                // The results that a slow caller has not taken are limited too.
                guard shared.inputs.count < room, shared.ahead < 8 * room else { return nil }
                shared.inputs.append(input)
                shared.ahead += 1
                guard threads > 1, shared.threads < threads else { return (true, false) }
                // Counted together with the input, so that nobody else starts a thread for it.
                shared.threads += 1
                return (true, true)
            }
            // If no thread is granted, the others take the input, or else the caller.
            if startsThread { pipeline.startCountedThread() }
            return isTaken
        }

        /// Marks the last input.
        func finish() { pipeline.shared.withLock { $0.isAtEnd = true } }

        /// Ends the stream at the next opportunity.
        func cancel() { pipeline.shared.withLock { $0.isCancelled = true } }
    }

    /// The state that the threads share.
    fileprivate struct Shared {
        /// True if a `Feeder` puts the inputs in.
        ///
        /// The next input may then take any time to come: batches need not be full, and a thread
        /// ends when no input waits.
        let isFed: Bool
        /// The inputs that no thread has taken yet, the next first.
        var inputs: [Input] = []
        /// The number of inputs from a feeder whose results the caller has not taken; it has no
        /// meaning without a feeder.
        var ahead = 0
        var isAtEnd = false
        var isCancelled = false
        /// The number of batches that threads have taken.
        var taken = 0
        /// The number of batches whose results the caller has taken.
        var handed = 0
        var results: [Int: [EncodedInput<Input, Learned>]] = [:]
        /// The number of threads that will look for another batch before they end, those about to
        /// be started included.
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

    /// The threads of a stream, and what they need.
    fileprivate struct Pipeline: Sendable {
        let model: CLIPModel
        let decode: @Sendable (Input) -> DecodedInput<Learned>
        let shared: Monitor<Shared>

        func startThread() -> Bool {
            shared.withLock { $0.threads += 1 }
            return startCountedThread()
        }

        /// Starts a thread that is already counted, if the system and other streams permit it.
        @discardableResult
        func startCountedThread() -> Bool {
            let isStarted = EncodingWorkers.start(atMost: model.threads) {
                while let batch = takeBatch() { encode(batch) }
            }
            if !isStarted { shared.withLock { $0.threads -= 1 } }
            return isStarted
        }

        /// Waits for the next batch of a thread; returns nil if the thread shall end.
        private func takeBatch() -> (Int, [Input])? {
            shared.wait { shared -> (Int, [Input])?? in
                if !shared.hasEnded {
                    let batch = shared.takeBatch(
                        atMost: model.imageBatchSize, among: model.threads)
                    if let batch { return batch }
                    guard shared.isFed else { return nil }
                }
                // With the lock still held: whoever puts in the next input knows that this thread
                // does not take it, and may start another in its place.
                EncodingWorkers.endOne()
                shared.threads -= 1
                return .some(nil)
            }
        }

        func encode(_ batch: (Int, [Input])) {
            let outcome = model.workspaces.withOneThread {
                model.encodeBatch(batch.1, decode, $0)
            }
            shared.withLock { shared in
                switch outcome {
                case .success(let results): shared.results[batch.0] = results
                case .failure(let failed): shared.failed = failed
                }
            }
        }
    }

    /// Makes a stream whose inputs `next(_:)` reads.
    init(_ model: CLIPModel, _ decode: @escaping @Sendable (Input) -> DecodedInput<Learned>) {
        pipeline = Pipeline(model: model, decode: decode, shared: Monitor(Shared(isFed: false)))
    }

    /// Makes a stream of the inputs of a feeder.
    init(_ feeder: Feeder) { pipeline = feeder.pipeline }

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
            feed(nextInput, upTo: model.imagesOfAllThreads)
            encodeMore()
        }
        return ready.popFirst()
    }

    /// Returns the next result of inputs from a feeder; waits for it.
    func next() -> EncodedInput<Input, Learned>? {
        if phase == .notBegun { phase = .running }
        while ready.isEmpty, phase == .running { encodeMore() }
        return ready.popFirst()
    }

    private func encodeMore() {
        startWorkers()
        // A stream that got no thread encodes on the caller's.
        let isAlone = shared.withLock { $0.threads == 0 && !$0.isCancelled }
        let most = model.imageBatchSize
        if isAlone, let batch = shared.withLock({ $0.takeBatch(atMost: most, among: 1) }) {
            pipeline.encode(batch)
        }
        takeResults()
    }

    /// Encodes all inputs at once if they are few; otherwise reads the first ones.
    private func begin(_ nextInput: () -> Input?) {
        phase = .running
        let enough = model.imagesOfAllThreads
        feed(nextInput, upTo: enough)
        let few = shared.withLock { shared in
            shared.isAtEnd && shared.inputs.count < enough ? shared.inputs : nil
        }
        if let few {
            phase = .isOver
            ready = model.encodeTogether(few, pipeline.decode)[...]
        }
    }

    /// Starts threads if the stream has none: as many as it can use, and as the system and other
    /// streams permit.
    private func startWorkers() {
        let all = model.threads
        let wanted = shared.withLock { shared in
            guard all > 1, shared.threads == 0, !shared.hasEnded else { return 0 }
            return shared.isFed ? min(all, shared.inputs.count) : all
        }
        for _ in 0..<wanted where !pipeline.startThread() { break }
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

    /// Waits until the next batch has results or there is room for more inputs.
    private func takeResults() {
        let room = model.imagesOfAllThreads
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
