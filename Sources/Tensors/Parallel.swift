internal import CKernels
internal import Synchronization

/// The number of cores this process may run on.
package func availableCores() -> Int { Int(clip_available_cores()) }

/// Threads that wait for work as long as they live, which is as long as one call of the library.
///
/// Dispatch's threads sleep between two loops, and waking one was measured to take longer than most of
/// the loops of a forward pass do.
final class ThreadTeam: @unchecked Sendable {
    private let team: OpaquePointer?
    let count: Int

    init(threads: Int) {
        team = threads > 1 ? clip_team_create(Int32(clamping: threads)) : nil
        count = team.map { Int(clip_team_threads($0)) } ?? 1
    }

    deinit { if let team { clip_team_destroy(team) } }

    /// Runs `body` for 0..<parts, of which there are at most `count`, and returns when all are done.
    func run(parts: Int, _ body: (_ part: Int) -> Void) {
        precondition(parts <= count, "\(parts) parts for \(count) threads")
        guard let team, parts > 1 else {
            for part in 0..<parts { body(part) }
            return
        }
        // The call returns when all parts are done, so nothing outlives the closure.
        withoutActuallyEscaping(body) { body in
            var job = body
            withUnsafeMutablePointer(to: &job) { job in
                clip_team_run(
                    team, Int32(parts),
                    { context, part in
                        context.assumingMemoryBound(to: ((Int) -> Void).self).pointee(Int(part))
                    }, job)
            }
        }
    }
}

extension Workspace {
    /// Splits 0..<count into one range a thread, each a multiple of `unit` long but the last, and
    /// runs `body` on all of them at once.
    ///
    /// - Parameter parts: how many ranges at most.
    func inParallel(
        _ count: Int, unit: Int = 1, parts: Int = .max, _ body: (_ range: Range<Int>) -> Void
    ) {
        inParallelParts(count, unit: unit, parts: parts) { _, range in body(range) }
    }

    /// The same, saying which of at most `team.count` parts a range is.
    func inParallelParts(
        _ count: Int, unit: Int = 1, parts: Int = .max,
        _ body: (_ part: Int, _ range: Range<Int>) -> Void
    ) {
        let units = (count + unit - 1) / unit
        let parts = min(team.count, units, parts)
        team.run(parts: parts) { part in
            let lower = units * part / parts * unit
            let upper = min(units * (part + 1) / parts * unit, count)
            body(part, lower..<upper)
        }
    }
}

/// Runs `body` for 0..<count, each on one of `threads` threads with a workspace of its own that has no
/// other thread; the next index goes to whichever thread is free.
package func inParallel(
    _ count: Int, threads: Int, _ body: (_ index: Int, _ workspace: Workspace) -> Void
) {
    let team = ThreadTeam(threads: min(threads, count))
    let next = Atomic(0)
    team.run(parts: team.count) { _ in
        let workspace = Workspace(threads: 1)
        while true {
            let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
            guard index < count else { return }
            body(index, workspace)
        }
    }
}
