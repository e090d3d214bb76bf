internal import Synchronization
internal import Tensors

/// A division of inputs into groups, each of which goes through a tower in one pass.
///
/// A thread that has a group of its own never waits for another thread, and the group's activations
/// stay in its caches. Inputs too few to give every thread a group are encoded by all threads
/// together.
struct EncodingGroups: Sendable {
    /// The inputs of each group.
    private(set) var ranges: [Range<Int>] = []
    /// The number of groups at the start of `ranges`, each of which one thread encodes alone; all
    /// threads together encode each of the remaining groups.
    private(set) var separate = 0

    /// Divides `count` inputs of equal cost into groups of at most `largest`.
    init(count: Int, threads: Int, largest: Int) {
        let even = count / threads * threads
        // Each thread gets the same number of inputs, in groups of nearly equal size.
        let share = even / threads
        let rounds = (share + largest - 1) / largest
        let size = rounds > 0 ? (share + rounds - 1) / rounds : 1
        for start in stride(from: 0, to: even, by: size) {
            ranges.append(start..<min(start + size, even))
        }
        separate = ranges.count
        // Fewer inputs than threads are left.
        for start in stride(from: even, to: count, by: largest) {
            ranges.append(start..<min(start + largest, count))
        }
    }

    /// Divides lexicographically sorted texts into groups of up to about 320 tokens.
    ///
    /// The tokens of a prefix that neighbouring texts share count once.
    init(_ texts: [ArraySlice<Int>], threads: Int) {
        var positions: [Int] = []  // the running total of distinct positions
        var previous: ArraySlice<Int> = []
        for text in texts {
            let own = text.count - TokenTrie.commonPrefix(text, previous)
            positions.append((positions.last ?? 0) + own)
            previous = text
        }
        let total = positions.last ?? 0
        let (most, least) = (320, 24)
        var groups = (total + most - 1) / most
        groups = (groups + threads - 1) / threads * threads
        guard total / groups >= least else {
            ranges = [0..<texts.count]
            return
        }
        var start = 0
        for (text, upTo) in positions.enumerated()
        where text > start && upTo * groups > total * (ranges.count + 1) {
            ranges.append(start..<text)
            start = text
        }
        ranges.append(start..<texts.count)
        separate = ranges.count
    }
}

extension EncodingGroups {
    /// Encodes every group, and returns the results in the order of the groups.
    ///
    /// - Parameters:
    ///   - workspaces: The workspaces to compute in.
    ///   - encode: A function that encodes a group. Several threads call it at once.
    /// - Returns: The result of each group.
    /// - Throws: The error of the first group that fails. Groups start in order, and no group
    ///   starts after an error.
    func map<Value: Sendable, Failure: Error>(
        on workspaces: WorkspacePool,
        _ encode: @Sendable (_ group: Range<Int>, _ workspace: Workspace) throws(Failure) -> Value
    ) throws(Failure) -> [Value] {
        let found = Mutex([Result<Value, Failure>?](repeating: nil, count: ranges.count))
        let hasFailed = Atomic(false)
        @Sendable func run(_ index: Int, _ workspace: Workspace) {
            guard !hasFailed.load(ordering: .relaxed) else { return }
            let result = Result { () throws(Failure) in try encode(ranges[index], workspace) }
            if case .failure = result { hasFailed.store(true, ordering: .relaxed) }
            found.withLock { $0[index] = result }
        }
        workspaces.inParallel(separate, run)
        for index in separate..<ranges.count {
            workspaces.withWorkspace { run(index, $0) }
        }
        var values: [Value] = []
        for case let result? in found.withLock({ $0 }) { values.append(try result.get()) }
        return values
    }
}
