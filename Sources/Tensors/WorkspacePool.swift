internal import Synchronization

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
        guard !Self.isRunning.get() else { return withOneThread(body) }
        calls.wait { $0 < threads ? ($0 += 1) : nil }
        defer { calls.withLock { $0 -= 1 } }
        let workspace = takeWorkspace(threads: threads)
        defer { waiting.withLock { $0.append(workspace) } }
        return Self.isRunning.withValue(true) { body(workspace) }
    }

    /// Runs `body` for 0..<count, each on one of the threads with a workspace of that thread alone.
    /// The next index goes to whichever thread is free.
    package func inParallel(
        _ count: Int, _ body: @Sendable (_ index: Int, _ workspace: Workspace) -> Void
    ) {
        guard count > 0 else { return }
        let next = Atomic(0)
        withWorkspace { all in
            // Not by range: the next index goes to whichever thread is free.
            all.team.split(min(count, all.team.count)) { _, _ in
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
        let workspace = takeWorkspace(threads: 1)
        defer { waiting.withLock { $0.append(workspace) } }
        return body(workspace)
    }

    /// A workspace that waits, or a new one.
    private func takeWorkspace(threads: Int) -> Workspace {
        let found = waiting.withLock { waiting in
            waiting.lastIndex { $0.wantedThreads == threads }.map { waiting.remove(at: $0) }
        }
        return found ?? Workspace(threads: threads, engine: engine)
    }
}
