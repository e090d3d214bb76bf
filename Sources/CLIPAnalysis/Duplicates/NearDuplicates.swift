public import CLIP
internal import Tensors

/// An image that is kept, and those so like it that they are not needed.
public struct NearDuplicates: Sendable, Hashable, Codable {
    /// The row that is kept.
    public let kept: Int
    /// The others, most alike first.
    public let duplicates: [Duplicate]

    /// A row that is like another.
    public struct Duplicate: Sendable, Hashable, Codable {
        /// Which one.
        public let row: Int
        /// With the row that is kept.
        public let cosine: Float
    }

    /// The groups of vectors that are alike.
    ///
    /// Rows are kept in the order of preference; each further row joins one that is kept if their cosine reaches the
    /// threshold. So a duplicate is always like what stands for it, and not only like something that is like it.
    ///
    /// - Parameters:
    ///   - embeddings: of any length each.
    ///   - preference: every row once, those that are rather kept first.
    ///   - threshold: the least cosine of duplicates.
    ///   - threads: all cores of the process if nil.
    /// - Returns: groups of two or more, in the order of preference.
    public static func groups(
        in embeddings: Embeddings, preference: [Int], threshold: Float, threads: Int? = nil
    ) -> [NearDuplicates] {
        precondition(
            preference.count == embeddings.count, "\(preference.count) of \(embeddings.count) rows")
        let pool = WorkspacePool(threads: max(1, threads ?? availableCores()))
        let unit = embeddings.normalized()
        var members: [Int: [Duplicate]] = [:]
        var rest = preference[...]
        // Some rows at a time: what is kept of them, then what of all others is like that.
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
        }
        return preference.compactMap { row in
            members[row].map { found in
                NearDuplicates(
                    kept: row,
                    duplicates: found.sorted { ($1.cosine, $0.row) < ($0.cosine, $1.row) })
            }
        }
    }
}
