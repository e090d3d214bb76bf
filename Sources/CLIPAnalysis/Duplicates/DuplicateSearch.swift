internal import Files
public import CLIP
internal import Images
internal import Tensors

/// Finds the images of an index that are similar, and those among them that are duplicates.
///
/// Images are *similar* if the cosine of their vectors reaches a threshold. They are *duplicates*
/// if their pixels agree too, within what JPEG, WebP and resizing do to an image, or if their files
/// are identical. Vectors alone prove nothing: a model sees little of fine print, and nothing of
/// what is transparent.
public struct DuplicateSearch: Sendable {
    /// The relation of an image to the one that is kept.
    public enum Verdict: String, Sendable, Codable {
        /// The files have the same bytes.
        case identical
        /// The pixels agree.
        case duplicate
        /// The vectors alone are similar; the image is kept as well.
        case similar
        /// A file of the two has changed since it was indexed, or is gone, so its pixels say
        /// nothing.
        case changed
        /// The file cannot be decoded.
        case unreadable
    }

    /// An image of a group.
    public struct Member: Sendable, Hashable, Codable {
        /// The row of its vector.
        public let row: Int
        /// The cosine with the image that is kept.
        public let cosine: Float
        /// The relation to the image that is kept.
        public let verdict: Verdict
        /// The row whose file has changed since it was indexed, this one or the one that is kept;
        /// nil unless the verdict is `.changed`.
        public let changedRow: Int?

        init(row: Int, cosine: Float, verdict: Verdict, changedRow: Int? = nil) {
            (self.row, self.cosine) = (row, cosine)
            (self.verdict, self.changedRow) = (verdict, changedRow)
        }

        /// True if the image that is kept stands for it.
        public var isDuplicate: Bool { verdict == .identical || verdict == .duplicate }
    }

    /// An image that is kept, and others that are similar to it.
    public struct Group: Sendable, Hashable, Codable {
        /// The row that is kept. It is a duplicate of nothing, but may be similar to what another
        /// group keeps.
        public let kept: Int
        /// The others, the highest cosine first. A row is a duplicate in one group at most.
        public let members: [Member]

        init(kept: Int, members: [Member]) { (self.kept, self.members) = (kept, members) }

        /// A group of images of which only the vectors are known.
        public init(_ similar: NearDuplicates) {
            kept = similar.kept
            members = similar.duplicates.map {
                Member(row: $0.row, cosine: $0.cosine, verdict: .similar)
            }
        }
    }

    private let digests: [[UInt8]]
    private let content: @Sendable (Int) -> [UInt8]?
    private let unit: Embeddings
    private let preference: [Int]
    private let rank: [Int]
    private let threshold: Float
    private let threads: Int
    private let pool: WorkspacePool

    /// The number of candidates of each kind that an image has beside the one that its group keeps.
    private static let candidates = 4

    /// - Parameters:
    ///   - embeddings: the vectors of the images.
    ///   - digests: the SHA-256 of each image's file when it was encoded, 32 bytes; empty if it is
    ///     not known.
    ///   - preference: every row once, those that are rather kept first.
    ///   - threshold: the least cosine of similar images.
    ///   - threads: all cores of the process if nil.
    ///   - content: Reads the file of a row; nil if that fails. It is called by several threads at
    ///     once.
    public init(
        _ embeddings: Embeddings, digests: [[UInt8]], preference: [Int], threshold: Float,
        threads: Int? = nil, content: @escaping @Sendable (_ row: Int) -> [UInt8]?
    ) {
        precondition(
            digests.count == embeddings.count && preference.count == digests.count,
            "\(digests.count) digests, \(embeddings.count) rows, \(preference.count) preferred")
        self.digests = digests
        self.content = content
        self.preference = preference
        self.threshold = threshold
        unit = embeddings.normalized()
        var rank = [Int](repeating: 0, count: preference.count)
        for (place, row) in preference.enumerated() { rank[row] = place }
        self.rank = rank
        self.threads = max(1, threads ?? availableCores())
        pool = WorkspacePool(threads: self.threads)
    }

    /// The groups of two or more, in the order of preference of what they keep.
    ///
    /// Decodes every image that is similar to another, in parallel.
    public func groups() -> [Group] {
        let similar = NearDuplicates.groups(
            in: unit, preference: preference, threshold: threshold, threads: threads)
        guard !similar.isEmpty else { return [] }
        let near = neighbours(of: similar)
        let seen = Set(similar.flatMap { [$0.kept] + $0.duplicates.map(\.row) }).union(near.keys)
        var views: [Int: View] = [:]
        let copyOf = copies(among: seen, &views)
        let pairs = pairs(similar, near, views, copyOf)
        let results = compare(pairs)
        let standsFor = decide(pairs, results, copyOf)
        return assemble(similar, standsFor, views, copyOf)
    }

    /// The first row, in the order of preference, with the same bytes as each row: those are one
    /// image. Every file is read, because the digests of an index may be older than the files.
    ///
    /// - Parameter views: Receives the outline of that image. If its file has changed, the next
    ///   copy is used. Copies that have changed are marked.
    private func copies(among rows: Set<Int>, _ views: inout [Int: View]) -> [Int] {
        var copies: [[UInt8]: [Int]] = [:]
        for row in preference where digests[row].count == 32 {
            copies[digests[row], default: []].append(row)
        }
        var copyOf = Array(digests.indices)
        var open = copies.values.map { $0[...] }.filter { $0.contains(where: rows.contains) }
        while !open.isEmpty {
            open.sort { rank[$0.first ?? 0] < rank[$1.first ?? 0] }
            let firsts = open.compactMap(\.first)
            var next: [ArraySlice<Int>] = []
            var sameDigests: [(row: Int, copy: Int)] = []
            for ((row, view), copies) in zip(looks(at: firsts), open) {
                views[row] = view
                if case .changed = view {
                    if copies.count > 1 { next.append(copies.dropFirst()) }
                } else {
                    sameDigests += copies.dropFirst().map { (row, $0) }
                }
            }
            let copies = sameDigests.map(\.copy)
            let areUnchanged = pool.map(copies.count) { bytes(copies[$0]) != nil }
            for ((row, copy), isUnchanged) in zip(sameDigests, areUnchanged) {
                if isUnchanged { copyOf[copy] = row } else { views[copy] = .changed }
            }
            open = next
        }
        return copyOf
    }

    private func cosine(_ a: Int, _ b: Int) -> Float {
        min(1, max(-1, zip(unit[a], unit[b]).reduce(0) { $0 + $1.0 * $1.1 }))
    }

    /// The rows that are nearest to each row among those that joined a group, as far as they are
    /// similar.
    ///
    /// A group is made around what is kept, so a copy of one of its members may be in another group
    /// or none.
    private func neighbours(of groups: [NearDuplicates]) -> [Int: [Int]] {
        let members = groups.flatMap { $0.duplicates.map(\.row) }
        let vectors = unit.values(ofRows: members)
        let wanted = min(members.count, Self.candidates + 1)
        var near: [Int: [Int]] = [:]
        for start in stride(from: 0, to: digests.count, by: 4096) {
            let rows = Array(start..<min(digests.count, start + 4096))
            let found = nearestRows(
                wanted, of: unit.values(ofRows: rows), among: vectors, dimension: unit.dimension,
                on: pool)
            for (place, match) in found.enumerated() where match.product >= threshold {
                let (row, other) = (rows[place / wanted], members[match.row])
                guard row != other else { continue }
                near[row, default: []].append(other)
                near[other, default: []].append(row)
            }
        }
        return near
    }

    /// The outcome of reading an image.
    private enum View: Sendable {
        case outline(PixelOutline)
        case changed
        case unreadable
    }

    private func looks(at rows: [Int]) -> [(row: Int, view: View)] {
        pool.map(rows.count) { place in
            ImageMemory.whileHolding {
                switch image(rows[place]) {
                case .success(let image): (rows[place], .outline(PixelOutline(image)))
                case .failure(let failure): (rows[place], failure.view)
                }
            }
        }
    }

    private struct Unusable: Error { let view: View }

    /// The content of a file; nil if it is not the one that was indexed.
    private func bytes(_ row: Int) -> [UInt8]? {
        guard let bytes = content(row), sha256(bytes) == digests[row] else { return nil }
        return bytes
    }

    /// Reads and decodes a file, as long as it is the one that was indexed.
    private func image(_ row: Int) -> Result<ComparedImage, Unusable> {
        guard let bytes = bytes(row) else { return .failure(Unusable(view: .changed)) }
        guard let image = try? ComparedImage(decoding: bytes) else {
            return .failure(Unusable(view: .unreadable))
        }
        return .success(image)
    }

    /// The rows with which each row is to be compared, all of them preferred to it.
    private func pairs(
        _ groups: [NearDuplicates], _ near: [Int: [Int]], _ views: [Int: View], _ copyOf: [Int]
    ) -> [Int: [Int]] {
        @Sendable func outline(_ row: Int) -> PixelOutline? {
            if case .outline(let outline)? = views[row] { outline } else { nil }
        }
        var pairs: [Int: Set<Int>] = [:]
        for group in groups {
            let members = ([group.kept] + group.duplicates.map(\.row)).filter { copyOf[$0] == $0 }
                .sorted { rank[$0] < rank[$1] }
            // Many members have similar outlines, such as pages of text; a copy has the most
            // similar one.
            let nearest = pool.map(members.count) { place -> [Int] in
                guard let own = outline(members[place]) else { return [] }
                var best: [(distance: Int, row: Int)] = []
                for other in members[..<place] {
                    let limit = best.count < Self.candidates ? .max : best.last?.distance ?? .max
                    guard let distance = outline(other)?.distance(to: own, below: limit) else {
                        continue
                    }
                    let index = best.firstIndex { $0.distance > distance } ?? best.endIndex
                    best.insert((distance, other), at: index)
                    if best.count > Self.candidates { best.removeLast() }
                }
                return best.map(\.row)
            }
            for (row, others) in zip(members, nearest) {
                pairs[row, default: []].formUnion(others)
                if row != group.kept { pairs[row]?.insert(group.kept) }
            }
        }
        for (row, others) in near {
            for other in others where copyOf[row] != copyOf[other] {
                let (a, b) = (copyOf[row], copyOf[other])
                pairs[rank[a] < rank[b] ? b : a, default: []].insert(rank[a] < rank[b] ? a : b)
            }
        }
        var result: [Int: [Int]] = [:]
        for (row, others) in pairs {
            guard let own = outline(row) else { continue }
            result[row] = others.map { copyOf[$0] }.filter { other in
                rank[other] < rank[row] && outline(other)?.distance(to: own) != nil
            }
        }
        return result
    }

    private struct Pair: Hashable {
        let row: Int
        let other: Int
    }

    /// Compares pixels: true for each pair that agrees.
    private func compare(_ pairs: [Int: [Int]]) -> [Pair: Bool] {
        // Each image that others are compared with is decoded once for all of them.
        var stars: [Int: [Int]] = [:]
        for (row, others) in pairs {
            for other in others { stars[other, default: []].append(row) }
        }
        let jobs = stars.sorted { rank[$0.key] < rank[$1.key] }
        let found = pool.map(jobs.count) { place -> [Bool] in
            agree(jobs[place].value, with: jobs[place].key)
        }
        var results: [Pair: Bool] = [:]
        for (job, answers) in zip(jobs, found) {
            for (row, answer) in zip(job.value, answers) {
                results[Pair(row: row, other: job.key)] = answer
            }
        }
        return results
    }

    /// Compares images with another one, which is decoded once. No more than two are in memory.
    private func agree(_ rows: [Int], with other: Int) -> [Bool] {
        ImageMemory.whileHolding {
            guard let otherImage = try? image(other).get() else {
                return [Bool](repeating: false, count: rows.count)
            }
            return rows.map { row in
                ImageMemory.whileHolding {
                    guard let image = try? image(row).get() else { return false }
                    return PixelDifference(image, otherImage)?.isDuplicate ?? false
                }
            }
        }
    }

    /// The row that stands for each duplicate.
    private func decide(
        _ pairs: [Int: [Int]], _ results: [Pair: Bool], _ copyOf: [Int]
    ) -> [Int: Int] {
        var standsFor: [Int: Int] = [:]
        for row in preference {
            if copyOf[row] != row {
                standsFor[row] = standsFor[copyOf[row]] ?? copyOf[row]
                continue
            }
            // What is compared with may be a duplicate itself: then with what stands for it.
            let kept = Set((pairs[row] ?? []).map { standsFor[$0] ?? $0 })
            let candidates = kept.map { ($0, cosine(row, $0)) }.filter { $0.1 >= threshold }
                .sorted { ($1.1, $0.0) < ($0.1, $1.0) }
            for (other, _) in candidates {
                let known = results[Pair(row: row, other: other)]
                if known ?? agree([row], with: other)[0] {
                    standsFor[row] = other
                    break
                }
            }
        }
        return standsFor
    }

    private func assemble(
        _ similar: [NearDuplicates], _ standsFor: [Int: Int], _ views: [Int: View], _ copyOf: [Int]
    ) -> [Group] {
        var members: [Int: [Member]] = [:]
        for (row, kept) in standsFor {
            let isIdentical = copyOf[row] == kept
            members[kept, default: []].append(
                Member(
                    row: row, cosine: isIdentical ? 1 : cosine(row, kept),
                    verdict: isIdentical ? .identical : .duplicate))
        }
        for group in similar {
            let kept = standsFor[group.kept] ?? group.kept
            for member in group.duplicates where standsFor[member.row] == nil {
                let cosine = kept == group.kept ? member.cosine : cosine(member.row, kept)
                guard cosine >= threshold else { continue }
                let (verdict, changedRow): (Verdict, Int?) =
                    switch (views[member.row], views[kept]) {
                    case (.changed, _): (.changed, member.row)
                    case (_, .changed): (.changed, kept)
                    case (.unreadable, _), (_, .unreadable): (.unreadable, nil)
                    default: (.similar, nil)
                    }
                members[kept, default: []].append(
                    Member(
                        row: member.row, cosine: cosine, verdict: verdict, changedRow: changedRow))
            }
        }
        return members.map { kept, members in
            Group(kept: kept, members: members.sorted { ($1.cosine, $0.row) < ($0.cosine, $1.row) })
        }
        .sorted { rank[$0.kept] < rank[$1.kept] }
    }
}
