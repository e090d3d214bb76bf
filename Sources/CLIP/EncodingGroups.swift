internal import Synchronization
internal import Tensors

/// Inputs in groups, each of which goes through a tower at once.
///
/// A thread that takes a group for itself never waits for another, and what it works on stays in
/// its caches; all threads share a group where there are fewer groups than threads.
struct EncodingGroups: Sendable {
    /// Which inputs are together, in their order.
    private(set) var ranges: [Range<Int>] = []
    /// How many of these, from the first, are for a thread each; the others are for all threads.
    private(set) var separate = 0

    /// - Parameter largest: how many inputs a group has at most.
    init(count: Int, threads: Int, largest: Int) {
        let even = count / threads * threads
        // As many to each thread, in groups of nearly one size.
        let share = even / threads
        let rounds = (share + largest - 1) / largest
        let size = rounds > 0 ? (share + rounds - 1) / rounds : 1
        for start in stride(from: 0, to: even, by: size) {
            ranges.append(start..<min(start + size, even))
        }
        separate = ranges.count
        // What is left is less than one input a thread.
        for start in stride(from: even, to: count, by: largest) {
            ranges.append(start..<min(start + largest, count))
        }
    }

    /// Texts in lexicographical order, some hundred distinct positions a group.
    init(_ texts: [ArraySlice<Int>], threads: Int) {
        var positions: [Int] = []  // up to each text
        var previous: ArraySlice<Int> = []
        for text in texts {
            let own = text.count - TokenTrie.commonBeginning(text, previous)
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
    /// - Parameter encode: Takes a group and the workspace to compute in. Called by any thread, by
    ///   several at once.
    /// - Throws: The error of the first group that has one, after all groups are done.
    func map<Value: Sendable, Failure: Error>(
        on workspaces: WorkspacePool,
        _ encode: @Sendable (_ group: Range<Int>, _ workspace: Workspace) throws(Failure) -> Value
    ) throws(Failure) -> [Value] {
        let found = Mutex([Result<Value, Failure>?](repeating: nil, count: ranges.count))
        @Sendable func run(_ index: Int, _ workspace: Workspace) {
            let result = Result { () throws(Failure) in try encode(ranges[index], workspace) }
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
