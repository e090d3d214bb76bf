import CLIP
import Testing

@testable import CLIPAnalysis
@testable import Tensors

/// Clusters of vectors around random centres far from the origin, in mixed order.
func planted(
    _ count: Int, classes: Int, dimension: Int = 24, seed: UInt64 = 1
) throws -> LabelledVectors {
    var random = SplitMix64(state: seed)
    func vector() -> [Float] { (0..<dimension).map { _ in Float(random.nextUnit() - 0.5) } }
    let centres = (0..<classes).map { _ in vector() }
    let mean = vector()
    let labels = (0..<count).map { _ in Int(random.next() % UInt64(classes)) }
    var rows: [Float] = []
    for label in labels {
        let noise = vector()
        for i in 0..<dimension {
            let offset: Float = 4 * mean[i] + 1.5 * noise[i]
            rows.append(centres[label][i] + offset)
        }
    }
    return try LabelledVectors(
        Embeddings(rows: rows, dimension: dimension), labels: labels, classCount: classes)
}

/// Tests the objective of the linear probes, its preconditioner and L-BFGS.
@Suite struct SoftmaxRegressionTests {
    // MARK: objective

    @Test(arguments: [false, true]) func gradientMatchesFiniteDifferences(hasBiases: Bool) throws {
        let examples = try planted(300, classes: 4, dimension: 6)
        let regression = SoftmaxRegression(
            examples, hasBiases: hasBiases, pool: WorkspacePool(threads: 2))
        let options = SoftmaxRegression.Options(
            weight: 0.3, penalty: 2, maximumIterations: 1, tolerance: 1e-6)
        var random = SplitMix64(state: 3)
        let x = (0..<(24 + (hasBiases ? 4 : 0))).map { _ in random.nextUnit() - 0.5 }
        let point = regression.point(at: x, options, nil)
        for place in x.indices {
            let losses = [-5e-3, 5e-3].map { step in
                var moved = x
                moved[place] += step
                return regression.point(at: moved, options, nil).loss
            }
            let slope = (losses[1] - losses[0]) / 1e-2
            #expect(abs(slope - point.gradient[place]) < 5e-3 * (1 + abs(slope)), "\(place)")
        }
    }

    @Test(arguments: [1, 3, 32, 33, 100, 150]) func symmetricMatricesAreInverted(count: Int) throws
    {
        var random = SplitMix64(state: 5)
        let values = (0..<(2 * count * count)).map { _ in random.nextUnit() - 0.5 }
        var matrix = [Double](repeating: 0, count: count * count)
        for i in 0..<count {
            for j in 0..<count {
                let product = (0..<(2 * count)).reduce(0.0) {
                    $0 + values[$1 * count + i] * values[$1 * count + j]
                }
                matrix[i * count + j] = product + (i == j ? 0.1 : 0)
            }
        }
        let inverse = try #require(
            inverseOfSymmetric(matrix, count: count, on: WorkspacePool(threads: 1)))
        #expect(inverseOfSymmetric(matrix, count: count, on: WorkspacePool(threads: 3)) == inverse)
        for row in 0..<count {
            for column in 0..<count {
                let sum = (0..<count).reduce(0.0) {
                    $0 + matrix[row * count + $1] * inverse[$1 * count + column]
                }
                #expect(abs(sum - (row == column ? 1 : 0)) < 1e-9)
                #expect(inverse[row * count + column] == inverse[column * count + row])
            }
        }
    }

    /// The dimensions are fewer than a block of columns, and more.
    @Test(arguments: [5, 16, 130, 200]) func secondMomentsAreSumsOfProducts(dimension: Int) {
        var random = SplitMix64(state: 7)
        let x = (0..<(40 * dimension)).map { _ in Float(random.nextUnit() - 0.5) }
        let means = (0..<dimension).map { Float($0 % 5) / 10 }
        let rows = [3, 0, 17, 39, 20, 21, 8]
        for threads in [1, 3] {
            let found = secondMoments(
                of: x, minus: means, rows: rows, on: WorkspacePool(threads: threads))
            #expect(found.count == dimension * dimension)
            for i in 0..<dimension {
                for j in i..<dimension {
                    let sum = rows.reduce(0.0) { sum, row in
                        let a = Double(x[row * dimension + i] - means[i])
                        return sum + a * Double(x[row * dimension + j] - means[j])
                    }
                    guard abs(Double(found[i * dimension + j]) - sum) > 1e-5 else { continue }
                    Issue.record("[\(i), \(j)]: expected \(sum)")
                    return
                }
            }
        }
    }

    @Test(arguments: [1, 32, 70]) func indefiniteMatricesAreNotInverted(count: Int) {
        let pool = WorkspacePool(threads: 1)
        for value in [0.0, -1, .nan] {
            var matrix = [Double](repeating: 0, count: count * count)
            for i in 0..<count { matrix[i * count + i] = i == count - 1 ? value : 1 }
            #expect(inverseOfSymmetric(matrix, count: count, on: pool) == nil)
        }
    }

    @Test func pointAtZeroMatchesTheObjective() throws {
        let examples = try planted(200, classes: 4, dimension: 6)
        for hasBiases in [false, true] {
            let regression = SoftmaxRegression(
                examples, hasBiases: hasBiases, pool: WorkspacePool(threads: 1))
            let options = SoftmaxRegression.Options(
                weight: 0.3, penalty: 2, maximumIterations: 1, tolerance: 1e-6)
            let found = regression.pointAtZero(options)
            let expected = regression.point(at: found.x, options, nil)
            #expect(found.x.allSatisfy { $0 == 0 })
            #expect(abs(found.loss / expected.loss - 1) < 1e-6)
            #expect(found.gradient.count == expected.gradient.count)
            for (a, b) in zip(found.gradient, expected.gradient) { #expect(abs(a - b) < 1e-4) }
        }
    }

    @Test func sharedSumMatchesPartialSums() throws {
        let examples = try planted(1500, classes: 7)
        let mean = [Float](repeating: 0.1, count: 24)
        func entropy(_ most: Int) -> CrossEntropy {
            CrossEntropy(
                examples.vectors.values, minus: mean, labels: examples.labels, classCount: 7,
                mostWeightsInParts: most, on: WorkspacePool(threads: 1))
        }
        var random = SplitMix64(state: 9)
        let weights = (0..<(7 * 24)).map { _ in Float(random.nextUnit() - 0.5) }
        let biases = (0..<7).map { Float($0) / 7 }
        func value(_ most: Int, threads: Int) -> CrossEntropy.Value {
            entropy(most).value(
                weights: weights, biases: biases, on: WorkspacePool(threads: threads))
        }
        let (parts, whole) = (value(.max, threads: 1), value(0, threads: 1))
        #expect(abs(parts.loss / whole.loss - 1) < 1e-9)
        #expect(parts.gradient.count == 7 * 25 && whole.gradient.count == 7 * 25)
        for (a, b) in zip(parts.gradient, whole.gradient) { #expect(abs(a - b) < 1e-2) }
        for threads in [2, 3] {
            #expect(value(.max, threads: threads).gradient == parts.gradient)
            #expect(value(0, threads: threads).gradient == whole.gradient)
            #expect(value(0, threads: threads).loss == whole.loss)
        }
    }

    // MARK: L-BFGS

    /// Minimises an objective of one variable from 1.
    private func minimum(
        approximation: @escaping (Double) -> Double, tolerance: Double = 1e-7,
        of objective: @escaping (Double) -> (loss: Double, slope: Double)
    ) throws -> LBFGS.Outcome {
        func point(_ x: [Double]) -> LBFGS.Point {
            let value = objective(x[0])
            return LBFGS.Point(x: x, loss: value.loss, gradient: [value.slope])
        }
        let iteration = LBFGS(
            maximumIterations: 50, tolerance: tolerance, pool: WorkspacePool(threads: 1),
            objective: point, inverseHessian: { $0.map(approximation) })
        return try iteration.minimize(from: point([1])) { _ in true }
    }

    @Test func indefiniteApproximationIsAbandoned() throws {
        let outcome = try minimum(approximation: { -$0 }) { (1 + $0 * $0 / 2, $0) }
        #expect(outcome.isConverged)
        #expect(abs(outcome.point.x[0]) < 1e-3)
    }

    @Test func smallPredictedDecreaseAloneIsNoConvergence() throws {
        // The approximation of the Hessian is too large by 1e9, so the predicted decrease is small
        // far from the minimum.
        let outcome = try minimum(approximation: { 1e-9 * $0 }) { (1 + $0 * $0 / 2, $0) }
        #expect(outcome.isConverged)
        #expect(abs(outcome.point.x[0]) < 1e-2)
    }

    @Test func decreaseBelowRoundingIsConvergence() throws {
        func flat(slope: Double) throws -> Bool {
            // No loss is smaller than the first one.
            try minimum(approximation: { $0 }, tolerance: 1e-9) { ($0 == 1 ? 1 : 1.00001, slope) }
                .isConverged
        }
        // The predicted decreases are 5e-9 and 5e-5.
        #expect(try flat(slope: 1e-4))
        #expect(try !flat(slope: 1e-2))
    }

    @Test(arguments: [1e3, 1e6]) func featuresOfLowRankConverge(c: Double) throws {
        // Each column occurs three times, and there are fewer rows than columns.
        let examples = try planted(40, classes: 3)
        let rows = (0..<40).map { Array(examples.vectors[$0]) }
        let repeated = try LabelledVectors(
            Embeddings(rows: rows.flatMap { $0 + $0 + $0 }, dimension: 72),
            labels: examples.labels, classCount: 3)
        let result = try LinearProbe(c: c).run(on: repeated)
        #expect(result.isConverged)
        let once = try LinearProbe(c: 3 * c).run(on: examples)
        #expect(abs(3 * result.loss / once.loss - 1) < 1e-3)
    }
}
