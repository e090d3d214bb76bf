internal import Tensors

/// A pipeline that encodes a stream of inputs on several threads and returns the results in order.
///
/// Only one thread at a time may call `next`.
package final class EncodingStream<Input: Sendable, Learned: Sendable> {
    private let pipeline: Pipeline
    private var model: CLIPModel { pipeline.model }
    private var shared: Monitor<Shared> { pipeline.shared }
    /// The next results to return, in order.
    private var ready: ArraySlice<EncodedInput<Input, Learned>> = []
    private var phase = Phase.notBegun

    private enum Phase { case notBegun, running, isOver }
    private enum Outcome {
        case results([EncodedInput<Input, Learned>]), failed(FailedBatch<Input, Learned>)
        /// No results are ready. The caller should read more inputs or, if no thread is running,
        /// encode a batch itself.
        case hungry
        case isOver
    }

    /// A handle with which another thread adds inputs to a stream.
    package struct Feeder: Sendable {
        fileprivate let pipeline: Pipeline

        package init(
            _ model: CLIPModel, _ decode: @escaping @Sendable (Input) -> DecodedInput<Learned>
        ) {
            pipeline = Pipeline(model: model, decode: decode, shared: Monitor(Shared(isFed: true)))
        }

        /// Appends an input to the stream; blocks while the stream holds too many inputs.
        ///
        /// It also starts an encoding thread, if the model may use several and not all are running.
        ///
        /// - Returns: False if the stream is cancelled or has failed; the input is then dropped.
        package func push(_ input: Input) -> Bool {
            let threads = pipeline.model.threads
            let room = pipeline.model.imagesOfAllThreads
            let (isTaken, startsThread) = pipeline.shared.wait { shared -> (Bool, Bool)? in
                if shared.hasEnded { return (false, false) }
                // The results that a slow caller has not taken are limited too.
                guard shared.inputs.count < room, shared.ahead < 8 * room else { return nil }
                shared.inputs.append(input)
                shared.ahead += 1
                guard threads > 1, shared.threads < threads else { return (true, false) }
                // Counted together with the input, so that `startWorkers` does not start another
                // thread for it.
                shared.threads += 1
                return (true, true)
            }
            // If no thread can be started, a running one encodes the input, or else the thread
            // that calls `next`.
            if startsThread { pipeline.startCountedThread() }
            return isTaken
        }

        /// Marks the end of the inputs.
        package func finish() { pipeline.shared.withLock { $0.isAtEnd = true } }

        /// Cancels the stream: its threads end after their current batches.
        package func cancel() { pipeline.shared.withLock { $0.isCancelled = true } }
    }

    /// The state that the threads share.
    fileprivate struct Shared {
        /// True if a `Feeder` adds the inputs.
        ///
        /// The next input may then arrive at any time: batches need not be full, and a thread ends
        /// when no input waits.
        let isFed: Bool
        /// The inputs that no thread has taken yet, in order.
        var inputs: [Input] = []
        /// The number of a feeder's inputs whose results have not been passed on to the caller of
        /// `next`; meaningless without a feeder.
        var ahead = 0
        var isAtEnd = false
        var isCancelled = false
        /// The number of batches that threads have taken, which is the index of the next batch.
        var taken = 0
        /// The number of batches whose results have been passed on to the caller of `next`.
        var handed = 0
        /// The results that have not been passed on yet, by the index of their batch.
        var results: [Int: [EncodedInput<Input, Learned>]] = [:]
        /// The number of encoding threads: those that will look for another batch before they end,
        /// and those about to be started.
        var threads = 0
        /// A batch whose embeddings contain NaN or infinity; the encoding threads take no batch
        /// after it.
        var failed: FailedBatch<Input, Learned>?

        /// True if more than 256 batches have been taken but not passed on, because one input or
        /// the caller is slow.
        var isFarAhead: Bool { taken - handed > 256 }
        var hasFailed: Bool { isCancelled || failed != nil }
        var hasEnded: Bool { hasFailed || isAtEnd && inputs.isEmpty }

        /// Returns the results of the next batch, and counts them as passed on; nil if they are not
        /// complete.
        mutating func takeResults() -> [EncodedInput<Input, Learned>]? {
            guard let found = results.removeValue(forKey: handed) else { return nil }
            handed += 1
            ahead -= found.count
            return found
        }

        /// Takes the next batch of inputs from the queue.
        ///
        /// - Parameters:
        ///   - most: The number of inputs in a full batch.
        ///   - threads: The number of threads that share the last inputs, or those of a feeder.
        /// - Returns: The index of the batch and its inputs; nil if there are too few inputs yet,
        ///   or too many results have not been passed on.
        mutating func takeBatch(atMost most: Int, among threads: Int) -> (Int, [Input])? {
            let isPartial = isAtEnd || isFed
            guard isFed || !isFarAhead, isPartial || inputs.count >= most, !inputs.isEmpty else {
                return nil
            }
            // The last inputs, and those of a feeder, are divided among the threads.
            let share = isPartial ? (inputs.count + threads - 1) / threads : most
            let batch = Array(inputs.prefix(min(most, share)))
            inputs.removeFirst(batch.count)
            taken += 1
            return (taken - 1, batch)
        }
    }

    /// The part of a stream that its encoding threads use: the model, the decoder and the queue.
    fileprivate struct Pipeline: Sendable {
        let model: CLIPModel
        let decode: @Sendable (Input) -> DecodedInput<Learned>
        let shared: Monitor<Shared>

        func startThread() -> Bool {
            shared.withLock { $0.threads += 1 }
            return startCountedThread()
        }

        /// Starts an encoding thread that `Shared.threads` already counts.
        ///
        /// - Returns: False if the system or the threads of other streams do not permit it; the
        ///   thread is then no longer counted.
        @discardableResult
        func startCountedThread() -> Bool {
            let isStarted = EncodingWorkers.start(atMost: model.threads) {
                while let batch = takeBatch() { encode(batch) }
            }
            if !isStarted { shared.withLock { $0.threads -= 1 } }
            return isStarted
        }

        /// Waits for a batch, and returns its index and inputs.
        ///
        /// Returns nil if the calling thread must end: because the stream has ended, or because a
        /// feeder adds the inputs and none waits.
        private func takeBatch() -> (Int, [Input])? {
            shared.wait { shared -> (Int, [Input])?? in
                if !shared.hasEnded {
                    let batch = shared.takeBatch(
                        atMost: model.imageBatchSize, among: model.threads)
                    if let batch { return batch }
                    guard shared.isFed else { return nil }
                }
                // With the lock still held, so that whoever adds the next input sees that this
                // thread does not take it, and may start another.
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

    /// Makes a stream that reads its inputs in `next(_:)`.
    init(_ model: CLIPModel, _ decode: @escaping @Sendable (Input) -> DecodedInput<Learned>) {
        pipeline = Pipeline(model: model, decode: decode, shared: Monitor(Shared(isFed: false)))
    }

    /// Makes a stream of the inputs that a feeder adds.
    package init(_ feeder: Feeder) { pipeline = feeder.pipeline }

    deinit {
        // A thread that still runs when the process ends may use memory that its libraries have
        // already freed.
        shared.withLock { $0.isCancelled = true }
        shared.wait { $0.threads == 0 ? () : nil }
    }

    /// Returns the next result, or nil after the last one; reads inputs ahead for the threads.
    func next(_ nextInput: () -> Input?) -> EncodedInput<Input, Learned>? {
        if phase == .notBegun { begin(nextInput) }
        while ready.isEmpty, phase == .running {
            feed(nextInput, upTo: model.imagesOfAllThreads)
            encodeMore()
        }
        return ready.popFirst()
    }

    /// Waits for the next result of a feeder's inputs, and returns it; nil after the last one.
    package func next() -> EncodedInput<Input, Learned>? {
        if phase == .notBegun { phase = .running }
        while ready.isEmpty, phase == .running { encodeMore() }
        return ready.popFirst()
    }

    /// Returns the next result if it is computed already; nil if it is not, or after the last one.
    package func nextIfReady() -> EncodedInput<Input, Learned>? {
        if ready.isEmpty, phase == .running {
            let results = shared.withLock { $0.hasFailed ? nil : $0.takeResults() }
            if let results { ready = results[...] }
        }
        return ready.popFirst()
    }

    private func encodeMore() {
        startWorkers()
        // If no thread could be started, the calling thread encodes.
        let isAlone = shared.withLock { $0.threads == 0 && !$0.isCancelled }
        let most = model.imageBatchSize
        if isAlone, let batch = shared.withLock({ $0.takeBatch(atMost: most, among: 1) }) {
            pipeline.encode(batch)
        }
        takeResults()
    }

    /// Reads the first inputs; if there are no more, and too few to fill a batch for each thread,
    /// encodes them at once.
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

    /// Starts encoding threads if none is running and the model may use several.
    ///
    /// With a feeder, it starts at most one for each waiting input, else as many as the model may
    /// use; fewer if the system or the threads of other streams do not permit more.
    private func startWorkers() {
        let all = model.threads
        let wanted = shared.withLock { shared in
            guard all > 1, shared.threads == 0, !shared.hasEnded else { return 0 }
            return shared.isFed ? min(all, shared.inputs.count) : all
        }
        for _ in 0..<wanted where !pipeline.startThread() { break }
    }

    /// Reads inputs until `count` of them wait for the threads, or until the last one.
    ///
    /// If inputs arrive more slowly than they are encoded, it returns earlier: when results are
    /// ready and one batch of inputs has been read.
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

    /// Waits for the results of the next batch, which become `ready`.
    ///
    /// It returns earlier if there is room for more inputs, or if no thread is running to encode
    /// those that wait.
    private func takeResults() {
        let room = model.imagesOfAllThreads
        let outcome: Outcome = shared.wait { shared in
            if shared.isCancelled { return .isOver }
            if let failed = shared.failed { return .failed(failed) }
            if let results = shared.takeResults() { return .results(results) }
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
