import CLIP
import CLIPAnalysis
import CLIPSearch
import Files

/// The images that the page of `--report` shows, collected in bounded memory while a data set is
/// evaluated.
final class EvalReport {
    /// A random sample of the classified images.
    var samples: Reservoir<Image>
    /// A random sample of the images with captions.
    var captioned: Reservoir<Captioned>
    var mistakes: WorstMistakes
    private let decoding: RGBImage.DecodingOptions
    private var captionCosines: [[Float]] = []

    /// An image with its classes and the logits of all classes.
    struct Image {
        let sample: Sample
        let labels: [Int]
        let logits: [Float]

        init(_ sample: Sample, labels: [Int], logits: [Float]) {
            self.sample = sample
            self.labels = labels
            self.logits = logits
        }
    }

    /// An image with its first caption, and the indices of both among all images and captions.
    struct Captioned {
        let sample: Sample
        let image: Int
        let text: Int
        let caption: String
    }

    init(samples: Int, seed: UInt64, _ decoding: RGBImage.DecodingOptions) {
        self.samples = Reservoir(size: samples, seed: seed)
        captioned = Reservoir(size: samples, seed: seed)
        self.decoding = decoding
        mistakes = WorstMistakes(decoding)
    }

    /// Stores the cosines of the sample's images with their captions.
    func setCosines(_ input: RetrievalMetrics.Input) {
        let chosen = captioned.elements
        guard !chosen.isEmpty else { return }
        let images = Embeddings(
            rows: input.images.values(ofRows: chosen.map(\.image)),
            dimension: input.images.dimension)
        let texts = Embeddings(
            rows: input.texts.values(ofRows: chosen.map(\.text)), dimension: input.texts.dimension)
        captionCosines = (try? images.cosineSimilarities(to: texts)) ?? []
    }

    /// Returns the heatmap of the sample: a row per image, and a column for each caption, or for
    /// each class that is a label or the prediction of an image; nil if no image was evaluated.
    ///
    /// - Parameters:
    ///   - scorer: The classes and the scale of the logits; nil for retrieval.
    ///   - model: The description of the model.
    /// - Returns: The heatmap, with a thumbnail of each image.
    func heatmap(_ scorer: EvalScorer?, model: String) -> Heatmap? {
        guard let scorer else {
            let chosen = captioned.elements
            guard !captionCosines.isEmpty else { return nil }
            return Heatmap(
                images: chosen.map { image($0.sample, remark: nil) },
                texts: chosen.map(\.caption), cosines: captionCosines, model: model)
        }
        let chosen = samples.elements
        var seen: Set<Int> = []
        // A row without its prediction would mark another class as the best.
        let predictions = chosen.flatMap { topClasses(1, of: $0.logits) }
        let classes = (chosen.flatMap(\.labels) + predictions)
            .filter { seen.insert($0).inserted }
        guard !classes.isEmpty else { return nil }
        let scale = scorer.cosineScale ?? 1
        return Heatmap(
            images: chosen.map { entry in
                image(
                    entry.sample,
                    remark: entry.labels.map { shortened(scorer.classNames[$0], to: 80) }
                        .joined(separator: ", "))
            },
            texts: classes.map { scorer.classNames[$0] },
            cosines: chosen.map { entry in classes.map { entry.logits[$0] / scale } },
            model: model, valueName: scorer.cosineScale == nil ? "logit" : "cosine")
    }

    private func image(_ sample: Sample, remark: String?) -> Heatmap.Image {
        Heatmap.Image(
            name: sample.name, thumbnail: sample.thumbnail(decoding), isFile: sample.isFile,
            remark: remark)
    }
}

extension Sample {
    /// Returns a thumbnail of the image as a JPEG file; nil if the image cannot be read.
    fileprivate func thumbnail(_ decoding: RGBImage.DecodingOptions) -> [UInt8]? {
        let side = 192
        var decoding = decoding
        decoding.smallestSide = 2 * side
        let file = try? image(decoding).thumbnail(fitting: side)
        return file?.isEmpty == true ? nil : file
    }

    /// True if the image is a file of its own, not a member of an archive.
    var isFile: Bool {
        if case .file = content { true } else { false }
    }
}

/// The most confident mistake of each confused pair of classes, for a limited number of pairs.
///
/// If more pairs occur, the rarest one so far is dropped for a new one.
struct WorstMistakes {
    /// An image with a wrong prediction.
    struct Mistake {
        let sample: Sample
        /// True if the image is a file of its own, not a member of an archive.
        let isFile: Bool
        let label: Int
        let prediction: Int
        /// The probability of the prediction.
        let confidence: Double
        /// The thumbnail as a JPEG file; nil if there is none.
        var thumbnail: [UInt8]?
    }

    private struct Pair: Hashable {
        let label: Int
        let prediction: Int
    }

    private struct Entry {
        var count = 0
        var worst: Mistake
    }

    /// The maximum number of pairs.
    static let limit = 256

    private var entries: [Pair: Entry] = [:]
    private let decoding: RGBImage.DecodingOptions

    init(_ decoding: RGBImage.DecodingOptions) { self.decoding = decoding }

    /// Counts a mistake, and keeps it if it is the most confident one of its pair.
    mutating func add(_ sample: Sample, _ outcome: Evaluation.Outcome) {
        let pair = Pair(label: outcome.label, prediction: outcome.prediction)
        entries[pair]?.count += 1
        if let entry = entries[pair] {
            guard outcome.confidence > entry.worst.confidence else { return }
            let worst = mistake(sample, outcome)
            entries[pair]?.worst = worst
            return
        }
        if entries.count == Self.limit {
            let rarest = entries.min { a, b in
                (a.value.count, a.value.worst.confidence, a.key.label, a.key.prediction)
                    < (b.value.count, b.value.worst.confidence, b.key.label, b.key.prediction)
            }
            if let rarest { entries[rarest.key] = nil }
        }
        entries[pair] = Entry(count: 1, worst: mistake(sample, outcome))
    }

    /// Returns the mistake to keep.
    ///
    /// The bytes of an archive's image are gone later, so its thumbnail is made at once.
    private func mistake(_ sample: Sample, _ outcome: Evaluation.Outcome) -> Mistake {
        Mistake(
            sample: Sample(file: sample.name), isFile: sample.isFile, label: outcome.label,
            prediction: outcome.prediction, confidence: outcome.confidence,
            thumbnail: sample.isFile ? nil : sample.thumbnail(decoding))
    }

    /// Returns the kept mistake of a pair with its thumbnail; nil if the pair was dropped.
    func worst(of confusion: Evaluation.Confusion) -> Mistake? {
        let pair = Pair(label: confusion.label, prediction: confusion.prediction)
        guard var mistake = entries[pair]?.worst else { return nil }
        if mistake.isFile { mistake.thumbnail = mistake.sample.thumbnail(decoding) }
        return mistake
    }
}
