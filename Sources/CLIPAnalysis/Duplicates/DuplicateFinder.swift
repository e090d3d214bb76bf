internal import Files
internal import CLIP
internal import Tensors

/// The implementation of `DuplicateSearch`: its steps, with the normalised vectors and preference
/// ranks that they share.
struct DuplicateFinder: Sendable {
    typealias Group = DuplicateSearch.Group
    typealias Member = DuplicateSearch.Member
    typealias Verdict = DuplicateSearch.Verdict

    private let digests: [[UInt8]]
    private let content: @Sendable (Int) -> [UInt8]?
    private let unit: Embeddings
    private let preference: [Int]
    /// The rank of each row in the order of preference, from 0.
    private let rank: [Int]
    private let threshold: Float
    private let threads: Int
    private let pool: WorkspacePool

    /// The number of images with the nearest thumbnails, and of images with the nearest vectors,
    /// that an image is compared with in addition to the kept image of its group.
    private static let candidates = 4

    init(_ images: DuplicateSearch.Input, preference: [Int], threshold: Float, threads: Int) {
        digests = images.digests
        content = images.content
        self.preference = preference
        self.threshold = threshold
        self.threads = threads
        unit = images.embeddings.normalized()
        var rank = [Int](repeating: 0, count: preference.count)
        for (place, row) in preference.enumerated() { rank[row] = place }
        self.rank = rank
        pool = WorkspacePool(threads: threads)
    }

    /// Returns the groups of two or more images, in the order of preference of their kept images.
    func groups(progress: (Double) -> Bool) throws(AnalysisError) -> [Group] {
        let search = NearDuplicates(
            threshold: threshold, preference: preference, threads: threads)
        let similar = try search.run(on: unit) { progress(0.2 * $0) }.groups
        guard !similar.isEmpty else { return [] }
        let near = try neighbours(of: similar) { progress(0.2 + 0.2 * $0) }
        let seen = Set(similar.flatMap { [$0.kept] + $0.duplicates.map(\.row) }).union(near.keys)
        var views: [Int: View] = [:]
        var share = 0.0
        let copyOf = try copies(among: seen, &views) {
            // Each round of copies begins at 0 again.
            share = max(share, $0)
            return progress(0.4 + 0.3 * share)
        }
        let pairs = pairs(similar, near, views, copyOf)
        try report(0.7, to: progress)
        let results = try compare(pairs) { progress(0.7 + 0.3 * $0) }
        let standsFor = decide(pairs, results, copyOf)
        return assemble(similar, standsFor, views, copyOf)
    }

    /// Calls `body` for 0..<count on all threads, and reports the progress.
    private func map<Value: Sendable>(
        _ count: Int, progress: (Double) -> Bool, _ body: @Sendable (Int) -> Value
    ) throws(AnalysisError) -> [Value] {
        var values: [Value] = []
        values.reserveCapacity(count)
        // In portions, because the threads cannot call `progress`.
        for start in stride(from: 0, to: count, by: 64 * threads) {
            let end = min(count, start + 64 * threads)
            values += pool.map(end - start) { body(start + $0) }
            try report(Double(end) / Double(count), to: progress)
        }
        return values
    }

    /// Returns, for each row, the first row in the order of preference whose file has the same
    /// bytes.
    ///
    /// Only `rows` and the rows with the same digest as one of them are examined; any other row,
    /// and a row without a digest, is its own first row. The examined files are read, because the
    /// digests of an index may be older than the files. `views` receives the outlines of the first
    /// rows. If the file of a first row has changed, the next row with the same digest takes its
    /// place. Rows whose files have changed are marked in `views`.
    private func copies(
        among rows: Set<Int>, _ views: inout [Int: View], progress: (Double) -> Bool
    ) throws(AnalysisError) -> [Int] {
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
            for ((row, view), copies) in zip(try looks(at: firsts, progress: progress), open) {
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

    /// Returns the neighbours of each row, in both directions: its nearest similar rows among those
    /// that joined a group without being its kept row.
    ///
    /// A group contains rows that are similar to its kept row, so a copy of another member may be
    /// in a different group or in none.
    private func neighbours(
        of groups: [NearDuplicates.Group], progress: (Double) -> Bool
    ) throws(AnalysisError) -> [Int: [Int]] {
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
            try report(Double(start + rows.count) / Double(digests.count), to: progress)
        }
        return near
    }

    /// The outcome of reading an image.
    private enum View: Sendable {
        case outline(PixelOutline)
        case changed
        case unreadable
    }

    private func looks(
        at rows: [Int], progress: (Double) -> Bool
    ) throws(AnalysisError) -> [(row: Int, view: View)] {
        try map(rows.count, progress: progress) { place in
            RGBImage.whileHoldingMemory {
                switch image(rows[place]) {
                case .success(let image): (rows[place], .outline(PixelOutline(image)))
                case .failure(let failure): (rows[place], failure.view)
                }
            }
        }
    }

    private struct Unusable: Error { let view: View }

    /// Returns the bytes of a row's file; nil if it cannot be read or has changed since it was
    /// indexed.
    private func bytes(_ row: Int) -> [UInt8]? {
        guard let bytes = content(row), sha256(bytes) == digests[row] else { return nil }
        return bytes
    }

    /// Reads and decodes a row's file, unless it has changed since it was indexed.
    private func image(_ row: Int) -> Result<ComparedImage, Unusable> {
        guard let bytes = bytes(row) else { return .failure(Unusable(view: .changed)) }
        guard let image = try? ComparedImage(decoding: bytes) else {
            return .failure(Unusable(view: .unreadable))
        }
        return .success(image)
    }

    /// Returns the rows to compare each row with, which come before it in the order of preference.
    private func pairs(
        _ groups: [NearDuplicates.Group], _ near: [Int: [Int]], _ views: [Int: View],
        _ copyOf: [Int]
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

    /// Compares the pixels of each pair; the result of a pair is true if its pixels agree.
    private func compare(
        _ pairs: [Int: [Int]], progress: (Double) -> Bool
    ) throws(AnalysisError) -> [Pair: Bool] {
        // Each image that others are compared with is decoded once for all of them.
        var stars: [Int: [Int]] = [:]
        for (row, others) in pairs {
            for other in others { stars[other, default: []].append(row) }
        }
        let jobs = stars.sorted { rank[$0.key] < rank[$1.key] }
        let found = try map(jobs.count, progress: progress) { place -> [Bool] in
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

    /// Returns, for each of `rows`, true if its pixels agree with those of `other`, which is
    /// decoded once.
    ///
    /// At most two decoded images are in memory in each call.
    private func agree(_ rows: [Int], with other: Int) -> [Bool] {
        RGBImage.whileHoldingMemory {
            guard let otherImage = try? image(other).get() else {
                return [Bool](repeating: false, count: rows.count)
            }
            return rows.map { row in
                RGBImage.whileHoldingMemory {
                    guard let image = try? image(row).get() else { return false }
                    return PixelDifference(image, otherImage)?.isDuplicate ?? false
                }
            }
        }
    }

    /// Returns, for each duplicate, the kept row that can replace it.
    private func decide(
        _ pairs: [Int: [Int]], _ results: [Pair: Bool], _ copyOf: [Int]
    ) -> [Int: Int] {
        var standsFor: [Int: Int] = [:]
        for row in preference {
            if copyOf[row] != row {
                standsFor[row] = standsFor[copyOf[row]] ?? copyOf[row]
                continue
            }
            // If a row to compare with is a duplicate itself, the row that replaces it is compared
            // instead.
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
        _ similar: [NearDuplicates.Group], _ standsFor: [Int: Int], _ views: [Int: View],
        _ copyOf: [Int]
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
