import CLIP
import CLIPAnalysis
import CLIPSearch
import Files

/// The results of a task: its metrics, and the details for the page of `--report`.
struct EvalResult {
    let metrics: [EvalMetric]
    let details: Details

    enum Details {
        case classification(Evaluation)
        /// The average precision and the number of images of each class.
        case multilabel(averagePrecisions: [Double], imagesPerClass: [Int])
        case retrieval(RetrievalMetrics.Result)
    }
}

/// A data set and the model that is evaluated on it.
struct EvalTask {
    let dataset: EvaluationDataset
    let model: CLIPModel
    let decoding: RGBImage.DecodingOptions
    let job: EvalJob
    /// The images for the page; nil without `--report`.
    let report: EvalReport?

    // MARK: Classification

    /// Classifies the images, each of which has one label.
    func classification(_ scorer: EvalScorer) throws -> EvalResult {
        var evaluation = Evaluation(classCount: scorer.classNames.count)
        try job.run(dataset, model, decoding) { sample, target, vector in
            guard case .label(let label) = target else { throw Self.unexpected("one label") }
            let logits = try scorer.logits(Embeddings(rows: vector, dimension: vector.count))[0]
            let outcome = try evaluation.add(logits: logits, label: label)
            try job.predict(
                [
                    ("path", .path(sample.name)), ("label", .integer(label)),
                    ("label_name", .string(scorer.classNames[label])),
                    ("predictions", Self.best(of: logits, scorer)),
                ])
            report?.samples.add(EvalReport.Image(sample, labels: [label], logits: logits))
            if !outcome.isCorrect { report?.mistakes.add(sample, outcome) }
        }
        let key = scorer.keyPrefix
        return EvalResult(
            metrics: [
                EvalMetric(
                    key: key + "acc1", value: evaluation.acc1, interval: evaluation.acc1Interval),
                EvalMetric(
                    key: key + "acc5", value: evaluation.acc5, interval: evaluation.acc5Interval),
                EvalMetric(
                    key: key + "mean_per_class_recall", value: evaluation.meanPerClassRecall,
                    interval: evaluation.meanPerClassRecallInterval),
            ], details: .classification(evaluation))
    }

    /// Scores the images, each of which has any number of labels.
    func multilabel(_ scorer: EvalScorer) throws -> EvalResult {
        var evaluation = MultiLabelEvaluation(classCount: scorer.classNames.count)
        var imagesPerClass = [Int](repeating: 0, count: scorer.classNames.count)
        try job.run(dataset, model, decoding) { sample, target, vector in
            guard case .labels(let labels) = target else { throw Self.unexpected("labels") }
            let logits = try scorer.logits(Embeddings(rows: vector, dimension: vector.count))[0]
            try evaluation.add(logits: logits, labels: labels)
            let own = labels.indices.filter { labels[$0] }
            for label in own { imagesPerClass[label] += 1 }
            try job.predict(
                [
                    ("path", .path(sample.name)), ("label", .array(own.map { .integer($0) })),
                    ("label_name", .array(own.map { .string(scorer.classNames[$0]) })),
                    ("predictions", Self.best(of: logits, scorer)),
                ])
            report?.samples.add(EvalReport.Image(sample, labels: own, logits: logits))
        }
        let result = try evaluation.result(
            threads: model.threads, progress: job.following("average precisions"))
        return EvalResult(
            metrics: [
                EvalMetric(
                    key: scorer.keyPrefix + "mean_average_precision",
                    value: result.meanAveragePrecision, interval: result.interval)
            ],
            details: .multilabel(
                averagePrecisions: result.averagePrecisions, imagesPerClass: imagesPerClass))
    }

    /// Returns the five best classes with their logits, as JSON.
    private static func best(of logits: [Float], _ scorer: EvalScorer) -> JSONValue {
        .array(
            topClasses(5, of: logits).map {
                .object([
                    "class": .integer($0), "name": .string(scorer.classNames[$0]),
                    "logit": .float(logits[$0]),
                ])
            })
    }

    private static func unexpected(_ expected: String) -> EvalJob.Unusable {
        EvalJob.Unusable(reason: "expected \(expected), found a target of another kind")
    }

    // MARK: Retrieval

    /// The number of captions that are encoded at once.
    private static let captionGroup = 1024

    /// Ranks the images by each caption, and the captions by each image.
    ///
    /// The vectors of all images and captions are in memory.
    ///
    /// - Parameter recallAt: The values of K for recall@K.
    /// - Returns: The recall of image and text retrieval for each K.
    /// - Throws: `Failure` if there are no captions, or too many vectors for memory; `CLIPError`.
    func retrieval(recallAt: [Int]) throws -> EvalResult {
        let dimension = model.configuration.embeddingDimension
        var images: [Float] = []
        var texts: [Float] = []
        var waiting: [String] = []
        var imageOfText: [Int] = []
        var names: [FilePath] = []
        // An image that occurs twice must not compete with itself.
        var imageOfFile: [FilePath: Int] = [:]
        // Captions are truncated, as open_clip's tokenizers do.
        func encodeWaiting() throws {
            guard !waiting.isEmpty else { return }
            texts += try model.encode(texts: waiting, truncating: true).values
            waiting = []
        }
        try job.run(dataset, model, decoding) { sample, target, vector in
            guard case .captions(let captions) = target else { throw Self.unexpected("captions") }
            let image = imageOfFile[sample.name] ?? names.count
            try MatrixLimit.check(
                vectors: names.count + 1 + imageOfText.count + captions.count,
                dimension: dimension, advice: "evaluate a part of the data set")
            if image == names.count {
                images += vector
                names.append(sample.name)
                if sample.isFile { imageOfFile[sample.name] = image }
            }
            waiting += captions
            imageOfText += captions.map { _ in image }
            if let caption = captions.first {
                report?.captioned.add(
                    EvalReport.Captioned(
                        sample: sample, image: image, text: imageOfText.count - captions.count,
                        caption: caption))
            }
            if waiting.count >= Self.captionGroup { try encodeWaiting() }
        }
        job.count = names.count
        try encodeWaiting()
        guard !texts.isEmpty else { throw Failure("no captions found in \(dataset.name)") }
        let input = RetrievalMetrics.Input(
            images: Embeddings(rows: images, dimension: dimension),
            texts: Embeddings(rows: texts, dimension: dimension), imageOfText: imageOfText)
        let result = try RetrievalMetrics(threads: model.threads)
            .run(on: input, progress: job.following("ranking"))
        try predictRanks(result, names, imageOfText)
        report?.setCosines(input)
        return EvalResult(
            metrics: recallAt.flatMap { k in
                [
                    EvalMetric(
                        key: "image_retrieval_recall@\(k)",
                        value: result.imageRetrievalRecall(at: k),
                        interval: result.imageRetrievalInterval(at: k)),
                    EvalMetric(
                        key: "text_retrieval_recall@\(k)",
                        value: result.textRetrievalRecall(at: k),
                        interval: result.textRetrievalInterval(at: k)),
                ]
            }, details: .retrieval(result))
    }

    /// Writes the 1-based ranks of each image: that of its best caption among all captions, and,
    /// for each of its captions, that of the image among all images.
    private func predictRanks(
        _ result: RetrievalMetrics.Result, _ names: [FilePath], _ imageOfText: [Int]
    ) throws {
        var ranks = [[JSONValue]](repeating: [], count: names.count)
        for (rank, image) in zip(result.imageRanks, imageOfText) {
            ranks[image].append(.integer(rank + 1))
        }
        for (image, name) in names.enumerated() {
            try job.predict(
                [
                    ("path", .path(name)),
                    ("text_rank", result.textRanks[image].map { .integer($0 + 1) } ?? .null),
                    ("image_ranks", .array(ranks[image])),
                ])
        }
    }
}
