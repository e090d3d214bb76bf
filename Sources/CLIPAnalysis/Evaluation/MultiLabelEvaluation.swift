internal import Tensors

/// The quality of classification with any number of labels for each image: average precisions.
///
/// ```swift
/// var evaluation = MultiLabelEvaluation(classCount: 3)
/// try evaluation.add(logits: [24.1, 20.3, 19.8], labels: [true, false, true])
/// try evaluation.add(logits: [21.7, 22.4, 18.9], labels: [false, true, false])
/// let result = evaluation.result()
/// print(result.meanAveragePrecision, result.interval)
/// ```
///
/// An average precision ranks all images, so their logits and labels are stored: five bytes for
/// each image and class. The metrics are those of CLIP_benchmark. Of images with equal logits, the
/// one that was added first is ranked first.
public struct MultiLabelEvaluation: Sendable {
    /// The number of classes.
    public let classCount: Int
    /// The number of images.
    public private(set) var count = 0
    /// [count, classCount], row-major.
    private var logits: [Float] = []
    private var labels: [Bool] = []

    /// Makes an evaluation without images.
    ///
    /// - Parameter classCount: The number of classes; a negative number counts as 0.
    public init(classCount: Int) { self.classCount = max(0, classCount) }

    /// Adds an image.
    ///
    /// - Parameters:
    ///   - logits: One number for each class: for zero-shot classification, 100 times the cosine
    ///     of the image and the class.
    ///   - labels: One element for each class: true if the image belongs to it.
    /// - Throws: `AnalysisError.wrongClassCount` if there is not one logit and one label for each
    ///   class, and `.notFinite` if a logit is NaN or infinite. The image is not counted then.
    public mutating func add(logits: [Float], labels: [Bool]) throws(AnalysisError) {
        guard logits.count == classCount else {
            throw .wrongClassCount(of: "logits", expected: classCount, found: logits.count)
        }
        guard labels.count == classCount else {
            throw .wrongClassCount(of: "labels", expected: classCount, found: labels.count)
        }
        try AnalysisError.check(finite: logits, of: "logits")
        self.logits += logits
        self.labels += labels
        count += 1
    }

    /// The average precisions of all images.
    public struct Result: Sendable, Hashable, Codable {
        /// The number of images.
        public let count: Int
        /// The average precision of each class, 0...1; 0 for a class without images.
        ///
        /// It is the mean of the precisions at the images of the class. The precision at an image
        /// is the fraction of images of the class among those ranked up to it.
        public let averagePrecisions: [Double]
        /// The interval of `meanAveragePrecision`; 0...1 if that is NaN or there is one image.
        ///
        /// Its standard error is the standard deviation over 100 bootstrap samples of the images,
        /// drawn with a fixed seed.
        public let interval: ConfidenceInterval

        /// The mean of the average precisions of all classes, those without images included; NaN
        /// if there are no images or no classes.
        public var meanAveragePrecision: Double {
            guard count > 0 else { return .nan }
            return averagePrecisions.reduce(0, +) / Double(averagePrecisions.count)
        }
    }

    /// Computes the average precisions of the images that were added.
    ///
    /// - Parameter threads: The number of threads; all cores of the process if nil.
    /// - Returns: The average precisions and the interval of their mean.
    /// - Complexity: O(classCount · count · (log count + 100)). The memory is about 200 bytes for
    ///   each image, and 30 bytes for each image and thread.
    public func result(threads: Int? = nil) -> Result {
        let samples = bootstrapSamples()
        let pool = WorkspacePool(threads: max(1, threads ?? availableCores()))
        return result(samples, precisions(of: 0..<classCount, samples, pool))
    }

    /// Computes the average precisions of the images that were added, and reports the progress.
    ///
    /// - Parameters:
    ///   - threads: The number of threads; all cores of the process if nil.
    ///   - progress: A function that is called from time to time, on the calling thread, with the
    ///     fraction of the work done, 0...1; it returns false to stop.
    /// - Returns: The average precisions and the interval of their mean, the same as without
    ///   progress reports.
    /// - Throws: `AnalysisError.cancelled` if `progress` returned false.
    /// - Complexity: As that of `result(threads:)`.
    public func result(
        threads: Int? = nil, progress: (Double) -> Bool
    ) throws(AnalysisError) -> Result {
        try report(0, to: progress)
        let samples = bootstrapSamples()
        let threads = max(1, threads ?? availableCores())
        let pool = WorkspacePool(threads: threads)
        var classes: [ClassPrecisions] = []
        // Groups of this size keep all threads busy.
        for start in stride(from: 0, to: classCount, by: 4 * threads) {
            let end = min(classCount, start + 4 * threads)
            classes += precisions(of: start..<end, samples, pool)
            try report(Double(end) / Double(classCount), to: progress)
        }
        return result(samples, classes)
    }

    /// The average precision of a class for all images and for each bootstrap sample.
    private struct ClassPrecisions: Sendable {
        let whole: Double
        let samples: [Double]
    }

    private func precisions(
        of classes: Range<Int>, _ samples: [[UInt16]], _ pool: WorkspacePool
    ) -> [ClassPrecisions] {
        pool.map(classes.count) { index in
            let label = classes.lowerBound + index
            let ranking = Ranking(
                logits: stride(from: label, to: logits.count, by: classCount).map { logits[$0] },
                labels: stride(from: label, to: labels.count, by: classCount).map { labels[$0] })
            return ClassPrecisions(
                whole: ranking.averagePrecision { _ in 1 },
                samples: samples.map { sample in ranking.averagePrecision { Int(sample[$0]) } })
        }
    }

    private func result(_ samples: [[UInt16]], _ classes: [ClassPrecisions]) -> Result {
        let precisions = classes.map(\.whole)
        let means = samples.indices.map { sample in
            classes.reduce(0) { $0 + $1.samples[sample] } / Double(classCount)
        }
        let mean = means.reduce(0, +) / Double(means.count)
        let squares = means.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        let error = means.isEmpty ? .nan : (squares / Double(means.count - 1)).squareRoot()
        return Result(
            count: count, averagePrecisions: precisions,
            interval: .normal(
                mean: precisions.reduce(0, +) / Double(classCount), standardError: error))
    }

    /// Draws 100 samples of the images with replacement.
    ///
    /// - Returns: For each sample, the number of times that it has each image; no samples if there
    ///   are fewer than two images.
    private func bootstrapSamples() -> [[UInt16]] {
        guard count > 1 else { return [] }
        var random = SplitMix64(state: 0)
        return (0..<100).map { _ in
            var sample = [UInt16](repeating: 0, count: count)
            for _ in 0..<count { sample[Int(random.next() % UInt64(count))] += 1 }
            return sample
        }
    }
}

/// The images in the order of the logits of one class.
private struct Ranking {
    private var images: [Int]
    /// True for each rank whose image belongs to the class.
    private var isOwn: [Bool]

    init(logits: [Float], labels: [Bool]) {
        images = logits.indices.sorted { (logits[$1], $0) < (logits[$0], $1) }
        isOwn = images.map { labels[$0] }
    }

    /// Returns the mean of the precisions at the images of the class.
    ///
    /// - Parameter frequency: A function that returns the number of copies of an image, which have
    ///   consecutive ranks.
    /// - Returns: The average precision, 0...1; 0 if the class has no image.
    func averagePrecision(_ frequency: (_ image: Int) -> Int) -> Double {
        var (own, all, sum) = (0, 0, 0.0)
        for (place, image) in images.enumerated() {
            let copies = frequency(image)
            guard isOwn[place] else {
                all += copies
                continue
            }
            for _ in 0..<copies {
                own += 1
                all += 1
                sum += Double(own) / Double(all)
            }
        }
        return sum / Double(max(1, own))
    }
}
