internal import Tensors

/// A model's tensors by OpenAI's names, whatever the layout of the file; none is read before use.
struct Parameters: Sendable {
    /// One tensor, as the file holds it.
    struct Stored: Sendable {
        /// One, or query, key and value, which OpenAI's layout keeps as one.
        var parts: [StoredTensor]
        var isTransposed: Bool

        /// The shape in OpenAI's layout.
        var shape: [Int] {
            guard let first = parts.first else { return [] }
            // A part unlike the others is what should be reported.
            if let odd = parts.first(where: { $0.shape != first.shape }) { return odd.shape }
            if isTransposed { return first.shape.reversed() }
            return parts.count == 1
                ? first.shape
                : [parts.reduce(0) { $0 + ($1.shape.first ?? 0) }] + first.shape.dropFirst()
        }

        func load() -> Tensor {
            let tensors = parts.map { $0.load() }
            if isTransposed { return tensors[0].transposed() }
            return tensors.count == 1 ? tensors[0] : .stacked(tensors)
        }
    }

    private let stored: [String: Stored]
    private let prefix: String

    private init(stored: [String: Stored], prefix: String) {
        self.stored = stored
        self.prefix = prefix
    }

    /// The tensors whose names start with `name` and a dot.
    func scoped(_ name: String) -> Parameters {
        Parameters(stored: stored, prefix: prefix + name + ".")
    }

    /// A tensor that the shapes were checked to hold.
    func tensor(_ name: String) -> Tensor { self[name].load() }

    /// A projection that OpenAI keeps as [inputs, outputs], as [outputs, inputs].
    func projection(_ name: String) -> Tensor {
        let stored = self[name]
        return stored.isTransposed ? stored.parts[0].load() : stored.load().transposed()
    }

    subscript(name: String) -> Stored {
        guard let found = stored[prefix + name] else {
            preconditionFailure("no tensor \(prefix + name) among those that were checked")
        }
        return found
    }

    /// How many numbers the model has.
    var count: Int { stored.values.reduce(0) { $0 + $1.parts.reduce(0) { $0 + $1.count } } }

    /// The number formats of the file, in alphabetical order.
    var types: [StoredType] {
        Set(stored.values.flatMap { $0.parts.map(\.type) }).sorted { $0.rawValue < $1.rawValue }
    }

    /// Every tensor's shape.
    var shapes: [String: [Int]] { stored.mapValues(\.shape) }

    /// The name of the first tensor, in alphabetical order, that holds a NaN or an infinity.
    func firstNonFinite(where isWanted: (String) -> Bool) -> String? {
        stored.keys.filter(isWanted).sorted().first { stored[$0]?.load().firstNonFinite != nil }
    }
}

extension Parameters {
    /// Maps the names of a file; the shapes are still to be checked.
    init(_ file: SafetensorsFile, layout: WeightLayout) throws(CLIPError) {
        var stored: [String: [Int: (tensor: StoredTensor, isTransposed: Bool)]] = [:]
        for (name, entry) in file.entries {
            guard let canonical = layout.canonicalName(name) else { continue }
            guard let tensor = file.storedTensor(entry) else {
                throw .malformedWeights(
                    path: file.path,
                    reason: "the tensor \(name) is \(entry.type); weights are F32, F16 or BF16")
            }
            stored[canonical.name, default: [:]][canonical.part ?? 0] =
                (tensor, canonical.isTransposed)
        }
        self.init(
            stored: stored.mapValues { parts in
                Stored(
                    parts: parts.sorted { $0.key < $1.key }.map(\.value.tensor),
                    isTransposed: parts.values.contains { $0.isTransposed })
            },
            prefix: "")
    }

    /// Compares with what the configuration needs, and names the first difference.
    func check(against expected: [String: [Int]], path: String) throws(CLIPError) {
        let found = shapes
        let missing = expected.keys.filter { found[$0] == nil }.sorted()
        if let name = missing.first {
            throw .missingTensor(
                path: path, name: name, shape: expected[name] ?? [], others: missing.count - 1)
        }
        let unexpected = found.keys.filter { expected[$0] == nil }.sorted()
        if let name = unexpected.first {
            throw .unexpectedTensor(
                path: path, name: name, shape: found[name] ?? [], others: unexpected.count - 1)
        }
        for (name, shape) in expected.sorted(by: { $0.key < $1.key }) where found[name] != shape {
            // Some writers give a lone number one dimension.
            if shape.isEmpty && found[name] == [1] { continue }
            throw .misshapenTensor(
                path: path, name: name, expected: shape, found: found[name] ?? [])
        }
    }
}
