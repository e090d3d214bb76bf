internal import ImageCodecs
internal import Synchronization
internal import Tensors

extension CLIPModel {
    /// The embeddings of pictures that come one after the other, however many: not normalised.
    ///
    /// Each of the model's threads takes some inputs at a time, decodes, preprocesses and encodes them, so that
    /// no more pictures than that are in memory. A vector has the same bits whatever is encoded beside it.
    ///
    /// - Parameters:
    ///   - next: the next input, nil when there are no more; called by one thread at a time.
    ///   - picture: the picture of an input; called by any thread, by several at once.
    ///   - receive: takes each input with its vector, or with why it has none, in the order of the inputs;
    ///     called by one thread at a time, which need not be the caller's.
    /// - Throws: `CLIPError.nonFiniteResult` if the weights make no number.
    public func encode<Input: Sendable>(
        inputs next: () -> Input?, picture: (Input) throws(CLIPError) -> RGBImage,
        receive: (Input, Result<[Float], CLIPError>) -> Void
    ) throws(CLIPError) {
        let encoder = visual.value
        // What would not keep every thread busy is shared by all of them.
        let enough = threads * encoder.batchSize
        var first: [Input] = []
        while first.count < enough, let input = next() { first.append(input) }
        let stream = Mutex(PictureStream<Input>(first: first))

        func run(_ workspace: Workspace, atMost count: Int) -> Bool {
            // One picture that takes long must not let results pile up behind it.
            while stream.withLock({ $0.isFarAhead }) { pauseBriefly() }
            let (number, inputs) = stream.withLock { $0.take(count, next) }
            guard !inputs.isEmpty else { return false }
            var pixels: [Float] = []
            var results = inputs.map { input -> (Input, Result<[Float], CLIPError>) in
                do throws(CLIPError) {
                    // The image is gone when this returns; until then its memory counts.
                    pixels += try ImageMemory.whileHolding { () throws(CLIPError) in
                        preprocessor(try picture(input))
                    }
                    return (input, .success([]))
                } catch {
                    return (input, .failure(error))
                }
            }
            let places = results.indices.filter { (try? results[$0].1.get()) != nil }
            if !places.isEmpty {
                let y = encoder(
                    pixels[...], batch: places.count, workspace: workspace, observer: nil)
                guard y.isFinite else {
                    stream.withLock { $0.failed = pixels }
                    return false
                }
                let rows = Embeddings(values: y.values, dimension: y.columns)
                for (row, place) in places.enumerated() { results[place].1 = .success(rows[row]) }
            }
            stream.withLock { $0.hand(number, results, to: receive) }
            return true
        }
        if first.count < enough {
            let groups = EncodingGroups(
                count: first.count, threads: threads, largest: encoder.batchSize)
            workspaces.inParallel(groups.separate) { index, workspace in
                _ = run(workspace, atMost: groups.ranges[index].count)
            }
            for range in groups.ranges[groups.separate...] {
                workspaces.withWorkspace { _ = run($0, atMost: range.count) }
            }
        } else {
            workspaces.onThreads { workspace in
                while run(workspace, atMost: encoder.batchSize) {}
            }
        }
        if let pixels = stream.withLock({ $0.failed }) {
            let size = 3 * configuration.resolution * configuration.resolution
            throw .nonFiniteResult(
                path: weights.path,
                stage: firstNonFiniteStage { workspace, observer in
                    encoder(
                        pixels[...], batch: pixels.count / size, workspace: workspace,
                        observer: observer)
                })
        }
    }

    /// The embeddings of pictures in files, as above.
    ///
    /// - Parameter receive: takes the vector of each file, or why it could not be read, in the order of the
    ///   files.
    public func encode(
        files: [String], options: RGBImage.DecodingOptions = .init(),
        receive: (_ index: Int, _ result: Result<[Float], CLIPError>) -> Void
    ) throws(CLIPError) {
        var indices = files.indices.makeIterator()
        try encode(
            inputs: { indices.next() },
            picture: { index throws(CLIPError) in
                try RGBImage(contentsOfFile: files[index], options: options)
            }, receive: receive)
    }
}

/// Inputs on their way through the threads, and what waits to be handed over in their order.
private struct PictureStream<Input: Sendable>: Sendable {
    private var first: ArraySlice<Input>
    private var taken = 0
    private var handed = 0
    private var waiting: [Int: [(Input, Result<[Float], CLIPError>)]] = [:]
    private var isAtEnd = false
    /// The pixels of what made no number, after which nothing is taken.
    var failed: [Float]?

    /// Whether very much is done that waits for something before it.
    var isFarAhead: Bool { taken - handed > 256 && failed == nil }

    init(first: [Input]) { self.first = first[...] }

    /// The next inputs, and which number they have; none at the end.
    mutating func take(_ count: Int, _ next: () -> Input?) -> (number: Int, inputs: [Input]) {
        var inputs: [Input] = []
        while inputs.count < count, failed == nil, !isAtEnd {
            if let input = first.popFirst() ?? next() {
                inputs.append(input)
            } else {
                isAtEnd = true
            }
        }
        if first.isEmpty { first = [] }  // lets go of what it was cut from
        taken += 1
        return (taken - 1, inputs)
    }

    /// Hands results over once all before them are there.
    mutating func hand(
        _ number: Int, _ results: [(Input, Result<[Float], CLIPError>)],
        to receive: (Input, Result<[Float], CLIPError>) -> Void
    ) {
        waiting[number] = results
        while let results = waiting.removeValue(forKey: handed) {
            for (input, result) in results { receive(input, result) }
            handed += 1
        }
    }
}
