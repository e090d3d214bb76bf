public import CLIP
internal import Tensors

/// A search for near duplicates by their vectors, which returns groups of similar rows and the row
/// of each group to keep.
///
/// Rows are visited in the order of preference. A row whose cosine with a kept row reaches the
/// threshold joins the group of that row; any other row is kept. So a duplicate is always similar
/// to the kept row of its group, not only to another duplicate.
///
/// ```swift
/// for group in try NearDuplicates(threshold: 0.97).run(on: embeddings).groups {
///     print(group.kept, group.duplicates.map(\.row))
/// }
/// ```
///
/// `DuplicateSearch` compares pixels as well.
public struct NearDuplicates: Analysis {
    /// The smallest cosine at which two rows count as duplicates.
    public var threshold: Float = 0.97
    /// The order of preference for keeping rows, with every row number once; 0, 1, 2, … if nil.
    public var preference: [Int]?
    /// The number of threads; all cores of the process if nil.
    public var threads: Int?

    /// Makes the options.
    ///
    /// - Parameters:
    ///   - threshold: The smallest cosine at which two rows count as duplicates.
    ///   - preference: The order of preference for keeping rows, with every row number once; 0,
    ///     1, 2, … if nil.
    ///   - threads: The number of threads; all cores of the process if nil.
    public init(threshold: Float = 0.97, preference: [Int]? = nil, threads: Int? = nil) {
        (self.threshold, self.preference, self.threads) = (threshold, preference, threads)
    }

    /// The groups that were found.
    public struct Result: Sendable, Hashable, Codable {
        /// The groups of two or more rows, in the order of preference of their kept rows.
        public let groups: [Group]
    }

    /// A row that is kept, and its duplicates.
    public struct Group: Sendable, Hashable, Codable {
        /// The row that is kept.
        public let kept: Int
        /// The other rows, the largest cosine first.
        public let duplicates: [Duplicate]
    }

    /// A row that is similar to the kept row of its group.
    public struct Duplicate: Sendable, Hashable, Codable {
        /// The row of the vector.
        public let row: Int
        /// The cosine with the kept row.
        public let cosine: Float
    }

    /// Finds groups of similar vectors.
    ///
    /// - Parameters:
    ///   - embeddings: The vectors, of any norms.
    ///   - progress: A function that is called from time to time with the fraction of the work
    ///     done, 0...1; it returns false to stop the search.
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
        // Each pass takes a batch of rows, decides which of them are kept, and then adds all later
        // rows that are similar to these.
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
