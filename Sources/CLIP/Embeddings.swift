internal import Tensors

/// Vectors of one dimension, one row for each input, in the order of the inputs.
public struct Embeddings: Sendable, Equatable {
    /// Row by row: `count * dimension` numbers.
    public private(set) var values: [Float]
    /// The length of a row.
    public let dimension: Int

    /// The number of rows.
    public var count: Int { values.count / dimension }

    /// Embeddings from their numbers.
    ///
    /// - Parameter values: row by row, a multiple of `dimension`.
    public init(values: [Float], dimension: Int) {
        precondition(
            dimension > 0 && values.count % dimension == 0,
            "\(values.count) values in rows of \(dimension)")
        self.values = values
        self.dimension = dimension
    }

    /// One row: `dimension` numbers.
    public subscript(row: Int) -> [Float] {
        Array(values[(row * dimension)..<((row + 1) * dimension)])
    }

    /// Some rows, one after the other.
    package func values(ofRows rows: some Sequence<Int>) -> [Float] {
        rows.reduce(into: []) { $0 += values[($1 * dimension)..<(($1 + 1) * dimension)] }
    }

    /// The rows divided by their L2 norms; a row of zeros stays as it is.
    public func normalized() -> Embeddings {
        var result = self
        normalizeRows(&result.values, dimension: dimension)
        return result
    }

    /// The cosine of every row with every row of `other`, in -1...1.
    ///
    /// CLIP's cosines of a picture and a text that fit lie around 0.2 to 0.35: they are to be
    /// compared with each other, not with 1.
    ///
    /// - Returns: `count` rows of `other.count` numbers.
    public func cosineSimilarities(to other: Embeddings) -> [[Float]] {
        precondition(dimension == other.dimension, "\(dimension) and \(other.dimension)")
        let columns = other.count
        let products = dotProducts(
            normalized().values, other.normalized().values, dimension: dimension)
        return (0..<count).map { row in
            products[(row * columns)..<((row + 1) * columns)].map { min(1, max(-1, $0)) }
        }
    }

    /// The rows in another order: row i becomes row `places[i]`.
    func moved(to places: [Int]) -> Embeddings {
        var result = self
        for (row, place) in places.enumerated() {
            result.values.replaceSubrange(
                (place * dimension)..<((place + 1) * dimension),
                with: values[(row * dimension)..<((row + 1) * dimension)])
        }
        return result
    }

    /// The rows of both, one below the other.
    public static func + (a: Embeddings, b: Embeddings) -> Embeddings {
        precondition(a.dimension == b.dimension, "\(a.dimension) and \(b.dimension)")
        return Embeddings(values: a.values + b.values, dimension: a.dimension)
    }
}
