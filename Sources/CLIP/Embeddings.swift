internal import Tensors

/// Embeddings of several inputs: a matrix with one row for each input, in the order of the inputs.
///
/// ```swift
/// let images = try model.encode(images: [bike, mountain])
/// let texts = try model.encode(texts: ["a man riding bicycle"])
/// print(images.count, images.dimension, try images.cosineSimilarities(to: texts))
/// ```
///
/// Embeddings are encoded (`Codable`) with the keys `dimension` and `values`.
public struct Embeddings: Sendable, Hashable {
    /// The `count * dimension` numbers of all rows, row by row.
    public private(set) var values: [Float]
    /// The number of dimensions of each row, at least 1.
    public let dimension: Int

    /// The number of rows.
    public var count: Int { values.count / dimension }

    /// Makes embeddings from their numbers.
    ///
    /// - Parameters:
    ///   - values: The numbers, row by row.
    ///   - dimension: The number of dimensions, at least 1.
    /// - Throws: `CLIPError.wrongValueCount` if `dimension` is less than 1 or does not divide the
    ///   number of values.
    public init(values: [Float], dimension: Int) throws(CLIPError) {
        guard dimension > 0, values.count % dimension == 0 else {
            throw .wrongValueCount(dimension: dimension, found: values.count)
        }
        self.init(rows: values, dimension: dimension)
    }

    /// Makes embeddings from values whose number must be a multiple of `dimension`.
    package init(rows values: [Float], dimension: Int) {
        precondition(
            dimension > 0 && values.count % dimension == 0,
            "expected rows of \(dimension) values, found \(values.count) values")
        self.values = values
        self.dimension = dimension
    }

    /// The embedding in the given row, as `dimension` numbers.
    public subscript(row: Int) -> [Float] {
        Array(values[(row * dimension)..<((row + 1) * dimension)])
    }

    /// Returns the values of the given rows, one row after the other.
    package func values(ofRows rows: some Sequence<Int>) -> [Float] {
        rows.reduce(into: []) { $0 += values[($1 * dimension)..<(($1 + 1) * dimension)] }
    }

    /// Returns the rows divided by their L2 norms.
    ///
    /// A row of zeros stays as it is.
    public func normalized() -> Embeddings {
        var result = self
        normalizeRows(&result.values, dimension: dimension)
        return result
    }

    /// Returns the cosine of every row with every row of `other`, in -1...1.
    ///
    /// With CLIP, an image and a text that match have a cosine of about 0.2 to 0.35. Compare
    /// cosines with each other, not with 1.
    ///
    /// - Parameter other: Embeddings of the same dimension.
    /// - Returns: A matrix of `count` rows and `other.count` columns.
    /// - Throws: `CLIPError.wrongDimension` if the dimensions differ.
    public func cosineSimilarities(to other: Embeddings) throws(CLIPError) -> [[Float]] {
        try UnitVectors(other).cosines(of: self)
    }

    /// Returns the rows in another order: row i becomes row `places[i]`.
    func moved(to places: [Int]) -> Embeddings {
        var result = self
        for (row, place) in places.enumerated() {
            result.values.replaceSubrange(
                (place * dimension)..<((place + 1) * dimension),
                with: values[(row * dimension)..<((row + 1) * dimension)])
        }
        return result
    }

    /// Returns the rows of `a`, followed by those of `b`.
    ///
    /// - Throws: `CLIPError.wrongDimension` if the dimensions differ.
    public static func + (a: Embeddings, b: Embeddings) throws(CLIPError) -> Embeddings {
        guard a.dimension == b.dimension else {
            throw .wrongDimension(expected: a.dimension, found: b.dimension)
        }
        return Embeddings(rows: a.values + b.values, dimension: a.dimension)
    }
}

extension Embeddings: Codable {
    private enum CodingKeys: String, CodingKey { case dimension, values }

    /// Decodes embeddings from their dimension and values.
    ///
    /// - Throws: `DecodingError.dataCorrupted` if the dimension is less than 1 or does not divide
    ///   the number of values.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        let dimension = try container.decode(Int.self, forKey: .dimension)
        let values = try container.decode([Float].self, forKey: .values)
        do throws(CLIPError) {
            try self.init(values: values, dimension: dimension)
        } catch {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: error.description))
        }
    }
}

/// Normalised embeddings, packed once so that their cosines with many others are fast to compute.
package struct UnitVectors: Sendable {
    private let vectors: PackedVectors
    private let count: Int
    private let dimension: Int

    package init(_ embeddings: Embeddings) {
        (count, dimension) = (embeddings.count, embeddings.dimension)
        vectors = PackedVectors(embeddings.normalized().values, dimension: dimension)
    }

    /// Returns the cosine of every row of `rows` with every packed embedding, in -1...1.
    ///
    /// - Throws: `CLIPError.wrongDimension` if the dimensions differ.
    package func cosines(of rows: Embeddings) throws(CLIPError) -> [[Float]] {
        guard rows.dimension == dimension else {
            throw .wrongDimension(expected: dimension, found: rows.dimension)
        }
        let products = vectors.dotProducts(with: rows.normalized().values)
        return (0..<rows.count).map { row in
            products[(row * count)..<((row + 1) * count)].map { min(1, max(-1, $0)) }
        }
    }
}
