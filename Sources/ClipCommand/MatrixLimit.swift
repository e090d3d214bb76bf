/// The largest matrices of cosines that are held in memory and drawn.
enum MatrixLimit {
    static let cells = 100_000_000
    static let drawnCells = 10_000

    /// The most numbers of vectors that are held in memory: 4 GB.
    private static let numbers = 1_000_000_000

    /// - Throws: `Failure` if the vectors of so many images are too large.
    static func check(vectors count: Int, dimension: Int) throws {
        guard count <= numbers / dimension else {
            throw Failure(
                """
                too large: the vectors of more than \(grouped(numbers / dimension)) images: use clip index and \
                clip search
                """)
        }
    }

    /// - Throws: `Failure` if a matrix of so many images and texts is too large.
    static func check(
        images: Int, texts: Int, isDrawn: Bool, advice: String = "use --sample"
    ) throws {
        if isDrawn && images * texts > drawnCells {
            throw Failure(
                """
                too large to draw: --heatmap draws up to \(grouped(drawnCells)) cosines, and there are more \
                with \(grouped(texts)) texts and \(grouped(images)) images or more: \(advice)
                """)
        }
        if images * texts > cells {
            throw Failure(
                """
                too large: a matrix of more than \(grouped(cells)) cosines, of \(grouped(texts)) texts and \
                \(grouped(images)) images or more: \(advice), or clip index and clip search
                """)
        }
    }
}
