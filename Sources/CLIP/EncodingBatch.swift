internal import ImageCodecs
internal import Synchronization
internal import Tensors

/// The pixels that led to NaN or infinity, and the first input that they are of.
struct FailedBatch<Input: Sendable, Learned: Sendable>: Error {
    let pixels: [Float]
    let input: Input
    let learned: Learned
}

extension CLIPModel {
    /// The number of images that one thread encodes at once.
    var imageBatchSize: Int { visual.value.batchSize }

    /// Decodes and encodes some inputs on the threads of a workspace.
    func encode<Input: Sendable, Learned: Sendable>(
        _ inputs: [Input], _ decode: (Input) -> DecodedInput<Learned>, _ workspace: Workspace
    ) -> Result<[EncodedInput<Input, Learned>], FailedBatch<Input, Learned>> {
        var pixels: [Float] = []
        var results = inputs.map { input in
            // The image is gone when this returns; until then its memory counts.
            ImageMemory.whileHolding {
                let decoded = decode(input)
                return EncodedInput(
                    input: input, learned: decoded.learned,
                    embedding: decoded.image.map { image -> [Float] in
                        pixels += preprocessor(image)
                        return []
                    })
            }
        }
        let places = results.indices.filter { (try? results[$0].embedding.get()) != nil }
        guard let first = places.first else { return .success(results) }
        let y = visual.value(
            pixels[...], batch: places.count, workspace: workspace, observer: nil)
        guard y.isFinite else {
            return .failure(
                FailedBatch(
                    pixels: pixels, input: results[first].input, learned: results[first].learned))
        }
        let rows = Embeddings(rows: y.values, dimension: y.columns)
        for (row, place) in places.enumerated() {
            results[place] = EncodedInput(
                input: results[place].input, learned: results[place].learned,
                embedding: .success(rows[row]))
        }
        return .success(results)
    }

    /// Encodes inputs that are too few to keep every thread busy with its own: threads share them.
    func encodeTogether<Input: Sendable, Learned: Sendable>(
        _ inputs: [Input], _ decode: @Sendable (Input) -> DecodedInput<Learned>
    ) -> [EncodedInput<Input, Learned>] {
        typealias Outcome = Result<[EncodedInput<Input, Learned>], FailedBatch<Input, Learned>>
        let groups = EncodingGroups(
            count: inputs.count, threads: threads, largest: imageBatchSize)
        let outcomes = Mutex<[Int: Outcome]>([:])
        workspaces.inParallel(groups.separate) { index, workspace in
            let outcome = encode(Array(inputs[groups.ranges[index]]), decode, workspace)
            outcomes.withLock { $0[index] = outcome }
        }
        for (index, range) in groups.ranges.enumerated().dropFirst(groups.separate) {
            let outcome = workspaces.withWorkspace { encode(Array(inputs[range]), decode, $0) }
            outcomes.withLock { $0[index] = outcome }
        }
        var results: [EncodedInput<Input, Learned>] = []
        let found = outcomes.withLock { $0 }
        for index in groups.ranges.indices {
            switch found[index] {
            case .success(let group): results += group
            case .failure(let batch): return results + [failure(of: batch)]
            case nil: preconditionFailure("group \(index) of \(groups.ranges.count) is missing")
            }
        }
        return results
    }

    /// The element that ends a sequence whose weights produce NaN or infinity.
    func failure<Input, Learned>(
        of batch: FailedBatch<Input, Learned>
    ) -> EncodedInput<Input, Learned> {
        let size = 3 * configuration.resolution * configuration.resolution
        let stage = firstNonFiniteStage { workspace, observer in
            visual.value(
                batch.pixels[...], batch: batch.pixels.count / size, workspace: workspace,
                observer: observer)
        }
        return EncodedInput(
            input: batch.input, learned: batch.learned,
            embedding: .failure(.nonFiniteResult(path: weights.path, stage: stage)))
    }
}
