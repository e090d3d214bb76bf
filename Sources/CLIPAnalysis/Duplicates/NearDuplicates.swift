public import CLIP
internal import Tensors

/// Near duplicates by their vectors: groups of rows, each with one that is kept.
///
/// Rows are kept in the order of preference. Each further row joins the most similar row that is
/// kept if their cosine reaches the threshold. So a duplicate is always similar to the row that
/// stands for it, not only to another duplicate.
///
/// ```swift
/// for group in try NearDuplicates(threshold: 0.97).run(on: embeddings).groups {
///     print(group.kept, group.duplicates.map(\.row))
/// }
/// ```
///
/// `DuplicateSearch` compares pixels as well.
public struct NearDuplicates: Analysis {
    /// The least cosine of duplicates.
    public var threshold: Float = 0.97
    /// Every row once, those to keep first; the order of the rows if nil.
    public var preference: [Int]?
    /// The number of threads; all cores of the process if nil.
    public var threads: Int?

    /// Makes the options.
    ///
    /// - Parameters:
    ///   - threshold: The least cosine of duplicates.
    ///   - preference: Every row once, those to keep first; the order of the rows if nil.
    ///   - threads: The number of threads; all cores of the process if nil.
    public init(threshold: Float = 0.97, preference: [Int]? = nil, threads: Int? = nil) {
        (self.threshold, self.preference, self.threads) = (threshold, preference, threads)
    }

    /// The groups that were found.
    public struct Result: Sendable, Hashable, Codable {
        /// The groups of two or more rows, in the order of preference of the rows that they keep.
        public let groups: [Group]
    }

    /// A row that is kept, and its duplicates.
    public struct Group: Sendable, Hashable, Codable {
        /// The row that is kept.
        public let kept: Int
        /// The other rows, the largest cosine first.
        public let duplicates: [Duplicate]
    }

    /// A row that is similar to the one that its group keeps.
    public struct Duplicate: Sendable, Hashable, Codable {
        /// The row of the vector.
        public let row: Int
        /// The cosine with the row that is kept.
        public let cosine: Float
    }

    /// Finds groups of similar vectors.
    ///
    /// - Parameters:
    ///   - embeddings: The vectors, of any norms.
    ///   - progress: Called now and then with the share that is done, 0...1; false stops the
    ///     search.
    /// - Returns: The groups.
    /// - Throws: `AnalysisError.wrongCount` or `.invalidPreference` if `preference` does not name
    ///   every row once, and `.cancelled`.
    /// - Complexity: O(n · k · dimension) for n rows of which k are kept.
    public func run(
        on embeddings: Embeddings, progress: (Double) -> Bool
    ) throws(AnalysisError) -> Result {
        let preference = preference ?? Array(0..<embeddings.count)
        try AnalysisError.check(preference: preference, count: embeddings.count)
        let pool = WorkspacePool(threads: max(1, threads ?? availableCores()))
        let unit = embeddings.normalized()
        var members: [Int: [Duplicate]] = [:]
        var rest = preference[...]
        // A batch of rows at a time: first those of them that are kept, then all later rows that
        // are similar to these.
        while !rest.isEmpty {
            let some = Array(rest.prefix(2048))
            let vectors = unit.values(ofRows: some)
            let cosines = dotProducts(vectors, vectors, dimension: unit.dimension)
            var kept: [Int] = []
            for place in some.indices {
                func cosine(_ other: Int) -> Float { cosines[place * some.count + other] }
                if let best = kept.max(by: { cosine($0) < cosine($1) }), cosine(best) >= threshold {
                    members[some[best], default: []].append(
                        Duplicate(row: some[place], cosine: min(1, cosine(best))))
                } else {
                    kept.append(place)
                }
            }
            let others = Array(rest.dropFirst(some.count))
            let nearest = nearestRows(
                1, of: unit.values(ofRows: others),
                among: unit.values(ofRows: kept.map { some[$0] }),
                dimension: unit.dimension, on: pool)
            var open: [Int] = []
            for (row, found) in zip(others, nearest) {
                if found.product >= threshold {
                    members[some[kept[found.row]], default: []].append(
                        Duplicate(row: row, cosine: min(1, found.product)))
                } else {
                    open.append(row)
                }
            }
            rest = open[...]
            try report(1 - Double(rest.count) / Double(preference.count), to: progress)
        }
        let groups = preference.compactMap { row in
            members[row].map { found in
                Group(
                    kept: row,
                    duplicates: found.sorted { ($1.cosine, $0.row) < ($0.cosine, $1.row) })
            }
        }
        return Result(groups: groups)
    }
}
