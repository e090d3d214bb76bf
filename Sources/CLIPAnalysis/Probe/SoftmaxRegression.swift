internal import CLIP
internal import Tensors

/// The objective of the linear probes: weight · Σ cross-entropy + ½ · penalty · |W - W₀|².
///
/// The variables are W - W₀, row-major, and then the biases, if there are any. With biases, the
/// mean of the examples is subtracted from them: that changes only the biases, not the minimum, and
/// the iteration needs far fewer steps.
struct SoftmaxRegression {
    private let examples: LabelledVectors
    private let entropy: CrossEntropy
    private let means: [Float]
    private let hasBiases: Bool
    private let pool: WorkspacePool
    /// The sum of all examples, after the mean is subtracted.
    private let total: [Double]
    /// The sum of |x|² over all examples, after the mean is subtracted.
    private let trace: Double
    private let moments: SecondMoments

    private var weightCount: Int { examples.classCount * examples.vectors.dimension }

    init(_ examples: LabelledVectors, hasBiases: Bool, pool: WorkspacePool) {
        let (vectors, count) = (examples.vectors, examples.vectors.count)
        let sums = ColumnSums(of: vectors.values, dimension: vectors.dimension)
        means =
            hasBiases
            ? sums.values.map { Float($0 / Double(count)) }
            : [Float](repeating: 0, count: vectors.dimension)
        total = zip(sums.values, means).map { $0 - Double(count) * Double($1) }
        trace = zip(sums.squares, means).reduce(0) {
            $0 + max(0, $1.0 - Double(count) * Double($1.1) * Double($1.1))
        }
        (self.examples, self.hasBiases, self.pool) = (examples, hasBiases, pool)
        entropy = CrossEntropy(
            vectors.values, minus: means, labels: examples.labels,
            classCount: examples.classCount, on: pool)
        moments = SecondMoments(vectors, minus: means, pool: pool)
    }

    /// The sum of x xᵀ over all examples, estimated from some of them at the first use.
    private final class SecondMoments {
        private let vectors: Embeddings
        private let means: [Float]
        private let pool: WorkspacePool

        init(_ vectors: Embeddings, minus means: [Float], pool: WorkspacePool) {
            (self.vectors, self.means, self.pool) = (vectors, means, pool)
        }

        /// [dimension, dimension], row-major; only the part on and above the diagonal is set.
        private(set) lazy var values: [Float] = {
            let count = vectors.count
            let rowCount = min(count, 4 * vectors.dimension)
            // One random row from each of `rowCount` ranges of rows, because the order of the
            // examples may be periodic.
            var random = SplitMix64(state: 0)
            let rows = (0..<rowCount).map { place in
                let lower = place * count / rowCount
                let length = (place + 1) * count / rowCount - lower
                return lower + Int(random.next() % UInt64(length))
            }
            let scale = Float(count) / Float(rowCount)
            return secondMoments(of: vectors.values, minus: means, rows: rows, on: pool)
                .map { scale * $0 }
        }()
    }

    /// A minimum of the objective.
    struct Solution {
        /// W - W₀ and the biases for centred examples, a starting point for similar objectives.
        let variables: [Double]
        let weights: [Float]
        let biases: [Float]
        let loss: Double
        let iterations: Int
        let isConverged: Bool
    }

    /// The parameters of the objective and of its minimisation.
    struct Options {
        /// The weight of the summed cross-entropy.
        let weight: Double
        let penalty: Double
        let maximumIterations: Int
        let tolerance: Double
    }

    /// Minimises the objective.
    ///
    /// - Parameters:
    ///   - options: The parameters of the objective and of its minimisation.
    ///   - centre: W₀, row-major; zeros if nil.
    ///   - start: The first variables; zeros if nil.
    ///   - progress: A function that is called with the number of iterations done, as a fraction
    ///     of the largest number; it returns false to stop.
    /// - Returns: The minimum.
    /// - Throws: `AnalysisError.cancelled`.
    func minimum(
        _ options: Options, centre: [Float]? = nil, start: [Double]? = nil,
        progress: (Double) -> Bool
    ) throws(AnalysisError) -> Solution {
        let iteration = LBFGS(
            maximumIterations: options.maximumIterations, tolerance: options.tolerance,
            pool: pool, objective: { point(at: $0, options, centre) },
            inverseHessian: inverseHessian(options))
        let outcome = try iteration.minimize(
            from: firstPoint(options, centre: centre, start: start), progress: progress)
        let x = outcome.point.x
        let (weights, centredBiases) = parameters(x, centre)
        let dimension = examples.vectors.dimension
        let biases = centredBiases.enumerated().map { place, bias in
            (0..<dimension).reduce(Double(bias)) {
                $0 - Double(weights[place * dimension + $1]) * Double(means[$1])
            }
        }
        return Solution(
            variables: x, weights: weights, biases: biases.map { Float($0) },
            loss: outcome.point.loss, iterations: outcome.iterations,
            isConverged: outcome.isConverged)
    }

    /// Returns the objective at the start, or at zeros if it is nil.
    private func firstPoint(
        _ options: Options, centre: [Float]?, start: [Double]?
    ) -> LBFGS.Point {
        if let start { return point(at: start, options, centre) }
        if centre == nil { return pointAtZero(options) }
        let count = weightCount + (hasBiases ? examples.classCount : 0)
        return point(at: [Double](repeating: 0, count: count), options, centre)
    }

    /// Returns the objective at zeros, where all classes are equally probable, and its gradient.
    ///
    /// This needs no matrix product.
    func pointAtZero(_ options: Options) -> LBFGS.Point {
        let (count, dimension) = (examples.vectors.count, examples.vectors.dimension)
        let classCount = examples.classCount
        let probability = 1 / Double(classCount)
        var gradient = sumsOfClasses(
            examples.vectors.values, minus: means, labels: examples.labels, classCount: classCount)
        for i in gradient.indices {
            gradient[i] = options.weight * (probability * total[i % dimension] - gradient[i])
        }
        if hasBiases {
            var counts = [Double](repeating: 0, count: classCount)
            for label in examples.labels { counts[label] += 1 }
            gradient += counts.map { options.weight * (probability * Double(count) - $0) }
        }
        return LBFGS.Point(
            x: [Double](repeating: 0, count: gradient.count),
            loss: options.weight * Double(count) * Double(classCount).logarithm,
            gradient: gradient)
    }

    /// Returns W and the biases for centred examples.
    private func parameters(
        _ x: [Double], _ centre: [Float]?
    ) -> (weights: [Float], biases: [Float]) {
        let weights = (0..<weightCount).map { i in
            Float(centre.map { x[i] + Double($0[i]) } ?? x[i])
        }
        let biases =
            hasBiases
            ? x.dropFirst(weightCount).map { Float($0) }
            : [Float](repeating: 0, count: examples.classCount)
        return (weights, biases)
    }

    /// Returns the objective and its gradient.
    func point(at x: [Double], _ options: Options, _ centre: [Float]?) -> LBFGS.Point {
        let (weights, biases) = parameters(x, centre)
        var value = entropy.value(weights: weights, biases: biases, on: pool)
        if !hasBiases { value.gradient.removeLast(examples.classCount) }
        scale(
            &value.gradient, by: options.weight, adding: options.penalty, times: x, on: pool)
        // The biases are not penalised.
        for i in weightCount..<value.gradient.count { value.gradient[i] -= options.penalty * x[i] }
        let norm = dotProduct(x, x, count: weightCount, on: pool)
        return LBFGS.Point(
            x: x, loss: options.weight * value.loss + options.penalty / 2 * norm,
            gradient: value.gradient)
    }

    /// The trace of the Hessian of the cross-entropy, relative to the penalty, up to which the
    /// penalty alone approximates the Hessian of the objective well.
    ///
    /// L-BFGS then needs about one step more, which takes less time than a matrix inversion.
    private static let smallTrace = 4.0
    /// The number that is added to the diagonal of the moments, relative to their trace.
    ///
    /// It exceeds the rounding errors of float32, which could make the moments indefinite, and
    /// limits how much the inverse amplifies those of the gradient: examples of low rank at a C of
    /// 10⁶ need a fifth of the iterations that they need with a ridge of 10⁻⁶.
    private static let ridge = 1e-4

    /// Returns a function that multiplies by the inverse of an approximate Hessian.
    ///
    /// The approximation is the Hessian at equal probabilities p, without the blocks of two
    /// different classes: p (1 - p) · weight · Σ x xᵀ + penalty for each class. If it cannot be
    /// inverted, an upper bound of its eigenvalues replaces it.
    private func inverseHessian(_ options: Options) -> ([Double]) -> [Double] {
        let (dimension, classCount) = (examples.vectors.dimension, examples.classCount)
        let probability = 1 / Double(classCount)
        let factor = options.weight * probability * (1 - probability)
        let biasFactor = 1 / (factor * Double(examples.vectors.count))
        func multiply(by weightFactor: Double) -> ([Double]) -> [Double] {
            { [weightCount] x in
                x.indices.map { x[$0] * ($0 < weightCount ? weightFactor : biasFactor) }
            }
        }
        guard factor * trace > Self.smallTrace * options.penalty else {
            return multiply(by: 1 / options.penalty)
        }
        var hessian = moments.values.map { factor * Double($0) }
        let shift = options.penalty + Self.ridge * factor * trace
        for i in 0..<dimension { hessian[i * dimension + i] += shift }
        guard let inverse = inverseOfSymmetric(hessian, count: dimension, on: pool) else {
            return multiply(by: 1 / (options.penalty + factor * trace))
        }
        let packed = ProductWeights(
            packing: Tensor(inverse.map { Float($0) }, shape: [dimension, dimension]))
        return { [pool] x in
            pool.withWorkspace { workspace in
                let matrix = workspace.matrix(rows: classCount, columns: dimension)
                matrix.fill(x)
                var result = packed.apply(matrix).doubles(spare: classCount)
                result += x.dropFirst(classCount * dimension).map { $0 * biasFactor }
                return result
            }
        }
    }
}

extension AnalysisError {
    /// Throws an error if an option of L-BFGS is out of range.
    static func check(
        maximumIterations: Int, tolerance: Double
    ) throws(AnalysisError) {
        guard maximumIterations >= 1 else {
            throw .invalidOption(
                name: "maximumIterations", found: "\(maximumIterations)", expected: "1 or more")
        }
        guard tolerance > 0, tolerance < 1 else {
            throw .invalidOption(
                name: "tolerance", found: "\(tolerance)", expected: "more than 0, less than 1")
        }
    }

    /// Throws an error unless a number is positive and finite.
    static func check(positive value: Double, name: String) throws(AnalysisError) {
        guard value > 0, value.isFinite else {
            throw .invalidOption(name: name, found: "\(value)", expected: "more than 0")
        }
    }
}
