internal import CLIP
internal import Tensors

extension LinearProbe {
    /// The result of a search for C.
    public struct Sweep: Sendable, Hashable, Codable {
        /// The C with the largest accuracy on the validation examples; of equal accuracies, the one
        /// with the lowest mean cross-entropy there.
        public let c: Double
        /// The accuracy on the validation examples with that C, 0...1.
        public let accuracy: Double
        /// All values of C that were tried, ascending, with their accuracies.
        public let trials: [Trial]

        /// A value of C and the accuracy that it leads to.
        public struct Trial: Sendable, Hashable, Codable {
            /// The inverse strength of the penalty.
            public let c: Double
            /// The accuracy on the validation examples, 0...1.
            public let accuracy: Double
        }
    }

    /// Searches for the most accurate of 96 logarithmically spaced values of C from 10⁻⁶ to 10⁶.
    ///
    /// At most 15 of them are tried: 7 over the whole range, then those at distances of 8, 4, 2 and
    /// 1 steps on both sides of the best so far. The accuracy may be larger for others.
    ///
    /// - Parameters:
    ///   - training: The examples that each classifier is trained with.
    ///   - validation: Other examples of the same classes, which measure its accuracy.
    ///   - options: The other options of the probe; its `c` is ignored.
    ///   - progress: A function that is called from time to time with the fraction of the work
    ///     done, 0...1; it returns false to stop the search.
    /// - Returns: The best C and its accuracy.
    /// - Throws: `AnalysisError.wrongDimension` or `.invalidOption` if the two sets do not match,
    ///   `.invalidOption` if an option is out of range, and `.cancelled`.
    public static func sweep(
        training: LabelledVectors, validation: LabelledVectors,
        options: LinearProbe = LinearProbe(), progress: (Double) -> Bool = { _ in true }
    ) throws(AnalysisError) -> Sweep {
        try options.check(training)
        try AnalysisError.check(
            dimension: validation.vectors.dimension, expected: training.vectors.dimension)
        guard validation.classCount == training.classCount else {
            throw .invalidOption(
                name: "classCount of the validation examples", found: "\(validation.classCount)",
                expected: "\(training.classCount), as in training")
        }
        try report(0, to: progress)
        let pool = WorkspacePool(threads: max(1, options.threads ?? availableCores()))
        let regression = SoftmaxRegression(training, hasBiases: true, pool: pool)
        var scores: [Int: Score] = [:]
        var starts: [Int: [Float]] = [:]
        func best() -> Int {
            scores.min {
                ($1.value.accuracy, $0.value.loss, $0.key)
                    < ($0.value.accuracy, $1.value.loss, $1.key)
            }?.key ?? 0
        }
        func attempt(_ index: Int) throws(AnalysisError) {
            guard (0..<steps).contains(index), scores[index] == nil else { return }
            // The solution for the nearest C is close to the new one.
            let nearest = starts.keys.min { (abs($0 - index), $0) < (abs($1 - index), $1) }
            let done = Double(scores.count)
            let solution = try options.solution(
                of: regression, c: value(index),
                start: nearest.flatMap { starts[$0] }.map { $0.map(Double.init) }
            ) { progress(min(1, (done + $0) / mostTrials)) }
            starts[index] = solution.variables.map { Float($0) }
            let classifier = LinearClassifier(
                weights: solution.weights, biases: solution.biases,
                dimension: training.vectors.dimension)
            scores[index] = try Score(of: classifier, on: validation)
            try report(min(1, (done + 1) / mostTrials), to: progress)
        }
        for index in coarse { try attempt(index) }
        for distance in [8, 4, 2, 1] {
            let centre = best()
            // Solutions for more distant values are no longer needed as starting points.
            starts = starts.filter { abs($0.key - centre) <= 2 * distance }
            try attempt(centre - distance)
            try attempt(centre + distance)
        }
        let index = best()
        return Sweep(
            c: value(index), accuracy: scores[index]?.accuracy ?? 0,
            trials: scores.sorted { $0.key < $1.key }
                .map { .init(c: value($0.key), accuracy: $0.value.accuracy) })
    }

    /// The quality of a classifier on the validation examples.
    private struct Score {
        let accuracy: Double
        /// The mean cross-entropy in nats.
        ///
        /// A strong penalty makes all classes almost equally probable and may still rank them
        /// correctly, so accuracies alone would prefer useless probabilities.
        let loss: Double

        init(
            of classifier: LinearClassifier, on examples: LabelledVectors
        ) throws(AnalysisError) {
            let (vectors, labels) = (examples.vectors, examples.labels)
            var (hits, sum) = (0, 0.0)
            // The logits of all examples at once could take too much memory.
            for start in stride(from: 0, to: labels.count, by: 4096) {
                let rows = start..<min(start + 4096, labels.count)
                let part = Embeddings(
                    rows: vectors.values(ofRows: rows), dimension: vectors.dimension)
                for (row, label) in zip(try classifier.logits(of: part), labels[rows]) {
                    let largest = row.max() ?? .nan
                    if row.firstIndex(of: largest) == label { hits += 1 }
                    let total = row.reduce(0.0) { $0 + Double($1 - largest).exponential }
                    sum += total.logarithm - Double(row[label] - largest)
                }
            }
            (accuracy, loss) = (Double(hits) / Double(labels.count), sum / Double(labels.count))
        }
    }

    /// The number of values of C.
    private static let steps = 96
    /// The indices of the first values that are tried.
    private static let coarse = [0, 16, 32, 48, 64, 80, 95]
    /// The largest number of values that are tried: 7, and 2 for each of 4 distances.
    private static let mostTrials = 15.0

    /// Returns the value of C with an index.
    private static func value(_ index: Int) -> Double {
        let exponent = 12 * Double(index) / Double(steps - 1) - 6
        return min(max((exponent * 10.0.logarithm).exponential, 1e-6), 1e6)
    }
}
