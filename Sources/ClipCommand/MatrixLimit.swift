/// Limits on the size of matrices of cosines and of vectors, since they must fit into memory.
enum MatrixLimit {
    /// The largest number of cosines in memory.
    static let cells = 100_000_000
    /// The largest number of cosines in a drawing.
    static let drawnCells = 10_000

    /// The largest number of vector elements in memory: 4 GB of Float32.
    private static let elements = 1_000_000_000

    /// Checks that the vectors of `count` images and texts fit into memory.
    ///
    /// - Throws: `Failure` with the advice if they do not.
    static func check(
        vectors count: Int, dimension: Int, advice: String = "use clip index and clip search"
    ) throws {
        guard count <= elements / dimension else {
            throw Failure(
                """
                too many images (limit \(grouped(elements / dimension)) vectors of \(dimension) \
                dimensions): \(advice)
                """)
        }
    }

    /// Checks the size of a matrix of cosines.
    ///
    /// - Throws: `Failure` if the matrix is too large for memory, or for a drawing (`isDrawn`).
    static func check(
        images: Int, texts: Int, isDrawn: Bool, advice: String = "use --sample"
    ) throws {
        if isDrawn && images * texts > drawnCells {
            throw Failure(
                """
                matrix too large to draw (\(grouped(images)) or more images x \(grouped(texts)) \
                texts, limit \(grouped(drawnCells)) cosines): \(advice)
                """)
        }
        if images * texts > cells {
            throw Failure(
                """
                matrix too large (\(grouped(images)) or more images x \(grouped(texts)) texts, \
                limit \(grouped(cells)) cosines): \(advice), or use clip index and clip search
                """)
        }
    }
}
