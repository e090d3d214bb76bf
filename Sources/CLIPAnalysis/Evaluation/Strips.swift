internal import CLIP
internal import Tensors

/// Computes a large matrix in strips of rows, on all threads, and merges their results in order.
///
/// The strips do not depend on the number of threads, nor does the order of merging, so the result
/// is the same on any number of threads.
///
/// - Parameters:
///   - rows: The number of rows of the matrix.
///   - columns: The number of its columns; a strip has at most 256 rows and four million elements,
///     but at least one row.
///   - threads: The number of threads, and of strips in memory; all cores of the process if nil.
///   - progress: A function that receives the fraction of the rows that are done; it returns false
///     to stop.
///   - body: A function that computes the result of a range of rows, on any thread.
///   - merge: A function that receives each range and its result, on the calling thread.
/// - Throws: `AnalysisError.cancelled` if `progress` returns false.
func forEachStrip<Part: Sendable>(
    rows: Int, columns: Int, threads: Int?, progress: (Double) -> Bool,
    _ body: @Sendable (_ rows: Range<Int>) -> Part, merge: (_ rows: Range<Int>, Part) -> Void
) throws(AnalysisError) {
    let length = max(1, min(256, (4 << 20) / max(1, columns)))
    let strips = stride(from: 0, to: rows, by: length).map { $0..<min(rows, $0 + length) }
    try report(0, to: progress)
    let together = max(1, threads ?? availableCores())
    let pool = WorkspacePool(threads: together)
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
private func transposed(_ values: [Float], columns: Int) -> [Float] {
    Tensor(values, shape: [values.count / columns, columns]).transposed().values
}

/// The embeddings of the pairs of a loss, packed for their dot products and for the gradients.
struct PairProducts: Sendable {
    let count: Int
    let dimension: Int
    private let images: Embeddings
    private let texts: PackedVectors
    /// The transpose of the texts: [dimension, count].
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
        try AnalysisError.check(finite: pairs.images, of: "vector of image")
        try AnalysisError.check(finite: pairs.texts, of: "vector of text")
        texts = PackedVectors(pairs.texts.values, dimension: dimension)
        textColumns = PackedVectors(
            transposed(pairs.texts.values, columns: dimension), dimension: count)
    }

    /// Returns the dot products of some images with all texts: [rows, count], row-major.
    func products(_ rows: Range<Int>) -> [Float] {
        texts.dotProducts(with: images.values(ofRows: rows))
    }

    /// Returns the gradients of a strip, by the chain rule from the derivatives of its logits.
    ///
    /// - Parameters:
    ///   - rows: The rows of the images.
    ///   - products: The dot products of these images with all texts: [rows, count].
    ///   - derivatives: The derivatives of the loss with respect to the logits: [rows, count].
    /// - Returns: The complete gradients of these images, and the contributions of these rows to
    ///   the other gradients, which are sums over all rows.
    func gradients(
        _ rows: Range<Int>, _ products: [Float], _ derivatives: [Float]
    ) -> PairGradients.Part {
        let imageColumns = PackedVectors(
            transposed(images.values(ofRows: rows), columns: dimension), dimension: rows.count)
        return PairGradients.Part(
            images: textColumns.dotProducts(with: derivatives),
            texts: imageColumns.dotProducts(with: transposed(derivatives, columns: count)),
            scale: zip(products, derivatives).reduce(0) { $0 + Double($1.0) * Double($1.1) },
            bias: derivatives.reduce(0) { $0 + Double($1) })
    }
}

/// The derivatives of a loss, summed over strips of images.
struct PairGradients {
    /// The contribution of a strip of images to the derivatives.
    struct Part: Sendable {
        /// The derivatives with respect to the images of the strip, divided by the logit scale.
        let images: [Float]
        /// The derivatives with respect to all texts, divided by the logit scale.
        let texts: [Float]
        /// The derivative with respect to the logit scale.
        let scale: Double
        /// The derivative with respect to the logit bias.
        let bias: Double
    }

    private let dimension: Int
    private let logitScale: Float
    /// [images so far, dimension], row-major, divided by the logit scale.
    private var imageValues: [Float] = []
    /// [texts, dimension], row-major, divided by the logit scale.
    private var textValues: [Double]
    private(set) var scale = 0.0
    private(set) var bias = 0.0

    init(_ products: PairProducts, logitScale: Float) {
        (dimension, self.logitScale) = (products.dimension, logitScale)
        textValues = [Double](repeating: 0, count: products.count * dimension)
        imageValues.reserveCapacity(textValues.count)
    }

    /// Adds the derivatives of the next strip of images.
    mutating func add(_ next: Part) {
        imageValues += next.images
        for index in textValues.indices { textValues[index] += Double(next.texts[index]) }
        scale += next.scale
        bias += next.bias
    }

    /// The derivatives with respect to the images.
    var images: Embeddings {
        Embeddings(rows: imageValues.map { logitScale * $0 }, dimension: dimension)
    }

    /// The derivatives with respect to the texts.
    var texts: Embeddings {
        Embeddings(
            rows: textValues.map { Float(Double(logitScale) * $0) }, dimension: dimension)
    }

    /// Throws an error if the loss or one of its derivatives is NaN or infinite.
    func check(loss: Double) throws(AnalysisError) {
        try AnalysisError.check(finite: images, of: "gradient for image")
        try AnalysisError.check(finite: texts, of: "gradient for text")
        try AnalysisError.check(
            finite: [loss, scale, bias], of: "loss and its derivatives for scale and bias")
    }
}

/// Throws an error unless an option is a finite number.
func check(option name: String, _ value: Float) throws(AnalysisError) {
    guard value.isFinite else {
        throw .invalidOption(name: name, found: "\(value)", expected: "a finite number")
    }
}
