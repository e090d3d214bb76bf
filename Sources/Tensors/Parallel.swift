internal import CThreads
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The number of cores this process may run on.
package func availableCores() -> Int { Int(clip_available_cores()) }

/// Lets some time pass.
package func pauseBriefly(milliseconds: Int) { usleep(useconds_t(1000 * milliseconds)) }

/// The bytes of addresses that this process may use (`ulimit -v`); nil if there is no limit.
package func addressSpaceLimit() -> Int? {
    let limit = clip_address_space_limit()
    return limit == Int(bitPattern: .max) || limit < 0 ? nil : limit
}

/// Threads that wait for the next loop, shared by everyone in the process who wants as many.
///
/// Dispatch's threads sleep between two loops, and waking one was measured to take longer than most of
/// the loops of a forward pass do. A loop that comes while the team runs another one is run by its
/// own caller alone: any number of calls at once share the cores, and none waits for another.
///
/// `@unchecked Sendable`: the C code hands the team to one caller at a time.
final class ThreadTeam: @unchecked Sendable {
    private static let teams = Mutex<[Int: ThreadTeam]>([:])

    private let team: OpaquePointer?
    let count: Int

    private init(threads: Int) {
        team = threads > 1 ? clip_team_create(Int32(clamping: threads)) : nil
        count = team.map { Int(clip_team_threads($0)) } ?? 1
    }

    /// Returns the team of a number of threads, which has fewer if the system grants no more.
    static func shared(threads: Int) -> ThreadTeam {
        teams.withLock { teams in
            if let team = teams[threads], team.count == threads { return team }
            // The system may grant now what it did not before.
            let team = ThreadTeam(threads: threads)
            if let old = teams[threads], old.count >= team.count { return old }
            teams[threads] = team
            return team
        }
    }

    deinit { if let team { clip_team_destroy(team) } }

    /// Runs `body` for 0..<parts, of which there are at most `count`, and returns when all are done.
    func run(parts: Int, _ body: @Sendable (_ part: Int) -> Void) {
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
                        context.assumingMemoryBound(to: (@Sendable (Int) -> Void).self).pointee(
                            Int(part))
                    }, job)
            }
        }
    }
}

extension Workspace {
    /// Splits 0..<count into one range a thread, each a multiple of `unit` long but the last, and
    /// runs `body` on all of them at once.
    func inParallel(
        _ count: Int, unit: Int = 1, _ body: @Sendable (_ range: Range<Int>) -> Void
    ) {
        inParallelParts(count, unit: unit) { _, range in body(range) }
    }

    /// The same, saying which of at most `team.count` parts a range is.
    ///
    /// - Parameter most: the most parts, each of which is then not small.
    func inParallelParts(
        _ count: Int, unit: Int = 1, atMost most: Int = .max,
        _ body: @Sendable (_ part: Int, _ range: Range<Int>) -> Void
    ) {
        let units = (count + unit - 1) / unit
        let parts = min(team.count, units, most)
        team.run(parts: parts) { part in
            let lower = units * part / parts * unit
            let upper = min(units * (part + 1) / parts * unit, count)
            body(part, lower..<upper)
        }
    }
}

/// Workspaces that wait for the next call, with their memory.
///
/// Each call has its own workspace. At most as many calls run at once as there are threads; the
/// others wait for their turn, so that any number of calls needs no more memory than that. The
/// memory of the largest pass is kept, because allocating it again costs about a tenth of a small
/// pass.
package final class WorkspacePool: Sendable {
    private let threads: Int
    private let engine: ProductEngine
    private let waiting = Mutex<[Workspace]>([])
    private let calls = Monitor(0)
    /// True on a thread that runs a call of a pool.
    private static let isRunning = TaskLocal(wrappedValue: false)

    package init(threads: Int, engine: ProductEngine = .native) {
        self.threads = threads
        self.engine = engine
    }

    /// Runs `body` with a workspace of all threads.
    ///
    /// A `body` that uses the pool again runs that call on its own thread alone: if it waited for
    /// its turn, it could wait for itself.
    package func withWorkspace<Result>(_ body: (Workspace) -> Result) -> Result {
        guard !Self.isRunning.get() else { return with(threads: 1, body) }
        calls.wait { $0 < threads ? ($0 += 1) : nil }
        defer { calls.withLock { $0 -= 1 } }
        return Self.isRunning.withValue(true) { with(threads: threads, body) }
    }

    /// Runs `body` for 0..<count, each on one of the threads with a workspace of that thread alone; the
    /// next index goes to whichever thread is free.
    package func inParallel(
        _ count: Int, _ body: @Sendable (_ index: Int, _ workspace: Workspace) -> Void
    ) {
        guard count > 0 else { return }
        let next = Atomic(0)
        withWorkspace { all in
            all.team.run(parts: min(count, all.team.count)) { _ in
                Self.isRunning.withValue(true) {
                    withOneThread { workspace in
                        while true {
                            let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
                            guard index < count else { return }
                            body(index, workspace)
                        }
                    }
                }
            }
        }
    }

    /// The results of `body` for 0..<count, in that order.
    package func map<Result: Sendable>(
        _ count: Int, _ body: @Sendable (_ index: Int) -> Result
    ) -> [Result] {
        let results = Mutex([Result?](repeating: nil, count: count))
        inParallel(count) { index, _ in
            let result = body(index)
            results.withLock { $0[index] = result }
        }
        return results.withLock { $0.compactMap(\.self) }
    }

    /// Runs `body` with a workspace of the calling thread alone, without a limit on such calls.
    package func withOneThread<Result>(_ body: (Workspace) -> Result) -> Result {
        with(threads: 1, body)
    }

    private func with<Result>(threads: Int, _ body: (Workspace) -> Result) -> Result {
        let found = waiting.withLock { waiting in
            waiting.lastIndex { $0.wantedThreads == threads }.map { waiting.remove(at: $0) }
        }
        let workspace = found ?? Workspace(threads: threads, engine: engine)
        defer { waiting.withLock { $0.append(workspace) } }
        return body(workspace)
    }
}
