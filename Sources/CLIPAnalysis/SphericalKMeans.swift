public import CLIP
internal import Tensors

/// Spherical k-means: clusters of vectors by their directions.
///
/// Each vector belongs to the centroid with the largest cosine, and each centroid is the normalised
/// sum of its vectors. The first centroids are chosen by greedy k-means++. Random swaps follow: one
/// of the three centroids whose removal costs least is moved to a random vector, preferably one far
/// from its centroid, and the swap is undone unless the mean cosine increases.
///
/// ```swift
/// let result = try SphericalKMeans(clusters: 20).run(on: embeddings)
/// print(result.assignments, result.meanCosine)
/// ```
///
/// The result is the same on every machine with the same instruction set, on any number of threads.
///
/// Source: Dhillon and Modha 2001 (spherical k-means), Arthur and Vassilvitskii 2007 (k-means++),
/// Fränti 2018 (random swaps).
public struct SphericalKMeans: Analysis {
    /// The number of clusters, 1 to the number of vectors.
    public var clusters: Int
    /// The seed of the random numbers; another seed may lead to another result.
    public var seed: UInt64 = 0
    /// The number of random swaps; 10 to 200 if nil, fewer for more vectors and clusters.
    public var swaps: Int?
    /// The number of threads; all cores of the process if nil.
    public var threads: Int?

    /// Makes the options.
    ///
    /// - Parameters:
    ///   - clusters: The number of clusters, 1 to the number of vectors.
    ///   - seed: The seed of the random numbers; another seed may lead to another result.
    ///   - swaps: The number of random swaps; 10 to 200 if nil, fewer for more vectors and
    ///     clusters.
    ///   - threads: The number of threads; all cores of the process if nil.
    public init(clusters: Int, seed: UInt64 = 0, swaps: Int? = nil, threads: Int? = nil) {
        (self.clusters, self.seed, self.swaps) = (clusters, seed, swaps)
        self.threads = threads
    }

    /// The clusters of vectors.
    public struct Result: Sendable, Hashable, Codable {
        /// The centroids, one row for each cluster, L2-normalised; the largest cluster first.
        ///
        /// The last clusters may be empty, for example if many vectors are equal.
        public let centroids: Embeddings
        /// The cluster of each vector.
        public let assignments: [Int]
        /// The cosine of each vector with the centroid of its cluster, -1...1.
        public let cosines: [Float]
        /// The mean cosine of vectors to their centroid; the objective that k-means maximises.
        public let meanCosine: Double
    }

    /// Groups vectors into clusters.
    ///
    /// - Parameters:
    ///   - embeddings: The vectors, of any norms.
    ///   - progress: A function that is called from time to time with the fraction of the work
    ///     done, 0...1; it returns false to stop the analysis.
    /// - Returns: The clusters.
    /// - Throws: `AnalysisError.tooFewVectors` if there are no vectors, `.invalidOption` if
    ///   `clusters` or `swaps` is out of range, and `.cancelled`.
    public func run(
        on embeddings: Embeddings, progress: (Double) -> Bool
    ) throws(AnalysisError) -> Result {
        let count = embeddings.count
        guard count > 0 else { throw .tooFewVectors(expected: 1, found: 0) }
        guard (1...count).contains(clusters) else {
            throw .invalidOption(name: "clusters", found: "\(clusters)", expected: "1 to \(count)")
        }
        let swaps = swaps ?? max(10, min(200, 10_000_000 / (count * clusters)))
        guard swaps >= 0 else {
            throw .invalidOption(name: "swaps", found: "\(swaps)", expected: "0 or more")
        }
        try report(0, to: progress)
        let pool = WorkspacePool(threads: max(1, threads ?? availableCores()))
        let unit = embeddings.normalized()
        var random = SplitMix64(state: seed)
        let seeds = try seeds(unit, &random, pool) { progress(0.1 * $0) }
        var state = State(seeds, unit, pool)
        state.settle(unit, pool)
        for swap in 0..<swaps {
            try report(0.1 + 0.9 * Double(swap) / Double(swaps), to: progress)
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

        // The largest cluster first; of equal ones, the one with the first vector.
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
        return Result(
            centroids: Embeddings(
                rows: state.centroids.values(ofRows: order), dimension: unit.dimension),
            assignments: rows.map { places[$0] },
            cosines: state.nearest.map { min(1, max(-1, $0.product)) },
            meanCosine: state.meanCosine)
    }

    /// Centroids and the assignment of vectors to them.
    private struct State {
        var centroids: Embeddings
        /// The row of each vector's centroid, and the cosine of the vector with it.
        var nearest: [(row: Int, product: Float)] = []
        /// The cosine of each vector with its centroid, minus the cosine with the second nearest
        /// centroid; 0 if there is only one centroid.
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

        /// Repeats the steps of k-means until no vector changes its centroid, at most `iterations`
        /// times.
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
                // A centroid without vectors stays where it is.
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

        /// The decrease of the sum of all cosines if a centroid were removed, for each centroid.
        var losses: [Double] {
            zip(nearest, leads).reduce(into: [Double](repeating: 0, count: centroids.count)) {
                $0[$1.0.row] += Double($1.1)
            }
        }
    }

    /// Chooses the first centroids among the vectors, far from each other, by greedy k-means++.
    private func seeds(
        _ unit: Embeddings, _ random: inout SplitMix64, _ pool: WorkspacePool,
        progress: (Double) -> Bool
    ) throws(AnalysisError) -> Embeddings {
        /// Returns half the squared distance of each vector to the nearest seed, given those to the
        /// earlier seeds and the row of a new seed.
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
            try report(Double(chosen.count) / Double(clusters), to: progress)
        }
        return Embeddings(rows: unit.values(ofRows: chosen), dimension: unit.dimension)
    }
}

extension Embeddings {
    /// Returns a copy with another vector in one row.
    fileprivate func replacing(_ row: Int, with vector: [Float]) -> Embeddings {
        var values = values
        values.replaceSubrange((row * dimension)..<((row + 1) * dimension), with: vector)
        return Embeddings(rows: values, dimension: dimension)
    }
}
