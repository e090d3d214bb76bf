internal import TensorFiles
internal import Tensors

/// A model's tensors under OpenAI's names, independent of the layout of the file.
///
/// A tensor is not read before its first use.
struct Parameters: Sendable {
    /// A tensor as it is stored in the file.
    struct Stored: Sendable {
        /// The tensors in the file, with their names in the file: a single one, or query, key and
        /// value, which OpenAI's layout stacks into one.
        var parts: [(name: String, tensor: StoredTensor)]
        var isTransposed: Bool

        /// The shape in OpenAI's layout, provided that all parts have the same shape.
        var shape: [Int] {
            guard let first = parts.first?.tensor.shape else { return [] }
            if isTransposed { return first.reversed() }
            guard parts.count > 1, let rows = first.first else { return first }
            return [parts.count * rows] + first.dropFirst()
        }

        /// Returns the shape that each part must have if the whole tensor has the given shape.
        func partShape(of shape: [Int]) -> [Int] {
            if isTransposed { return shape.reversed() }
            guard parts.count > 1, let rows = shape.first else { return shape }
            return [rows / parts.count] + shape.dropFirst()
        }

        /// The distinct number formats of the parts.
        var types: [StoredType] {
            Set(parts.map(\.tensor.type)).sorted { $0.rawValue < $1.rawValue }
        }

        func load() -> Tensor {
            let tensors = parts.map { $0.tensor.load() }
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

    /// Returns the tensors whose names start with `name` and a dot.
    func scoped(_ name: String) -> Parameters {
        Parameters(stored: stored, prefix: prefix + name + ".")
    }

    /// Loads a tensor, which must exist.
    func tensor(_ name: String) -> Tensor { self[name].load() }

    /// Loads a projection as [outputs, inputs]; OpenAI's layout has [inputs, outputs].
    func projection(_ name: String) -> Tensor {
        let stored = self[name]
        return stored.isTransposed ? stored.parts[0].tensor.load() : stored.load().transposed()
    }

    subscript(name: String) -> Stored {
        guard let found = stored[prefix + name] else {
            preconditionFailure(
                "expected the tensor \(prefix + name) in weights that were checked, found none")
        }
        return found
    }

    /// The number of parameters of the model.
    var count: Int { stored.values.reduce(0) { $0 + $1.parts.reduce(0) { $0 + $1.tensor.count } } }

    /// The number formats of the tensors in the file, in alphabetical order.
    var types: [StoredType] {
        Set(stored.values.flatMap { $0.parts.map(\.tensor.type) }).sorted {
            $0.rawValue < $1.rawValue
        }
    }

    /// The names of all tensors, in alphabetical order.
    var names: [String] { stored.keys.sorted() }

    /// The shapes of all tensors by their names.
    var shapes: [String: [Int]] { stored.mapValues(\.shape) }

    /// Returns the name of the first tensor, in alphabetical order, that contains NaN or infinity.
    func firstNonFinite(where isWanted: (String) -> Bool) -> String? {
        stored.keys.filter(isWanted).sorted().first { stored[$0]?.load().firstNonFinite != nil }
    }
}

extension Parameters {
    /// Collects the tensors of a file under OpenAI's names, without the check of shapes that
    /// `check(against:layout:path:)` does.
    init(_ file: TensorArchive, layout: WeightLayout) throws(CLIPError) {
        var found: [String: [Int: (name: String, tensor: StoredTensor)]] = [:]
        var transposed: Set<String> = []
        for (name, entry) in file.entries.sorted(by: { $0.key < $1.key }) {
            guard let canonical = layout.canonicalName(name) else { continue }
            guard !entry.shape.contains(0) else {
                throw .malformedWeights(
                    path: file.path,
                    reason: "the tensor \(name) is empty: its shape is \(entry.shape)")
            }
            guard let tensor = entry.tensor else {
                throw .malformedWeights(
                    path: file.path,
                    reason: """
                        the tensor \(name) has the number format \(entry.type): expected F32, \
                        F16 or BF16
                        """)
            }
            let part = canonical.part ?? 0
            guard found[canonical.name]?[part] == nil else {
                throw .unexpectedTensor(
                    path: file.path, name: name, shape: entry.shape, others: 0)
            }
            found[canonical.name, default: [:]][part] = (name, tensor)
            if canonical.isTransposed { transposed.insert(canonical.name) }
        }
        for (name, parts) in found where parts.count > 1 || layout.isSplit(name) {
            for part in 0..<3 where parts[part] == nil {
                let shape = parts.values.first?.tensor.shape ?? []
                throw .missingTensor(
                    path: file.path, name: layout.fileName(name, part: part), shape: shape,
                    others: 0)
            }
        }
        let stored = found.map { name, parts in
            (
                name,
                Stored(
                    parts: parts.sorted { $0.key < $1.key }.map(\.value),
                    isTransposed: transposed.contains(name))
            )
        }
        self.init(stored: Dictionary(uniqueKeysWithValues: stored), prefix: "")
    }

    /// Compares the tensors with the shapes that the configuration requires.
    ///
    /// The error names the first tensor that differs, by its name in the file.
    func check(
        against expected: [String: [Int]], layout: WeightLayout, path: String
    ) throws(CLIPError) {
        let missing = expected.keys.filter { stored[$0] == nil }.sorted()
        if let name = missing.first {
            throw .missingTensor(
                path: path, name: layout.fileName(name), shape: expected[name] ?? [],
                others: missing.count - 1)
        }
        let unexpected = stored.keys.filter { expected[$0] == nil }.sorted()
        if let name = unexpected.first, let part = stored[name]?.parts.first {
            throw .unexpectedTensor(
                path: path, name: part.name, shape: part.tensor.shape,
                others: unexpected.count - 1)
        }
        for (name, shape) in expected.sorted(by: { $0.key < $1.key }) {
            for part in self[name].parts {
                let needed = self[name].partShape(of: shape)
                // Some writers store a scalar with one dimension.
                let isScalar = needed.isEmpty && part.tensor.shape == [1]
                guard part.tensor.shape == needed || isScalar else {
                    throw .misshapenTensor(
                        path: path, name: part.name, expected: needed, found: part.tensor.shape)
                }
            }
        }
    }
}
