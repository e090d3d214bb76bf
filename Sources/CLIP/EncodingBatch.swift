internal import Images
internal import Tensors

/// The failure of a batch whose embeddings contain NaN or infinity.
struct FailedBatch<Input: Sendable, Learned: Sendable>: Error {
    /// The first input of the batch whose image was decoded, with the error.
    let element: EncodedInput<Input, Learned>
}

extension CLIPModel {
    /// Decodes and encodes the inputs of one batch with the threads of `workspace`.
    func encodeBatch<Input: Sendable, Learned: Sendable>(
        _ inputs: [Input], _ decode: (Input) -> DecodedInput<Learned>, _ workspace: Workspace
    ) -> Result<[EncodedInput<Input, Learned>], FailedBatch<Input, Learned>> {
        var images = ImagePlanes()
        var results = inputs.map { input in
            // The image counts towards the memory limit until the closure returns and releases it.
            ImageMemory.whileHolding {
                let decoded = decode(input)
                return EncodedInput(
                    input: input, learned: decoded.learned,
                    embedding: decoded.image.map { image -> [Float] in
                        append(image, to: &images)
                        return []
                    })
            }
        }
        let places = results.indices.filter { (try? results[$0].embedding.get()) != nil }
        guard let first = places.first else { return .success(results) }
        let rows: Embeddings
        do throws(CLIPError) {
            rows = Embeddings(
                rows: try imageFeatures(images, workspace),
                dimension: configuration.embeddingDimension)
        } catch {
            return .failure(
                FailedBatch(
                    element: EncodedInput(
                        input: results[first].input, learned: results[first].learned,
                        embedding: .failure(error))))
        }
        for (row, place) in places.enumerated() {
            results[place] = EncodedInput(
                input: results[place].input, learned: results[place].learned,
                embedding: .success(rows[row]))
        }
        return .success(results)
    }

    /// Decodes and encodes inputs that are too few to give each thread a batch of its own.
    func encodeTogether<Input: Sendable, Learned: Sendable>(
        _ inputs: [Input], _ decode: @Sendable (Input) -> DecodedInput<Learned>
    ) -> [EncodedInput<Input, Learned>] {
        let outcomes = imageGroups(inputs.count).map(on: workspaces) { group, workspace in
            encodeBatch(Array(inputs[group]), decode, workspace)
        }
        var results: [EncodedInput<Input, Learned>] = []
        for outcome in outcomes {
            switch outcome {
            case .success(let group): results += group
            case .failure(let batch): return results + [batch.element]
            }
        }
        return results
    }
}
