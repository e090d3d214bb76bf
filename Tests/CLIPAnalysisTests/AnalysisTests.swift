import Files
import CLIPSearch
import CLIP
import Foundation
import TestSupport
import Testing

@testable import CLIPAnalysis
@testable import Tensors

/// Tests clusters, duplicates, maps and scores of vectors.
@Suite struct AnalysisTests {
    // MARK: clusters

    @Test(arguments: [2, 7, 20]) func kMeansFindsPlantedClusters(clusters: Int) throws {
        let vectors = planted(clusters, each: 12)
        let means = try SphericalKMeans(clusters: clusters).run(on: vectors)
        for cluster in 0..<clusters {
            let own = means.assignments[(cluster * 12)..<(cluster * 12 + 12)]
            #expect(Set(own).count == 1)
        }
        #expect(Set(means.assignments).count == clusters)
    }

    @Test func clusteringIsDeterministic() throws {
        let vectors = planted(9, each: 40, spread: 2)
        let one = try SphericalKMeans(clusters: 9, threads: 1).run(on: vectors)
        let two = try SphericalKMeans(clusters: 9, threads: 2).run(on: vectors)
        #expect(one.assignments == two.assignments && one.centroids == two.centroids)
        #expect(one.meanCosine == two.meanCosine)
        // The largest cluster comes first.
        let sizes = (0..<9).map { cluster in one.assignments.count { $0 == cluster } }
        #expect(sizes == sizes.sorted(by: >) && sizes.reduce(0, +) == 360)
        // Each vector belongs to the nearest centre, and each centre is the mean of its vectors.
        let cosines = try vectors.cosineSimilarities(to: one.centroids)
        for (row, cosines) in cosines.enumerated() {
            #expect(abs(cosines[one.assignments[row]] - (cosines.max() ?? 2)) < 1e-6)
            #expect(abs(one.cosines[row] - cosines[one.assignments[row]]) < 1e-6)
        }
        let unit = vectors.normalized()
        for cluster in 0..<9 {
            var sum = [Float](repeating: 0, count: 24)
            for row in 0..<360 where one.assignments[row] == cluster {
                for (i, value) in unit[row].enumerated() { sum[i] += value }
            }
            let mean = Embeddings(rows: sum, dimension: 24).normalized()
            #expect(worstDifference(mean.values, one.centroids[cluster], limit: 1e-5) == nil)
        }
        let unswapped = try SphericalKMeans(clusters: 9, swaps: 0).run(on: vectors)
        #expect(unswapped.meanCosine <= one.meanCosine)
    }

    @Test func clusteringHandlesExtremeCounts() throws {
        func run(_ vectors: Embeddings, _ clusters: Int) throws -> SphericalKMeans.Result {
            try SphericalKMeans(clusters: clusters).run(on: vectors)
        }
        let vectors = planted(3, each: 4)
        #expect(try run(vectors, 1).assignments == [Int](repeating: 0, count: 12))
        #expect(try Set(run(vectors, 12).assignments).count == 12)
        let same = Embeddings(rows: [Float](repeating: 1, count: 40), dimension: 4)
        let means = try run(same, 3)
        #expect(means.cosines.first { $0 <= 0.999 } == nil)
        let zeros = Embeddings(rows: [Float](repeating: 0, count: 40), dimension: 4)
        #expect(try run(zeros, 2).assignments.count == 10)
        let one = Embeddings(rows: [3, 4], dimension: 2)
        #expect(try run(one, 1).centroids.values == [0.6, 0.8])
    }

    // MARK: duplicates

    @Test(arguments: [0.8, 1.01] as [Float])
    func nearDuplicatesMatchBruteForce(threshold: Float) throws {
        // More than one block of rows.
        let vectors = planted(60, each: 35, spread: 1)
        var random = SplitMix64(state: 5)
        let preference = Array(0..<2100).map { ($0, random.next()) }.sorted { $0.1 < $1.1 }.map(\.0)
        let unit = vectors.normalized()
        let search = NearDuplicates(threshold: threshold, preference: preference)
        let groups = try search.run(on: vectors).groups
        func cosine(_ a: Int, _ b: Int) -> Float {
            zip(unit[a], unit[b]).reduce(0) { $0 + $1.0 * $1.1 }
        }
        var taken = Set<Int>()
        for group in groups {
            #expect(taken.insert(group.kept).inserted)
            for duplicate in group.duplicates {
                #expect(taken.insert(duplicate.row).inserted)
                #expect(abs(cosine(group.kept, duplicate.row) - duplicate.cosine) < 1e-5)
                #expect(duplicate.cosine >= threshold)
            }
            #expect(group.duplicates.map(\.cosine) == group.duplicates.map(\.cosine).sorted(by: >))
        }
        // No two kept rows are similar.
        let gone = Set(groups.flatMap { $0.duplicates.map(\.row) })
        let kept = preference.filter { !gone.contains($0) }
        let rows = Embeddings(rows: kept.flatMap { unit[$0] }, dimension: 24)
        for (place, cosines) in try rows.cosineSimilarities(to: rows).enumerated() {
            #expect(cosines.enumerated().allSatisfy { $0 == place || $1 < threshold + 1e-6 })
        }
        // The preferred row of each group is kept.
        let rank = Dictionary(uniqueKeysWithValues: preference.enumerated().map { ($1, $0) })
        for group in groups {
            #expect(
                group.duplicates.allSatisfy { (rank[$0.row] ?? 0) > (rank[group.kept] ?? 0) })
        }
        #expect(gone.isEmpty == (threshold > 1))
    }

    @Test func nearestRowsMatchBruteForce() {
        let (a, b) = (planted(10, each: 7), planted(42, each: 100, seed: 2))
        let pool = WorkspacePool(threads: 2)
        let products = dotProducts(a.values, b.values, dimension: 24)
        for wanted in [1, 5, 4201] {
            let found = nearestRows(wanted, of: a.values, among: b.values, dimension: 24, on: pool)
            let count = min(wanted, 4200)
            #expect(found.count == count * 70)
            for row in 0..<70 {
                let products = Array(products[(row * 4200)..<((row + 1) * 4200)])
                let expected = products.indices
                    .sorted { (products[$1], $0) < (products[$0], $1) }.prefix(count)
                #expect(found[(row * count)..<((row + 1) * count)].map(\.row) == Array(expected))
            }
        }
    }

    // MARK: maps

    @Test func principalComponentsAreEigenvectors() throws {
        let vectors = planted(5, each: 40, dimension: 30)
        let components = try PrincipalComponents(count: 4).run(on: vectors)
        // The covariance, in double precision.
        let rows = (0..<200).map { vectors[$0].map(Double.init) }
        var means = [Double](repeating: 0, count: 30)
        for row in rows { for i in 0..<30 { means[i] += row[i] / 200 } }
        var covariance = [[Double]](repeating: means.map { _ in 0 }, count: 30)
        for row in rows {
            for a in 0..<30 {
                for b in 0..<30 {
                    covariance[a][b] += (row[a] - means[a]) * (row[b] - means[b]) / 199
                }
            }
        }
        for axis in 0..<4 {
            let vector = components.axes[axis].map(Double.init)
            let variance = components.variances[axis]
            for (row, value) in zip(covariance, vector) {
                let product = zip(row, vector).reduce(0) { $0 + $1.0 * $1.1 }
                #expect(abs(product - variance * value) < 1e-5 * components.variances[0])
            }
            #expect(abs(vector.reduce(0) { $0 + $1 * $1 } - 1) < 1e-6)
            #expect((vector.max { abs($0) < abs($1) } ?? 0) > 0)
            for other in 0..<axis {
                let product = zip(components.axes[other], components.axes[axis])
                    .reduce(0) { $0 + $1.0 * $1.1 }
                #expect(abs(product) < 1e-5)
            }
            let coordinates = (0..<200).map { Double(components.coordinates[$0][axis]) }
            #expect(abs(coordinates.reduce(0, +)) < 1e-3)
            #expect(
                abs(coordinates.reduce(0) { $0 + $1 * $1 } / 199 - variance) < 1e-4 * variance)
        }
        #expect(components.variances == components.variances.sorted(by: >))
        // No direction has a larger variance: their sum is at most that of the first eigenvalues.
        let total = (0..<30).map { covariance[$0][$0] }.reduce(0, +)
        #expect(components.variances.reduce(0, +) < total)
    }

    @Test func neighbourhoodsHaveTheGivenPerplexity() {
        let pool = WorkspacePool(threads: 2)
        let neighbours = Neighbours(planted(8, each: 50).normalized(), perplexity: 20, pool)
        #expect(abs(neighbours.probabilities.reduce(0, +) - 1) < 1e-4)
        var entries: [Int: Float] = [:]
        for row in 0..<400 {
            for place in neighbours.starts[row]..<neighbours.starts[row + 1] {
                #expect(Int(neighbours.columns[place]) != row)
                entries[row * 400 + Int(neighbours.columns[place])] =
                    neighbours.probabilities[place]
            }
        }
        for (place, probability) in entries {  // symmetrical
            #expect(abs((entries[place % 400 * 400 + place / 400] ?? 0) - probability) < 1e-9)
        }
    }

    @Test func forcesMatchTheFormula() {
        let pool = WorkspacePool(threads: 2)
        let vectors = planted(6, each: 50)
        let neighbours = Neighbours(vectors.normalized(), perplexity: 15, pool)
        var random = SplitMix64(state: 3)
        var x = (0..<300).map { _ in Float(random.nextUnit() * 10) }
        var y = (0..<300).map { _ in Float(random.nextUnit() * 4) }
        (x[7], y[7]) = (x[9], y[9])  // two in one place
        func near(_ i: Int, _ j: Int) -> Double {
            let (dx, dy) = (Double(x[i] - x[j]), Double(y[i] - y[j]))
            return 1 / (1 + dx * dx + dy * dy)
        }
        var sum = 0.0
        for i in 0..<300 { for j in 0..<300 where i != j { sum += near(i, j) } }
        var expected = [Double](repeating: 0, count: 300)
        var divergence = 0.0
        for i in 0..<300 {
            for j in 0..<300 where i != j {
                expected[i] -= 4 * near(i, j) * near(i, j) / sum * Double(x[i] - x[j])
            }
            for place in neighbours.starts[i]..<neighbours.starts[i + 1] {
                let (j, p) = (
                    Int(neighbours.columns[place]), Double(neighbours.probabilities[place])
                )
                expected[i] += 4 * 2 * p * near(i, j) * Double(x[i] - x[j])
                divergence += p * log(p / (near(i, j) / sum))
            }
        }
        let exact = Forces(x, y, neighbours, attraction: 2, angle: 0, pool)
        let about = Forces(x, y, neighbours, attraction: 2, angle: 0.5, pool)
        let largest = expected.map { abs($0) }.max() ?? 0
        for i in 0..<300 {
            #expect(abs(Double(exact.gradientX[i]) - expected[i]) < 1e-4 * largest)
            #expect(abs(Double(about.gradientX[i]) - expected[i]) < 0.02 * largest)
        }
        #expect(abs(exact.divergence - divergence) < 1e-4)
    }

    @Test func mapKeepsClustersTogether() throws {
        let vectors = planted(5, each: 30)
        let layout = try TSNE(perplexity: 10).run(on: vectors)
        let again = try TSNE(perplexity: 10, threads: 1).run(on: vectors)
        #expect(layout.points.map { [$0.x, $0.y] } == again.points.map { [$0.x, $0.y] })
        #expect(layout.divergence > 0 && layout.divergence < 1)
        for (row, point) in layout.points.enumerated() {
            let nearest = layout.points.indices.filter { $0 != row }.min {
                func distance(_ other: Int) -> Float {
                    let (dx, dy) = (
                        point.x - layout.points[other].x, point.y - layout.points[other].y
                    )
                    return dx * dx + dy * dy
                }
                return distance($0) < distance($1)
            }
            #expect((nearest ?? -1) / 30 == row / 30)
        }
    }

    @Test(arguments: [0, 1, 2, 3, 4, 5, 9]) func mapOfFewPoints(count: Int) throws {
        let vectors = Embeddings(
            rows: Array(planted(1, each: 9).values.prefix(count * 24)), dimension: 24)
        let layout = try TSNE().run(on: vectors)
        #expect(layout.points.count == count)
        #expect(layout.points.allSatisfy { $0.x.isFinite && $0.y.isFinite })
        let same = Embeddings(rows: [Float](repeating: 1, count: count * 3), dimension: 3)
        let points = try TSNE().run(on: same).points
        #expect(points.allSatisfy { $0.x.isFinite && $0.y.isFinite })
    }

    // MARK: scores

    @Test func captionScoresMatchTheFormula() {
        #expect(CaptionScores.clipScore(cosine: 0.3) == 0.75)
        #expect(CaptionScores.clipScore(cosine: -0.3) == 0)
        let score = CaptionScores.refCLIPScore(clipScore: 0.75, referenceCosines: [0.2, 0.8, -1])
        #expect(abs(score - 2 * 0.75 * 0.8 / 1.55) < 1e-6)
        #expect(CaptionScores.refCLIPScore(clipScore: 0.75, referenceCosines: [-0.2]) == 0)
        #expect(CaptionScores.refCLIPScore(clipScore: 0, referenceCosines: [0.5]) == 0)
        #expect(CaptionScores.refCLIPScore(clipScore: 1, referenceCosines: []) == 0)
    }

    @Test func lossAndRanksOfPairs() throws {
        let (images, texts) = (planted(270, each: 1), planted(270, each: 1, seed: 4))
        let evaluation = try PairEvaluation(logitScale: 20)
            .run(on: .init(images: images, texts: texts))
        let cosines = try images.cosineSimilarities(to: texts).map { $0.map(Double.init) }
        var (imageLoss, textLoss) = (0.0, 0.0)
        for i in 0..<270 {
            let across = (0..<270).reduce(0) { $0 + exp(20 * cosines[i][$1]) }
            let down = (0..<270).reduce(0) { $0 + exp(20 * cosines[$1][i]) }
            imageLoss -= log(exp(20 * cosines[i][i]) / across) / 270
            textLoss -= log(exp(20 * cosines[i][i]) / down) / 270
            #expect(
                evaluation.imageToText.ranks[i]
                    == cosines[i].count { $0 > cosines[i][i] } + 1)
        }
        #expect(abs(evaluation.imageToText.loss - imageLoss) < 1e-5)
        #expect(abs(evaluation.textToImage.loss - textLoss) < 1e-5)
        #expect(abs(evaluation.loss - (imageLoss + textLoss) / 2) < 1e-5)
        let same = try PairEvaluation(logitScale: 100)
            .run(on: .init(images: images, texts: images))
        #expect(same.imageToText.recall(at: 1) == 1 && same.loss < evaluation.loss)
        #expect(evaluation.textToImage.recall(at: 270) == 1)
    }
}

/// Returns vectors around random directions, one direction after the other.
func planted(
    _ clusters: Int, each: Int, dimension: Int = 24, spread: Float = 0.6, seed: UInt64 = 1
) -> Embeddings {
    var random = SplitMix64(state: seed)
    func vector() -> [Float] { (0..<dimension).map { _ in Float(random.nextUnit() - 0.5) } }
    var values: [Float] = []
    for _ in 0..<clusters {
        let centre = vector()
        for _ in 0..<each { values += zip(centre, vector()).map { $0 + spread * $1 } }
    }
    return Embeddings(rows: values, dimension: dimension)
}
