internal import Tensors

/// L-BFGS with a line search for the strong Wolfe conditions.
///
/// Source: Nocedal and Wright 2006, "Numerical Optimization", algorithms 7.4 and 7.5.
struct LBFGS {
    /// A point with the loss and its gradient there.
    struct Point {
        var x: [Double]
        var loss: Double
        var gradient: [Double]
    }

    /// The last point of the iteration.
    struct Outcome {
        let point: Point
        let iterations: Int
        let isConverged: Bool
    }

    /// The largest number of steps that approximate the Hessian.
    private static let mostPairs = 10
    /// The memory for these steps, in bytes; three steps are kept even if they are larger.
    private static let pairMemory = 256 << 20
    /// The relative decrease of the loss below which a failed line search means the minimum: it
    /// may be hidden by rounding errors.
    private static let rounding = 1e-6

    let maximumIterations: Int
    /// The predicted decrease of the loss, relative to the loss, at which the iteration stops.
    let tolerance: Double
    let pool: WorkspacePool
    /// Returns the loss at a point and its gradient.
    let objective: ([Double]) -> Point
    /// Multiplies a vector by an approximation of the inverse Hessian, symmetric and positive
    /// definite.
    let inverseHessian: ([Double]) -> [Double]

    /// A step of the iteration and the change of the gradient along it.
    private struct Pair {
        let step: [Float]
        let change: [Float]
        /// The reciprocal of the dot product of both.
        let scale: Double
    }

    /// Minimises the objective.
    ///
    /// - Parameters:
    ///   - start: The first point, with the objective there.
    ///   - progress: A function that is called with the number of iterations done, as a fraction
    ///     of `maximumIterations`; it returns false to stop.
    /// - Returns: The last point.
    /// - Throws: `AnalysisError.cancelled`.
    func minimize(
        from start: Point, progress: (Double) -> Bool
    ) throws(AnalysisError) -> Outcome {
        try report(0, to: progress)
        var (point, pairs) = (start, [Pair]())
        let mostPairs = min(Self.mostPairs, max(3, Self.pairMemory / (8 * max(1, start.x.count))))
        var isPreconditioned = true
        var isNearMinimum = false
        var lastDecrease = Double.infinity
        for iteration in 0..<maximumIterations {
            let direction = direction(point.gradient, pairs, isPreconditioned)
            let slope = dotProduct(point.gradient, direction, on: pool)
            let limit = tolerance * abs(point.loss)
            // A small predicted decrease alone does not prove convergence: where the approximate
            // Hessian is too large, as for separable examples at a large C, it is small far from
            // the minimum. Nor does a positive slope, which is due to rounding errors.
            if abs(slope) / 2 <= limit && (slope == 0 || lastDecrease <= 10 * limit) {
                return Outcome(point: point, iterations: iteration, isConverged: true)
            }
            isNearMinimum = abs(slope) / 2 <= 10 * limit
            let search = WolfeSearch(point, direction, slope, objective, pool)
            guard let next = slope < 0 ? search.run() : nil else {
                // If the predicted decrease is less than rounding errors, this is the minimum.
                let isBelowRounding = abs(slope) / 2 <= max(limit, Self.rounding * abs(point.loss))
                if slope < 0 && isBelowRounding {
                    return Outcome(point: point, iterations: iteration, isConverged: true)
                }
                // Rounding errors may have corrupted the history or, if that is empty, the
                // approximate inverse Hessian: continue without it.
                if !pairs.isEmpty {
                    pairs.removeAll()
                } else if isPreconditioned {
                    isPreconditioned = false
                } else {
                    return Outcome(point: point, iterations: iteration, isConverged: false)
                }
                continue
            }
            let step = difference(next.x, point.x, on: pool)
            let change = difference(next.gradient, point.gradient, on: pool)
            let product = dotProduct(step, change, on: pool)
            let norms =
                dotProduct(step, step, on: pool) * dotProduct(change, change, on: pool)
            if product > 1e-10 * norms.squareRoot() {
                if pairs.count == mostPairs { pairs.removeFirst() }
                pairs.append(Pair(step: step, change: change, scale: 1 / product))
            }
            lastDecrease = point.loss - next.loss
            point = next
            try report(Double(iteration + 1) / Double(maximumIterations), to: progress)
        }
        return Outcome(
            point: point, iterations: maximumIterations, isConverged: isNearMinimum)
    }

    /// Returns minus the approximate inverse Hessian times the gradient, by the two-loop recursion.
    private func direction(
        _ gradient: [Double], _ pairs: [Pair], _ isPreconditioned: Bool
    ) -> [Double] {
        var q = gradient
        var factors = [Double](repeating: 0, count: pairs.count)
        for (i, pair) in pairs.enumerated().reversed() {
            factors[i] = pair.scale * dotProduct(pair.step, q, on: pool)
            add(-factors[i], times: pair.change, to: &q, on: pool)
        }
        // The usual scaling is not needed: the approximate Hessian has the right magnitude.
        var result = isPreconditioned ? inverseHessian(q) : q
        for (i, pair) in pairs.enumerated() {
            let factor = pair.scale * dotProduct(pair.change, result, on: pool)
            add(factors[i] - factor, times: pair.step, to: &result, on: pool)
        }
        for i in result.indices { result[i] = -result[i] }
        return result
    }
}

/// A line search: finds the length of a step along a direction.
///
/// The step satisfies the strong Wolfe conditions: the loss decreases by a share of what the slope
/// predicts, and the slope at its end is nearer to 0.
struct WolfeSearch {
    private let start: LBFGS.Point
    private let direction: [Double]
    private let slope: Double
    private let objective: ([Double]) -> LBFGS.Point
    private let pool: WorkspacePool

    /// The fraction of the predicted decrease that a step must reach (c₁).
    private static let decrease = 1e-4
    /// The largest slope at the end of a step, as a fraction of that at its start (c₂).
    private static let curvature = 0.9
    /// The relative rounding error of the loss, whose products are float32.
    private static let noise = 1e-7
    private static let mostTrials = 20

    init(
        _ start: LBFGS.Point, _ direction: [Double], _ slope: Double,
        _ objective: @escaping ([Double]) -> LBFGS.Point, _ pool: WorkspacePool
    ) {
        (self.start, self.direction, self.slope) = (start, direction, slope)
        (self.objective, self.pool) = (objective, pool)
    }

    /// A step length that was tried, with the point, the loss and the slope there.
    private struct Trial {
        let length: Double
        let loss: Double
        let slope: Double
        let point: LBFGS.Point
    }

    /// Returns a point that satisfies the conditions, or the best one found; nil if none is lower.
    func run() -> LBFGS.Point? {
        let noise = Self.noise * abs(start.loss)
        // A point between `low` and `high` satisfies both conditions; `low` satisfies the first.
        var low = Trial(length: 0, loss: start.loss, slope: slope, point: start)
        var high: Trial?
        var length = 1.0
        for _ in 0..<Self.mostTrials {
            let trial = trial(length)
            guard trial.loss.isFinite, trial.slope.isFinite else {
                high = Trial(length: length, loss: .infinity, slope: .infinity, point: start)
                length = low.length + (length - low.length) / 10
                continue
            }
            if !isLower(trial, noise) || (low.length > 0 && trial.loss > low.loss + noise) {
                high = trial
            } else if abs(trial.slope) <= -Self.curvature * slope {
                return trial.point
            } else if trial.slope >= 0 {
                high = trial
            } else {
                low = trial
            }
            guard let high else {
                length *= 4
                continue
            }
            let width = high.length - low.length
            if width <= 1e-12 * high.length { break }
            let inner = (low.length + 0.1 * width)...(low.length + 0.9 * width)
            let minimum = Self.minimumOfCubic(low, high)
            length = inner.contains(minimum) ? minimum : low.length + width / 2
        }
        return low.length > 0 ? low.point : nil
    }

    private func trial(_ length: Double) -> Trial {
        let point = objective(sum(start.x, length, times: direction, on: pool))
        return Trial(
            length: length, loss: point.loss,
            slope: dotProduct(point.gradient, direction, on: pool), point: point)
    }

    /// Returns true if the loss decreases enough.
    ///
    /// Where rounding errors hide the decrease, the slopes decide: the approximate Wolfe condition
    /// of Hager and Zhang 2005.
    private func isLower(_ trial: Trial, _ noise: Double) -> Bool {
        trial.loss <= start.loss + Self.decrease * trial.length * slope
            || (trial.loss <= start.loss + noise
                && trial.slope <= (2 * Self.decrease - 1) * slope)
    }

    /// Returns the minimum of the cubic with the losses and slopes at two lengths; NaN if there is
    /// none.
    private static func minimumOfCubic(_ a: Trial, _ b: Trial) -> Double {
        let width = b.length - a.length
        let d = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.length - b.length)
        let root = (d * d - a.slope * b.slope).squareRoot()
        return b.length - width * (b.slope + root - d) / (b.slope - a.slope + 2 * root)
    }
}
