internal import CLIP

/// An error in a vector that is to be stored or searched for.
///
/// ```swift
/// do {
///     _ = try index.search(query, top: 10)
/// } catch .invalidVector(.wrongDimension(let expected, let found)) {
///     print("the index has \(expected) dimensions, the query \(found)")
/// }
/// ```
public enum VectorError: Error, Hashable, Sendable {
    /// The vector has another number of dimensions than the stored vectors.
    case wrongDimension(expected: Int, found: Int)
    /// A row contains NaN or infinity.
    case notFinite(row: Int)
    /// All numbers of a row are zero, so it has no direction and no cosine.
    case zero(row: Int)
}

extension VectorError: CustomStringConvertible {
    /// The error as one line of English.
    public var description: String {
        switch self {
        case .wrongDimension(let expected, let found):
            "expected a vector of \(expected) dimensions, found \(found)"
        case .notFinite(let row): "vector \(row) contains NaN or infinity"
        case .zero(let row): "vector \(row) is zero, so it has no direction and no cosine"
        }
    }
}

extension VectorError {
    static func check(dimension found: Int, expected: Int) throws(VectorError) {
        guard found == expected else { throw .wrongDimension(expected: expected, found: found) }
    }

    /// Returns a vector divided by its L2 norm.
    ///
    /// - Throws: `VectorError` if it has another dimension, is zero, or contains NaN or infinity.
    static func unit(_ vector: [Float], dimension: Int) throws(VectorError) -> [Float] {
        try check(dimension: vector.count, expected: dimension)
        return try unit(Embeddings(rows: vector, dimension: dimension), dimension: dimension)
            .values
    }

    /// Returns the rows divided by their L2 norms.
    ///
    /// - Throws: `VectorError` if one has another dimension, is zero, or contains NaN or infinity.
    static func unit(
        _ vectors: Embeddings, dimension: Int
    ) throws(VectorError) -> Embeddings {
        try check(dimension: vectors.dimension, expected: dimension)
        var values: [Float] = []
        values.reserveCapacity(vectors.values.count)
        for row in 0..<vectors.count {
            let vector = vectors[row]
            guard vector.allSatisfy(\.isFinite) else { throw .notFinite(row: row) }
            let largest = vector.reduce(0) { max($0, abs($1)) }
            guard largest > 0 else { throw .zero(row: row) }
            // The squares of such values would overflow or underflow.
            let isExtreme = !(1e-15...1e15).contains(largest)
            let scaled = isExtreme ? vector.map { $0 / largest } : vector
            values += Embeddings(rows: scaled, dimension: dimension).normalized().values
        }
        return Embeddings(rows: values, dimension: dimension)
    }
}
