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
    /// The sum of x xᵀ over all examples, estimated from some of them.
    private let moments: [Double]

    private var weightCount: Int { examples.classCount * examples.vectors.dimension }

    init(_ examples: LabelledVectors, hasBiases: Bool, pool: WorkspacePool) {
        let (vectors, count) = (examples.vectors, examples.vectors.count)
        let dimension = vectors.dimension
        var sums = [Double](repeating: 0, count: dimension)
        if hasBiases {
            let values = vectors.values
            for row in 0..<count {
                for i in 0..<dimension { sums[i] += Double(values[row * dimension + i]) }
            }
        }
        means = sums.map { Float($0 / Double(count)) }
        (self.examples, self.hasBiases, self.pool) = (examples, hasBiases, pool)
        entropy = CrossEntropy(
            vectors.values, minus: means, labels: examples.labels,
            classCount: examples.classCount, on: pool)
        let step = max(1, count / (4 * dimension))
        let scale = Double(count) / Double((count + step - 1) / step)
        moments = secondMoments(of: vectors.values, minus: means, every: step, on: pool)
            .map { Double($0) * scale }
    }

    /// A minimum of the objective.
    struct Solution {
        /// W - W₀ and the biases of centred examples: a start for similar objectives.
        let variables: [Double]
        let weights: [Float]
        let biases: [Float]
        let loss: Double
        let iterations: Int
        let isConverged: Bool
    }

    /// The numbers of an objective and of its minimisation.
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
    ///   - options: The numbers of the objective.
    ///   - centre: W₀, row-major; zeros if nil.
    ///   - start: The first variables; zeros if nil.
    ///   - progress: A function that is called with the share of the largest number of
    ///     iterations.
    /// - Returns: The minimum.
    /// - Throws: `AnalysisError.cancelled`.
    func minimum(
        _ options: Options, centre: [Float]? = nil, start: [Double]? = nil,
        progress: (Double) -> Bool
    ) throws(AnalysisError) -> Solution {
        let count = weightCount + (hasBiases ? examples.classCount : 0)
        let iteration = LBFGS(
            maximumIterations: options.maximumIterations, tolerance: options.tolerance,
            pool: pool, objective: { point(at: $0, options, centre) },
            inverseHessian: inverseHessian(options))
        let outcome = try iteration.minimize(
            from: start ?? [Double](repeating: 0, count: count), progress: progress)
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

    /// Returns W and the biases of centred examples.
    private func parameters(
        _ x: [Double], _ centre: [Float]?
    ) -> (weights: [Float], biases: [Float]) {
        var weights = x.prefix(weightCount).map { Float($0) }
        if let centre {
            for i in weights.indices { weights[i] = Float(x[i] + Double(centre[i])) }
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
        let value = entropy.value(weights: weights, biases: biases, on: pool)
        var gradient = value.weights
        var norm = 0.0
        for i in gradient.indices {
            gradient[i] = options.weight * gradient[i] + options.penalty * x[i]
            norm += x[i] * x[i]
        }
        if hasBiases { gradient += value.biases.map { options.weight * $0 } }
        return LBFGS.Point(
            x: x, loss: options.weight * value.loss + options.penalty / 2 * norm,
            gradient: gradient)
    }

    /// Returns a function that multiplies by the inverse of an approximate Hessian.
    ///
    /// The approximation is the Hessian at equal probabilities, without the products of different
    /// classes: p (1 - p) · weight · Σ x xᵀ + penalty for each class.
    private func inverseHessian(_ options: Options) -> ([Double]) -> [Double] {
        let (dimension, classCount) = (examples.vectors.dimension, examples.classCount)
        let probability = 1 / Double(classCount)
        let factor = options.weight * probability * (1 - probability)
        var hessian = moments.map { factor * $0 }
        for i in 0..<dimension { hessian[i * dimension + i] += options.penalty }
        let inverse = inverseOfSymmetric(hessian, count: dimension, on: pool)
        let biasFactor = 1 / (factor * Double(examples.vectors.count))
        let packed = ProductWeights(
            packing: Tensor(inverse.map { Float($0) }, shape: [dimension, dimension]))
        return { x in
            var result = pool.withWorkspace { workspace in
                let matrix = workspace.matrix(rows: classCount, columns: dimension)
                matrix.fill(x.prefix(classCount * dimension).map { Float($0) })
                return packed.apply(matrix).values
            }.map { Double($0) }
            result += x.dropFirst(classCount * dimension).map { $0 * biasFactor }
            return result
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
