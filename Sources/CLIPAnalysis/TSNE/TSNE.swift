public import CLIP
internal import Tensors

/// t-SNE with the Barnes-Hut approximation: a map in the plane with similar vectors near each
/// other.
///
/// The map is initialised with the first two principal components, so that the same vectors give
/// the same map. Step sizes and schedule are scikit-learn's defaults.
///
/// ```swift
/// let map = try TSNE(perplexity: 30).run(on: embeddings)
/// for point in map.points { print(point.x, point.y) }
/// ```
///
/// Source: van der Maaten 2014, "Accelerating t-SNE using Tree-Based Algorithms".
public struct TSNE: Analysis {
    /// The effective number of neighbours of a vector; at most (count - 1) / 3 is used.
    public var perplexity: Double = 30
    /// The number of steps of gradient descent.
    ///
    /// The first 250 steps, or a quarter of all if that is fewer, are early exaggeration:
    /// attraction is 12 times as strong.
    public var iterations = 1000
    /// The Barnes-Hut angle θ.
    ///
    /// Smaller is more exact and slower; 0 disables the approximation.
    public var angle: Float = 0.5
    /// The number of threads; all cores of the process if nil.
    public var threads: Int?

    /// Makes the options.
    ///
    /// - Parameters:
    ///   - perplexity: The effective number of neighbours of a vector, more than 0.
    ///   - iterations: The number of steps of gradient descent.
    ///   - angle: The Barnes-Hut angle θ; 0 disables the approximation.
    ///   - threads: The number of threads; all cores of the process if nil.
    public init(
        perplexity: Double = 30, iterations: Int = 1000, angle: Float = 0.5, threads: Int? = nil
    ) {
        (self.perplexity, self.iterations) = (perplexity, iterations)
        (self.angle, self.threads) = (angle, threads)
    }

    /// A point of the map.
    public struct Point: Sendable, Hashable, Codable {
        /// The horizontal coordinate.
        public let x: Float
        /// The vertical coordinate.
        public let y: Float

        package init(x: Float, y: Float) { (self.x, self.y) = (x, y) }
    }

    /// The map of vectors.
    public struct Result: Sendable, Hashable, Codable {
        /// The point of each vector, in the order of the vectors; the map is centred near 0.
        public let points: [Point]
        /// The KL divergence, in nats, that t-SNE minimises; 0 if there are at most three vectors.
        public let divergence: Double
    }

    /// Computes a map of vectors.
    ///
    /// - Parameters:
    ///   - embeddings: The vectors, of any norms.
    ///   - progress: A function that is called from time to time with the fraction of the work
    ///     done, 0...1; it returns false to stop the analysis.
    /// - Returns: The map. If there are at most three vectors, their points lie on a line.
    /// - Throws: `AnalysisError.invalidOption` if `perplexity` or `iterations` is out of range, and
    ///   `.cancelled`.
    /// - Complexity: O(n² · dimension) for the neighbours of n vectors, O(n · log n) per iteration.
    public func run(
        on embeddings: Embeddings, progress: (Double) -> Bool
    ) throws(AnalysisError) -> Result {
        guard perplexity > 0 else {
            throw .invalidOption(
                name: "perplexity", found: "\(perplexity)", expected: "more than 0")
        }
        guard iterations >= 0 else {
            throw .invalidOption(name: "iterations", found: "\(iterations)", expected: "0 or more")
        }
        let count = embeddings.count
        guard count > 3 else {
            let points = (0..<count).map { Point(x: Float($0), y: 0) }
            return Result(points: points, divergence: 0)
        }
        try report(0, to: progress)
        let pool = WorkspacePool(threads: max(1, threads ?? availableCores()))
        let unit = embeddings.normalized()
        let neighbours = Neighbours(
            unit, perplexity: min(perplexity, Double(count - 1) / 3), pool)
        try report(0, to: progress)
        var (x, y) = try Self.initialPoints(unit) { _ in progress(0) }

        let rate = Float(max(Double(count) / 12 / 4, 50))
        var (stepX, stepY) = (x.map { _ in Float(0) }, x.map { _ in Float(0) })
        var (gainX, gainY) = (x.map { _ in Float(1) }, x.map { _ in Float(1) })
        func move(
            _ x: inout [Float], _ step: inout [Float], _ gain: inout [Float], _ gradient: [Float],
            momentum: Float
        ) {
            for i in x.indices {
                gain[i] = max(0.01, step[i] * gradient[i] < 0 ? gain[i] + 0.2 : gain[i] * 0.8)
                step[i] = momentum * step[i] - rate * gain[i] * gradient[i]
                x[i] += step[i]
            }
        }
        let early = min(250, iterations / 4)
        for iteration in 0..<iterations {
            let isEarly = iteration < early
            let forces = Forces(
                x, y, neighbours, attraction: isEarly ? 12 : 1, angle: angle, pool)
            if iteration == early {
                (gainX, gainY) = (x.map { _ in Float(1) }, x.map { _ in Float(1) })
                (stepX, stepY) = (x.map { _ in Float(0) }, x.map { _ in Float(0) })
            }
            let momentum: Float = isEarly ? 0.5 : 0.8
            move(&x, &stepX, &gainX, forces.gradientX, momentum: momentum)
            move(&y, &stepY, &gainY, forces.gradientY, momentum: momentum)
            if iteration % 10 == 9 {
                try report(Double(iteration + 1) / Double(iterations), to: progress)
            }
        }
        let last = Forces(x, y, neighbours, attraction: 1, angle: angle, pool)
        return Result(
            points: zip(x, y).map { Point(x: $0.0, y: $0.1) }, divergence: last.divergence)
    }

    /// Returns the coordinates along the first two principal components, scaled to a standard
    /// deviation of 1e-4 along the first.
    private static func initialPoints(
        _ unit: Embeddings, progress: (Double) -> Bool
    ) throws(AnalysisError) -> (x: [Float], y: [Float]) {
        guard unit.dimension > 1 else {
            return (unit.values.map { $0 * 1e-4 }, unit.values.map { _ in 0 })
        }
        let components = try PrincipalComponents(count: 2).run(on: unit, progress: progress)
        let deviation =
            (components.variances[0] * Double(unit.count - 1) / Double(unit.count)).squareRoot()
        let scale = Float(1e-4 / max(deviation, 1e-30))
        let values = components.coordinates.values.map { $0 * scale }
        return (
            stride(from: 0, to: values.count, by: 2).map { values[$0] },
            stride(from: 1, to: values.count, by: 2).map { values[$0] }
        )
    }
}
