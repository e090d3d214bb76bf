import CLIP
import CLIPAnalysis
import CLIPSearch
import Files

/// The embeddings and labels of a data set's images, read from a cache or encoded.
struct ProbeFeatures {
    let vectors: Embeddings
    /// The class of each vector.
    let labels: [Int]
    /// The number of vectors that were read from the cache.
    let cachedCount: Int

    /// An image whose embedding is not in the cache, or an item that cannot be used.
    private struct Input: Sendable {
        /// The position of the item in the data set.
        let position: Int
        let name: FilePath
        let label: Int
        /// The bytes of the image and their SHA-256; nil if the item cannot be used.
        let image: (bytes: [UInt8], digest: [UInt8])?
        /// The message about an item that cannot be used.
        let problem: String?
    }

    /// Encodes the images of a data set that are not in the cache, and stores their embeddings.
    ///
    /// - Parameters:
    ///   - dataset: The data set, of the kind classification.
    ///   - model: The model.
    ///   - decoding: The options for decoding images.
    ///   - cache: The cache; nil to encode all images.
    ///   - failures: Receives the images and labels that cannot be used.
    ///   - progress: Receives the number of images processed, and the number of files skipped
    ///     because of their format.
    /// - Throws: Errors of the weights, or of the file of `--errors`; `Failure` if there are too
    ///   many images for memory.
    init(
        of dataset: EvaluationDataset, _ model: CLIPModel, _ decoding: RGBImage.DecodingOptions,
        cache: FeatureCache?, failures: FailureList, progress: JobProgress
    ) throws {
        let dimension = model.configuration.embeddingDimension
        var items = dataset.items()
        var position = -1
        var cached = 0
        var excess: (any Error)?
        var rows: [(position: Int, label: Int, vector: [Float])] = []
        let inputs = AnyIterator<Input> {
            while let item = items.next() {
                position += 1
                do {
                    try MatrixLimit.check(
                        vectors: position + 1, dimension: dimension,
                        advice: "train with a part of the data set")
                } catch {
                    excess = error
                    return nil
                }
                let input = Self.input(item, position, decoding)
                guard let digest = input.image?.digest, let vector = cache?.vector(for: digest)
                else { return input }
                rows.append((position, input.label, vector))
                cached += 1
                progress.skip()
            }
            return nil
        }
        let encodings = model.encodings(
            of: IteratorSequence(inputs),
            decode: { input throws(CLIPError) in
                guard let image = input.image else {
                    throw .unreadableImage(path: "\(input.name)", reason: input.problem ?? "")
                }
                return try RGBImage(
                    decoding: image.bytes, path: "\(input.name)", options: decoding)
            })
        for encoded in encodings {
            let input = encoded.input
            switch encoded.embedding {
            case .success(let vector):
                if let digest = input.image?.digest { cache?.add(vector, for: digest) }
                rows.append((input.position, input.label, vector))
            case .failure(let error) where error.isOfWeights: throw error
            case .failure(let error):
                try failures.add(input.name, input.problem ?? Hints.line(error))
            }
            progress.advance()
        }
        if let excess { throw excess }
        progress.finish()
        if items.skipped.total > 0 { progress.say("\(items.skipped)") }
        // Restore the order: cached vectors overtook those that were being encoded.
        rows.sort { $0.position < $1.position }
        labels = rows.map(\.label)
        vectors = Embeddings(
            rows: rows.flatMap(\.vector), dimension: dimension)
        cachedCount = cached
    }

    /// Reads the image of an item.
    private static func input(
        _ item: EvaluationDataset.Item, _ position: Int, _ decoding: RGBImage.DecodingOptions
    ) -> Input {
        let sample = item.sample
        func unusable(_ problem: String) -> Input {
            Input(
                position: position, name: sample.name, label: 0, image: nil, problem: problem)
        }
        switch item.target {
        case .label(let label):
            do throws(CLIPError) {
                let bytes = try sample.bytes(memoryLimit: decoding.memoryLimit)
                return Input(
                    position: position, name: sample.name, label: label,
                    image: (bytes, sha256(bytes)), problem: nil)
            } catch {
                return unusable(Hints.line(error))
            }
        case .unusable(let reason): return unusable("\(sample.path): \(reason)")
        case .labels, .captions: return unusable("\(sample.path): expected one label")
        }
    }
}
