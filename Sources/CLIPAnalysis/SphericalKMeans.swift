public import CLIP
internal import Tensors

/// Vectors in groups of one direction: k-means on the unit sphere.
///
/// Each vector belongs to the centre of the largest cosine, each centre is the normalised sum of its vectors.
/// The first centres are drawn by greedy k-means++; then, some times over, one that is hardly missed is put
/// elsewhere, and stays there if the mean cosine has grown. The same on every machine of one instruction set, on
/// any number of threads.
///
/// Source: Dhillon and Modha 2001 (spherical k-means), Arthur and Vassilvitskii 2007 (k-means++), Fränti 2018
/// (random swaps).
public struct SphericalKMeans: Sendable, Hashable, Codable {
    /// The directions of the clusters, one row each, L2-normalised; the largest cluster first.
    public let centroids: Embeddings
    /// The cluster of each vector.
    public let assignments: [Int]
    /// Of each vector with the centre of its cluster, -1...1.
    public let cosines: [Float]
    /// Of the cosines: what is as large as was found.
    public let meanCosine: Double

    /// Groups vectors.
    ///
    /// - Parameters:
    ///   - embeddings: of any length each.
    ///   - clusters: 1 to as many as there are vectors; of vectors that are all alike, some are empty.
    ///   - seed: another one may lead to another result.
    ///   - swaps: how often a centre is put elsewhere; if nil 10 to 200 times, fewer of many vectors.
    ///   - threads: all cores of the process if nil.
    public init(
        _ embeddings: Embeddings, clusters: Int, seed: UInt64 = 0, swaps: Int? = nil,
        threads: Int? = nil
    ) {
        let count = embeddings.count
        precondition(
            (1...max(1, count)).contains(clusters), "\(clusters) clusters of \(count) vectors")
        let pool = WorkspacePool(threads: max(1, threads ?? availableCores()))
        let unit = embeddings.normalized()
        var random = SplitMix64(state: seed)
        var state = State(Self.seeds(unit, clusters, &random, pool), unit, pool)
        state.settle(unit, pool)
        for _ in 0..<(swaps ?? max(10, min(200, 10_000_000 / (count * clusters)))) {
            let losses = state.losses
            let missedLeast = losses.indices.sorted { (losses[$0], $0) < (losses[$1], $1) }
                .prefix(3)
            let distances = state.nearest.map { max(0, 1 - $0.product) }
            let row = random.nextPlace(weights: distances)
            let cluster = missedLeast[Int(random.next() % UInt64(missedLeast.count))]
            var tried = State(state.centroids.replacing(cluster, with: unit[row]), unit, pool)
            tried.settle(unit, pool, iterations: 5)
            if tried.meanCosine > state.meanCosine { state = tried }
        }
        state.settle(unit, pool)

        // The largest first; of one size, that of the first vector.
        let rows = state.nearest.map(\.row)
        var sizes = [Int](repeating: 0, count: clusters)
        var firsts = [Int](repeating: .max, count: clusters)
        for (row, cluster) in rows.enumerated() {
            sizes[cluster] += 1
            firsts[cluster] = min(firsts[cluster], row)
        }
        let order = (0..<clusters).sorted { (sizes[$1], firsts[$0]) < (sizes[$0], firsts[$1]) }
        var places = [Int](repeating: 0, count: clusters)
        for (place, cluster) in order.enumerated() { places[cluster] = place }
        centroids = Embeddings(
            rows: state.centroids.values(ofRows: order), dimension: unit.dimension)
        assignments = rows.map { places[$0] }
        cosines = state.nearest.map { min(1, max(-1, $0.product)) }
        meanCosine = state.meanCosine
    }

    /// Centres, and the vectors that belong to them.
    private struct State {
        var centroids: Embeddings
        /// The centre of each vector and its cosine; how much less that of the next one is.
        var nearest: [(row: Int, product: Float)] = []
        var leads: [Float] = []
        var meanCosine = 0.0

        init(_ centroids: Embeddings, _ unit: Embeddings, _ pool: WorkspacePool) {
            self.centroids = centroids
            assign(unit, pool)
        }

        private mutating func assign(_ unit: Embeddings, _ pool: WorkspacePool) {
            let wanted = min(2, centroids.count)
            let found = nearestRows(
                wanted, of: unit.values, among: centroids.values, dimension: unit.dimension,
                on: pool)
            let firsts = stride(from: 0, to: found.count, by: wanted)
            nearest = firsts.map { found[$0] }
            leads = firsts.map { found[$0].product - found[$0 + wanted - 1].product }
            meanCosine =
                nearest.reduce(0) { $0 + Double($1.product) } / Double(max(1, nearest.count))
        }

        /// Moves each centre to the middle of its vectors, until none of these changes its centre.
        mutating func settle(_ unit: Embeddings, _ pool: WorkspacePool, iterations: Int = 300) {
            let dimension = unit.dimension
            for _ in 0..<iterations {
                var sums = [Float](repeating: 0, count: centroids.values.count)
                var isEmpty = [Bool](repeating: true, count: centroids.count)
                for (row, cluster) in nearest.lazy.map(\.row).enumerated() {
                    isEmpty[cluster] = false
                    for i in 0..<dimension {
                        sums[cluster * dimension + i] += unit.values[row * dimension + i]
                    }
                }
                // One that has no vectors stays where it is.
                for cluster in isEmpty.indices where isEmpty[cluster] {
                    let place = cluster * dimension
                    sums.replaceSubrange(place..<(place + dimension), with: centroids[cluster])
                }
                let old = nearest
                centroids = Embeddings(rows: sums, dimension: dimension).normalized()
                assign(unit, pool)
                if zip(old, nearest).allSatisfy({ $0.row == $1.row }) { break }
            }
        }

        /// What the vectors of each centre would lose if it were not there.
        var losses: [Double] {
            zip(nearest, leads).reduce(into: [Double](repeating: 0, count: centroids.count)) {
                $0[$1.0.row] += Double($1.1)
            }
        }
    }

    /// Vectors far from each other, by greedy k-means++.
    private static func seeds(
        _ unit: Embeddings, _ clusters: Int, _ random: inout SplitMix64, _ pool: WorkspacePool
    ) -> Embeddings {
        /// Of each vector to the nearest seed: half the square of their distance.
        func distances(_ old: [Float], with row: Int) -> [Float] {
            zip(old, dotProducts(of: unit.values, with: unit[row], on: pool))
                .map { min($0, max(0, 1 - $1)) }
        }
        let trials = 2 + Int(Double(clusters).logarithm)
        var chosen = [Int(random.next() % UInt64(unit.count))]
        var nearest = distances([Float](repeating: 2, count: unit.count), with: chosen[0])
        while chosen.count < clusters {
            var best: (row: Int, distances: [Float], sum: Double)?
            for _ in 0..<trials {
                let row = random.nextPlace(weights: nearest)
                let tried = distances(nearest, with: row)
                let sum = tried.reduce(0) { $0 + Double($1) }
                if best.map({ sum < $0.sum }) ?? true { best = (row, tried, sum) }
            }
            guard let best else { break }
            chosen.append(best.row)
            nearest = best.distances
        }
        return Embeddings(rows: unit.values(ofRows: chosen), dimension: unit.dimension)
    }
}

extension Embeddings {
    /// The same with another vector in a row.
    fileprivate func replacing(_ row: Int, with vector: [Float]) -> Embeddings {
        var values = values
        values.replaceSubrange((row * dimension)..<((row + 1) * dimension), with: vector)
        return Embeddings(rows: values, dimension: dimension)
    }
}
