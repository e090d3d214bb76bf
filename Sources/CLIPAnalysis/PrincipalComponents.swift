public import CLIP
internal import Tensors

/// Principal component analysis (PCA): the orthogonal directions of largest variance.
///
/// The components are computed by orthogonal iteration with up to eight additional directions
/// (oversampling), and diagonalisation in the resulting subspace.
///
/// ```swift
/// let result = try PrincipalComponents(count: 2).run(on: embeddings)
/// print(result.variances, result.coordinates[0])
/// ```
///
/// Source: Halko, Martinsson and Tropp 2011, "Finding Structure with Randomness".
public struct PrincipalComponents: Analysis {
    /// The number of components, 1 to the number of dimensions.
    public var count: Int

    /// Makes the options.
    ///
    /// - Parameter count: The number of components, 1 to the number of dimensions.
    public init(count: Int) { self.count = count }

    /// The components of vectors, the largest variance first.
    public struct Result: Sendable, Hashable, Codable {
        /// The axes, one row for each component; they are orthonormal, and the entry with the
        /// largest magnitude of each axis is positive.
        ///
        /// If the vectors have fewer independent directions than `count`, the surplus axes have no
        /// variance, and may be zero.
        public let axes: Embeddings
        /// The coordinates of each vector, [vectors, count]: its offset from the mean along each
        /// axis.
        public let coordinates: Embeddings
        /// The sample variance along each axis, with n - 1 in the denominator.
        public let variances: [Double]
    }

    /// Finds the principal components of vectors.
    ///
    /// - Parameters:
    ///   - embeddings: Two or more vectors, which are not normalised first.
    ///   - progress: A function that is called from time to time with the fraction of the work
    ///     done, 0...1; it returns false to stop the analysis.
    /// - Returns: The components.
    /// - Throws: `AnalysisError.tooFewVectors` for fewer than two, `.invalidOption` if `count` is
    ///   out of range, and `.cancelled`.
    public func run(
        on embeddings: Embeddings, progress: (Double) -> Bool
    ) throws(AnalysisError) -> Result {
        let (rows, dimension) = (embeddings.count, embeddings.dimension)
        guard rows > 1 else { throw .tooFewVectors(expected: 2, found: rows) }
        guard (1...dimension).contains(count) else {
            throw .invalidOption(name: "count", found: "\(count)", expected: "1 to \(dimension)")
        }
        var means = [Double](repeating: 0, count: dimension)
        for (place, value) in embeddings.values.enumerated() {
            means[place % dimension] += Double(value) / Double(rows)
        }
        let centred = embeddings.values.enumerated().map { place, value in
            Float(Double(value) - means[place % dimension])
        }
        let turned = Self.transposed(centred, columns: dimension)

        let wide = min(dimension, count + 8)
        var random = SplitMix64(state: 0)
        var directions = Self.orthonormalized(
            (0..<(wide * dimension)).map { _ in Float(random.nextUnit() - 0.5) }, dimension)
        var (lengths, old): ([Double], [Double]) = ([], [])
        for iteration in 0..<300 {
            try report(Double(iteration) / 300, to: progress)
            // The covariance times the directions, without making the covariance.
            let projected = dotProducts(centred, directions, dimension: dimension)
            let next = dotProducts(
                Self.transposed(projected, columns: wide), turned, dimension: rows)
            directions = Self.orthonormalized(next, dimension)
            (old, lengths) = (lengths, Self.squaredLengths(projected, columns: wide))
            // Only the requested components have to converge.
            let moves = zip(lengths, old).prefix(count).map { abs($0 - $1) / max($0, 1e-30) }
            if moves.count == count, moves.allSatisfy({ $0 < 1e-7 }) { break }
        }
        let projected = dotProducts(centred, directions, dimension: dimension)
        let turnedProjected = Self.transposed(projected, columns: wide)
        let squares = dotProducts(turnedProjected, turnedProjected, dimension: rows)
        let (values, rotation) = Self.eigenvectors(squares.map(Double.init), wide)

        var axes: [Float] = []
        for axis in 0..<count {
            var vector = (0..<dimension).map { column in
                (0..<wide).reduce(0.0) {
                    $0 + rotation[axis][$1] * Double(directions[$1 * dimension + column])
                }
            }
            if let most = vector.max(by: { abs($0) < abs($1) }), most < 0 {
                vector = vector.map { -$0 }
            }
            axes += vector.map(Float.init)
        }
        return Result(
            axes: Embeddings(rows: axes, dimension: dimension),
            coordinates: Embeddings(
                rows: dotProducts(centred, axes, dimension: dimension), dimension: count),
            variances: values.prefix(count).map { max(0, $0) / Double(rows - 1) })
    }

    private static func transposed(_ values: [Float], columns: Int) -> [Float] {
        let rows = values.count / columns
        var result = [Float](repeating: 0, count: values.count)
        for row in 0..<rows {
            for column in 0..<columns {
                result[column * rows + row] = values[row * columns + column]
            }
        }
        return result
    }

    private static func squaredLengths(_ values: [Float], columns: Int) -> [Double] {
        var sums = [Double](repeating: 0, count: columns)
        for (place, value) in values.enumerated() {
            sums[place % columns] += Double(value) * Double(value)
        }
        return sums
    }

    /// Orthonormalises rows by the Gram-Schmidt method.
    ///
    /// A row that depends linearly on the rows before it becomes zero, or a normalised rounding
    /// error.
    private static func orthonormalized(_ values: [Float], _ dimension: Int) -> [Float] {
        var rows: [[Double]] = []
        for start in stride(from: 0, to: values.count, by: dimension) {
            var row = values[start..<(start + dimension)].map(Double.init)
            for _ in 0..<2 {  // twice, because of rounding errors
                for other in rows {
                    let product = zip(row, other).reduce(0) { $0 + $1.0 * $1.1 }
                    for i in 0..<dimension { row[i] -= product * other[i] }
                }
                let length = row.reduce(0) { $0 + $1 * $1 }.squareRoot()
                if length > 0 { row = row.map { $0 / length } }
            }
            rows.append(row)
        }
        return rows.flatMap { $0.map(Float.init) }
    }

    /// Returns the eigenvalues of a symmetric n × n matrix, the largest first, and their
    /// eigenvectors, by Jacobi rotations.
    private static func eigenvectors(
        _ matrix: [Double], _ n: Int
    ) -> (values: [Double], vectors: [[Double]]) {
        var a = (0..<n).map { Array(matrix[($0 * n)..<(($0 + 1) * n)]) }
        var vectors = (0..<n).map { i in (0..<n).map { $0 == i ? 1.0 : 0 } }
        for _ in 0..<50 {
            let outside = (0..<n).reduce(0.0) { sum, i in
                sum + (0..<n).reduce(0.0) { $1 == i ? $0 : $0 + a[i][$1] * a[i][$1] }
            }
            let inside = (0..<n).reduce(0.0) { $0 + a[$1][$1] * a[$1][$1] }
            if outside <= 1e-26 * inside { break }
            for p in 0..<n {
                for q in (p + 1)..<max(n, p + 1) where a[p][q] != 0 {
                    let theta = (a[q][q] - a[p][p]) / (2 * a[p][q])
                    let t = (theta < 0 ? -1 : 1) / (abs(theta) + (theta * theta + 1).squareRoot())
                    let c = 1 / (t * t + 1).squareRoot()
                    let s = t * c
                    for k in 0..<n {
                        (a[k][p], a[k][q]) = (c * a[k][p] - s * a[k][q], s * a[k][p] + c * a[k][q])
                    }
                    for k in 0..<n {
                        (a[p][k], a[q][k]) = (c * a[p][k] - s * a[q][k], s * a[p][k] + c * a[q][k])
                        (vectors[p][k], vectors[q][k]) = (
                            c * vectors[p][k] - s * vectors[q][k],
                            s * vectors[p][k] + c * vectors[q][k]
                        )
                    }
                }
            }
        }
        let order = (0..<n).sorted { a[$0][$0] > a[$1][$1] }
        return (order.map { a[$0][$0] }, order.map { vectors[$0] })
    }
}
