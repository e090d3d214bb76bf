internal import TensorFiles
internal import Tensors

/// A model's tensors under OpenAI's names, independent of the layout of the file.
///
/// A tensor is not read before its first use.
struct Parameters: Sendable {
    /// A tensor of OpenAI's layout as it is stored in the file.
    struct Stored: Sendable {
        /// A tensor in the file.
        struct Part: Sendable {
            /// The name in the file.
            let name: String
            let tensor: StoredTensor
            /// The thirds of the stack of query, key and value that the tensor contains; all three
            /// for other tensors.
            var thirds = 0..<3
        }

        /// The tensors in the file: a single one, or parts of the stack of query, key and value.
        ///
        /// A third that no part contains is zero.
        var parts: [Part]
        var isTransposed = false
        /// The number of dimensions in OpenAI's layout if the file has more, of which the first are
        /// merged; nil otherwise.
        var rank: Int?

        /// True if the parts contain all numbers.
        var isWhole: Bool { parts.reduce(0) { $0 + $1.thirds.count } == 3 }

        /// The shape in OpenAI's layout, provided that the shapes of the parts agree.
        var shape: [Int] {
            guard let part = parts.first else { return [] }
            let first = merged(part.tensor.shape)
            if isTransposed { return first.reversed() }
            guard part.thirds.count < 3, let rows = first.first else { return first }
            return [3 * (rows / part.thirds.count)] + first.dropFirst()
        }

        /// Returns the shape that a part must have if the whole tensor has the given shape.
        func shape(of part: Part, ofWhole shape: [Int]) -> [Int] {
            if isTransposed { return shape.reversed() }
            guard part.thirds.count < 3, let rows = shape.first else { return shape }
            return [rows / 3 * part.thirds.count] + shape.dropFirst()
        }

        /// Returns a shape in the file without leading dimensions of 1, and a square of rows as
        /// one dimension, so that `rank` are left; another shape unchanged.
        func merged(_ shape: [Int]) -> [Int] {
            guard let rank, shape.count > rank else { return shape }
            if shape.dropLast(rank).allSatisfy({ $0 == 1 }) { return Array(shape.suffix(rank)) }
            guard rank == 2, shape.count == 4, shape[0] == 1, shape[1] == shape[2] else {
                return shape
            }
            return [shape[1] * shape[2], shape[3]]
        }

        /// The distinct number formats of the parts.
        var types: [StoredType] {
            Set(parts.map(\.tensor.type)).sorted { $0.rawValue < $1.rawValue }
        }

        func load() -> Tensor {
            let tensors = parts.map { $0.tensor.load() }
            if isTransposed { return tensors[0].transposed() }
            guard isWhole else { return padded(tensors) }
            return (tensors.count == 1 ? tensors[0] : .stacked(tensors)).reshaped(shape)
        }

        /// Returns the stack of parts with zeros for those that are missing.
        private func padded(_ tensors: [Tensor]) -> Tensor {
            let rows = shape[0] / 3
            var thirds = [Tensor](
                repeating: Tensor(
                    [Float](repeating: 0, count: shape.reduce(1, *) / 3),
                    shape: [rows] + shape.dropFirst()), count: 3)
            for (part, tensor) in zip(parts, tensors) {
                for (place, third) in part.thirds.enumerated() {
                    thirds[third] = tensor.rows(place * rows..<(place + 1) * rows)
                }
            }
            return .stacked(thirds)
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

    /// Returns a matrix [outputs, inputs], which is read where it is used.
    func matrix(_ name: String) -> WeightMatrix {
        let stored = self[name]
        guard stored.isWhole, !stored.isTransposed, stored.rank == nil else {
            return WeightMatrix(stored.load())
        }
        return WeightMatrix(stacking: stored.parts.map(\.tensor))
    }

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
        var found: [String: Stored] = [:]
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
            let part = Stored.Part(
                name: name, tensor: tensor, thirds: canonical.thirds ?? 0..<3)
            let others = found[canonical.name]?.parts ?? []
            guard !others.contains(where: { $0.thirds.overlaps(part.thirds) }) else {
                throw .unexpectedTensor(
                    path: file.path, name: name, shape: entry.shape, others: 0)
            }
            found[canonical.name] = Stored(
                parts: (others + [part]).sorted { $0.thirds.lowerBound < $1.thirds.lowerBound },
                isTransposed: canonical.isTransposed, rank: canonical.rank)
        }
        for (name, stored) in found where !stored.isWhole {
            guard !layout.allows(stored.parts.map(\.thirds), of: name) else { continue }
            for third in 0..<3 where !stored.parts.contains(where: { $0.thirds.contains(third) }) {
                throw .missingTensor(
                    path: file.path, name: layout.fileName(name, third: third),
                    shape: stored.parts[0].tensor.shape, others: 0)
            }
        }
        self.init(stored: found, prefix: "")
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
            let tensor = self[name]
            for part in tensor.parts {
                let needed = tensor.shape(of: part, ofWhole: shape)
                // Some writers store a scalar with one dimension.
                let isScalar = needed.isEmpty && part.tensor.shape == [1]
                guard tensor.merged(part.tensor.shape) == needed || isScalar else {
                    throw .misshapenTensor(
                        path: path, name: part.name, expected: needed, found: part.tensor.shape)
                }
            }
        }
    }
}
