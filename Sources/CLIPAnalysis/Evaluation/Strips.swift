internal import CLIP
internal import Tensors

/// Computes a large matrix in strips of rows, on all threads, and merges their results in order.
///
/// The strips do not depend on the number of threads, nor does the order of merging, so the result
/// is the same on any number of threads.
///
/// - Parameters:
///   - rows: The number of rows of the matrix.
///   - columns: The number of its columns; a strip has at most four million elements.
///   - pool: The pool whose threads are used.
///   - progress: A function that receives the fraction of the rows that are done; it returns false
///     to stop.
///   - body: A function that computes the result of a range of rows, on any thread.
///   - merge: A function that receives each range and its result, on the calling thread.
/// - Throws: `AnalysisError.cancelled` if `progress` returns false.
func forEachStrip<Part: Sendable>(
    rows: Int, columns: Int, on pool: WorkspacePool, progress: (Double) -> Bool,
    _ body: @Sendable (_ rows: Range<Int>) -> Part, merge: (_ rows: Range<Int>, Part) -> Void
) throws(AnalysisError) {
    let length = max(1, min(256, (4 << 20) / max(1, columns)))
    let strips = stride(from: 0, to: rows, by: length).map { $0..<min(rows, $0 + length) }
    try report(0, to: progress)
    let together = availableCores()
    for first in stride(from: 0, to: strips.count, by: together) {
        let some = strips[first..<min(strips.count, first + together)]
        let parts = pool.map(some.count) { body(some[first + $0]) }
        for (strip, part) in zip(some, parts) { merge(strip, part) }
        try report(Double(some.last?.upperBound ?? rows) / Double(rows), to: progress)
    }
}

/// Returns a matrix with rows and columns exchanged.
///
/// - Parameters:
///   - values: [rows, columns], row-major.
///   - columns: The number of columns, at least 1.
/// - Returns: [columns, rows], row-major.
func transposed(_ values: [Float], columns: Int) -> [Float] {
    let rows = values.count / columns
    return [Float](unsafeUninitializedCapacity: values.count) { target, initialized in
        for row in 0..<rows {
            for column in 0..<columns {
                target[column * rows + row] = values[row * columns + column]
            }
        }
        initialized = values.count
    }
}

/// The pairs of a loss: their dot products, and the gradients that follow from the derivatives of
/// the logits.
struct PairProducts: Sendable {
    let count: Int
    let dimension: Int
    private let images: Embeddings
    private let texts: PackedVectors
    /// The columns of the texts: [dimension, count].
    private let textColumns: PackedVectors

    /// Checks and packs the embeddings of pairs.
    ///
    /// - Throws: `AnalysisError.wrongCount` or `.wrongDimension` if images and texts do not match,
    ///   `.tooFewVectors` if there are none, and `.notFinite`.
    init(_ pairs: PairEvaluation.Input) throws(AnalysisError) {
        (count, dimension, images) = (pairs.images.count, pairs.images.dimension, pairs.images)
        guard pairs.texts.count == count else {
            throw .wrongCount(of: "texts", expected: count, found: pairs.texts.count)
        }
        guard pairs.texts.dimension == dimension else {
            throw .wrongDimension(expected: dimension, found: pairs.texts.dimension)
        }
        guard count > 0 else { throw .tooFewVectors(expected: 1, found: 0) }
        try AnalysisError.check(finite: pairs.images.values, of: "images")
        try AnalysisError.check(finite: pairs.texts.values, of: "texts")
        texts = PackedVectors(pairs.texts.values, dimension: dimension)
        textColumns = PackedVectors(
            transposed(pairs.texts.values, columns: dimension), dimension: count)
    }

    /// Returns the dot products of some images with all texts: [rows, count], row-major.
    func products(_ rows: Range<Int>) -> [Float] {
        texts.dotProducts(with: images.values(ofRows: rows))
    }

    /// Returns the gradients that follow from the derivatives of some rows of logits.
    ///
    /// - Parameters:
    ///   - rows: The rows of the images.
    ///   - products: The dot products of these images with all texts: [rows, count].
    ///   - derivatives: The derivatives of the loss with respect to the logits: [rows, count].
    ///   - scale: The factor of the dot products in the logits.
    /// - Returns: The gradients of these images, and these rows' part of all others.
    func gradients(
        _ rows: Range<Int>, _ products: [Float], _ derivatives: [Float], scale: Float
    ) -> PairGradients {
        let imageColumns = PackedVectors(
            transposed(images.values(ofRows: rows), columns: dimension), dimension: rows.count)
        let forTexts = imageColumns.dotProducts(with: transposed(derivatives, columns: count))
        return PairGradients(
            images: textColumns.dotProducts(with: derivatives).map { scale * $0 },
            texts: forTexts.map { Double(scale) * Double($0) },
            scale: zip(products, derivatives).reduce(0) { $0 + Double($1.0) * Double($1.1) },
            bias: derivatives.reduce(0) { $0 + Double($1) })
    }
}

/// The derivatives of a loss, summed over strips of images.
struct PairGradients: Sendable {
    /// [images so far, dimension], row-major.
    var images: [Float] = []
    /// [texts, dimension], row-major; empty before the first strip.
    var texts: [Double] = []
    var scale = 0.0
    var bias = 0.0

    /// Appends those of the next strip of images.
    mutating func add(_ next: PairGradients) {
        images += next.images
        if texts.isEmpty {
            texts = next.texts
        } else {
            for index in texts.indices { texts[index] += next.texts[index] }
        }
        scale += next.scale
        bias += next.bias
    }
}

/// Throws an error unless an option is a finite number.
func check(option name: String, _ value: Float) throws(AnalysisError) {
    guard value.isFinite else {
        throw .invalidOption(name: name, found: "\(value)", expected: "a finite number")
    }
}
