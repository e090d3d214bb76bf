internal import Synchronization
internal import Tensors

/// Lets the process keep memory that is freed, up to 256 MB, instead of giving it back to the system at
/// once; for programs that are nothing but this library.
package func keepFreedMemory() { Kernels.keepFreedMemory() }

/// The bytes of addresses that this process may use (`ulimit -v`); nil if there is no limit.
package func limitOfAddressSpace() -> Int? { addressSpaceLimit() }

/// Starts a thread of the system that runs `body` and ends.
///
/// - Returns: false if the system grants no thread; `body` is then not run.
package func startBackgroundThread(_ body: @escaping @Sendable () -> Void) -> Bool {
    startThread(body)
}

/// Inputs in groups, each of which goes through a tower at once.
///
/// A thread that takes a group for itself never waits for another, and what it works on stays in its
/// caches; all threads share a group where there are fewer groups than threads.
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

extension CLIPModel {
    var noEmbeddings: Embeddings {
        Embeddings(rows: [], dimension: configuration.embeddingDimension)
    }

    /// Which towers have been read, for tests.
    var towersRead: (image: Bool, text: Bool) { (visual.isMade, textual.isMade) }

    typealias Pass = @Sendable (Range<Int>, Workspace, StageObserver?) -> Matrix

    /// Whether a row of tokens is one that the model takes.
    func check(_ row: [Int]) throws(CLIPError) {
        guard !row.isEmpty else { throw .invalidTokens(reason: "a row is empty") }
        guard row.count <= configuration.text.contextLength else {
            throw .invalidTokens(
                reason: """
                    a row has \(row.count), but the model takes \
                    \(configuration.text.contextLength)
                    """)
        }
        let ids = 0..<configuration.text.vocabularySize
        if let id = row.first(where: { !ids.contains($0) }) {
            throw .invalidTokens(reason: "\(id) is not in the vocabulary of \(ids.upperBound)")
        }
    }

    /// Runs groups of inputs through a tower: several at once on a thread each, or one on all threads.
    func encode(
        _ groups: EncodingGroups, dimension: Int? = nil, _ pass: Pass
    ) throws(CLIPError) -> Embeddings {
        let dimension = dimension ?? configuration.embeddingDimension
        let found = Mutex<[Int: [Float]]>([:])
        @Sendable func run(_ index: Int, _ workspace: Workspace) {
            let result = pass(groups.ranges[index], workspace, nil)
            if result.isFinite { found.withLock { $0[index] = result.values } }
        }
        workspaces.inParallel(groups.separate, run)
        for index in groups.separate..<groups.ranges.count {
            workspaces.withWorkspace { run(index, $0) }
        }
        let groupsFound = found.withLock { $0 }
        var values: [Float] = []
        values.reserveCapacity((groups.ranges.last?.upperBound ?? 0) * dimension)
        for (index, range) in groups.ranges.enumerated() {
            guard let group = groupsFound[index] else {
                throw .nonFiniteResult(
                    path: weights.path,
                    stage: firstNonFiniteStage { pass(range, $0, $1) })
            }
            values += group
        }
        return Embeddings(rows: values, dimension: dimension)
    }

    /// Where a result stopped being finite: the pass again, looking at every stage.
    func firstNonFiniteStage(_ pass: (Workspace, StageObserver?) -> Matrix) -> String {
        var stage: String?
        workspaces.withWorkspace { workspace in
            _ = pass(workspace) { name, activations in
                if stage == nil && !activations.isFinite { stage = name }
            }
        }
        let found = stage ?? "an unknown stage"
        if let tensor = parameters.firstNonFinite(where: { Self.isPart($0, of: found) }) {
            return "the tensor \(tensor)"
        }
        return found
    }

    /// Whether a tensor is used in a stage.
    private static func isPart(_ tensor: String, of stage: String) -> Bool {
        let block = stage.hasSuffix(".attn") ? String(stage.dropLast(".attn".count)) : stage
        return switch block {
        case "embeddings": tensor == "positional_embedding" || tensor.hasPrefix("token_embedding")
        case "visual.embeddings":
            ["visual.conv1.weight", "visual.class_embedding", "visual.positional_embedding"]
                .contains(tensor)
        case "visual.stem": tensor.hasPrefix("visual.conv") || tensor.hasPrefix("visual.bn")
        case "image_embedding": tensor == "visual.proj" || tensor.hasPrefix("visual.attnpool")
        case "text_embedding": tensor == "text_projection"
        default: tensor.hasPrefix(block + ".")
        }
    }

    /// The activations of a pass after every stage, for tests that look for the first that differs.
    func observe(pixels: [Float], _ observer: @escaping StageObserver) {
        let size = 3 * configuration.resolution * configuration.resolution
        workspaces.withWorkspace {
            _ = visual.value(
                pixels[...], batch: pixels.count / size, workspace: $0, observer: observer)
        }
    }

    /// The same for rows of tokens that end with the end token.
    func observe(tokens: [ArraySlice<Int>], _ observer: @escaping StageObserver) {
        workspaces.withWorkspace {
            _ = textual.value(tokens, workspace: $0, observer: observer)
        }
    }

    /// What comes before the projection of pictures, for a ViT: the class tokens' features, [pictures, width].
    package func pooled(pixels: [Float]) -> [Float] {
        var found: [Float] = []
        observe(pixels: pixels) { if $0 == "visual.ln_post" { found = $1.values } }
        return found
    }

    /// The same of texts: [texts, width].
    package func pooled(tokens: [[Int]]) -> [Float] {
        var found: [Float] = []
        observe(tokens: tokens.map { $0[...] }) { if $0 == "ln_final" { found = $1.values } }
        return found
    }
}
