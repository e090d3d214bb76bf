internal import Synchronization

/// A pool of workspaces that keep their memory between calls.
///
/// Each call has its own workspace. The number of concurrent calls is limited to the number of
/// threads, and with it the memory; other calls wait. Workspaces are reused, because allocating
/// their memory again takes about a tenth of the time of a small pass.
package final class WorkspacePool: Sendable {
    private let threads: Int
    private let engine: ProductEngine
    private let waiting = Mutex<[Workspace]>([])
    private let calls = Monitor(0)
    /// True on a thread that is running the body of a pool's call.
    private static let isRunning = TaskLocal(wrappedValue: false)

    package init(threads: Int, engine: ProductEngine = .native) {
        self.threads = threads
        self.engine = engine
    }

    /// Runs `body` with a workspace that has all threads.
    ///
    /// If `body` uses the pool again, that call runs on the calling thread alone, without waiting
    /// for other calls, which could deadlock.
    package func withWorkspace<Result>(_ body: (Workspace) -> Result) -> Result {
        guard !Self.isRunning.get() else { return withOneThread(body) }
        calls.wait { $0 < threads ? ($0 += 1) : nil }
        defer { calls.withLock { $0 -= 1 } }
        let workspace = takeWorkspace(threads: threads)
        defer { waiting.withLock { $0.append(workspace) } }
        return Self.isRunning.withValue(true) { body(workspace) }
    }

    /// Runs `body` for each index in `0..<count`, on all threads, each with its own workspace.
    ///
    /// A thread that finishes an index takes the next one that is left.
    package func inParallel(
        _ count: Int, _ body: @Sendable (_ index: Int, _ workspace: Workspace) -> Void
    ) {
        guard count > 0 else { return }
        let next = Atomic(0)
        withWorkspace { all in
            // Not by range: the next index goes to the next free thread.
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

    /// Returns the results of `body` for `0..<count`, in that order.
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

    /// Runs `body` with a workspace of the calling thread alone; such calls are not limited.
    package func withOneThread<Result>(_ body: (Workspace) -> Result) -> Result {
        let workspace = takeWorkspace(threads: 1)
        defer { waiting.withLock { $0.append(workspace) } }
        return body(workspace)
    }

    /// Returns an unused workspace of the pool, or a new one.
    private func takeWorkspace(threads: Int) -> Workspace {
        let found = waiting.withLock { waiting in
            waiting.lastIndex { $0.wantedThreads == threads }.map { waiting.remove(at: $0) }
        }
        return found ?? Workspace(threads: threads, engine: engine)
    }
}
