internal import Synchronization
internal import Tensors

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A rectangle of patches.
struct Grid: Sendable, Hashable {
    let rows: Int
    let columns: Int

    var area: Int { rows * columns }
}

/// The positional embeddings of an image tower.
struct ImagePositions: Sendable {
    /// The rotation of queries and keys by the tokens' positions; nil if there is none.
    let rotation: Rotation?
    /// The learned vectors, [positions, width]: one for each token of an image, or for each patch
    /// if the class token has none.
    ///
    /// If `isResized` is true, they are those of the stored grid.
    private let learned: Tensor
    /// The number of tokens at the start of each sequence that have no vector.
    private let skipped: Int
    /// The vectors for the grids of the last images; nil if all images have the stored grid.
    private let resized: ResizedPositions?

    init(_ parameters: Parameters, _ vision: CLIPConfiguration.VisionTransformer) {
        let stored = parameters.tensor("positional_embedding")
        let isResized = vision.positions == .resized
        resized = isResized ? ResizedPositions(stored) : nil
        skipped = vision.positions == .learnedForPatches ? vision.prefixCount : 0
        let first = vision.prefixCount - skipped
        learned = isResized ? stored : stored.interpolated(toGrid: vision.grid, after: first)
        rotation =
            vision.positions == .learnedAndRotary
            ? Rotation(angles: Self.angles(vision, grid: stored.grid(after: first))) : nil
    }

    /// Adds the vectors to the tokens of each image, in place.
    func add(to x: Matrix, _ grids: [Grid], _ sequences: Sequences) {
        for (grid, sequence) in zip(grids, sequences.own) {
            x.add(rowsOf: resized?.table(for: grid) ?? learned, toRows: sequence.dropFirst(skipped))
        }
    }

    /// Returns the angles of each token, in radians, one for each pair of a head's channels.
    ///
    /// The angles of the first half of the pairs are proportional to the column of the patch, the
    /// others to its row. The class token is not rotated. Columns and rows count from 1 if there is
    /// a class token, else from 0, and those of a grid of another size are scaled to the `grid` of
    /// the weights.
    ///
    /// Source: `build_rotary_pos_embed` in `pos_embed_sincos.py` of timm.
    private static func angles(
        _ vision: CLIPConfiguration.VisionTransformer, grid: Int
    ) -> [[Float]] {
        let count = vision.width / vision.heads / 4
        let bands = (0..<count).map { band in
            1 / Float(pow(10_000, Double(Float(band) / Float(count))))
        }
        let places = (0..<vision.grid).map { place in
            (Float(place) + Float(vision.prefixCount)) / Float(vision.grid) * Float(grid)
        }
        let still = [Float](repeating: 0, count: 2 * count)
        return [[Float]](repeating: still, count: vision.prefixCount)
            + places.flatMap { row in
                places.map { column in bands.map { column * $0 } + bands.map { row * $0 } }
            }
    }
}

/// Positional embeddings on a square grid that are resized to the grids of images.
private final class ResizedPositions: Sendable {
    private let stored: Tensor
    /// The tables of grids, which images of one camera share.
    private let tables = Mutex<[Grid: Tensor]>([:])

    init(_ stored: Tensor) { self.stored = stored }

    /// Returns the vectors of a grid, [rows * columns, width].
    func table(for grid: Grid) -> Tensor {
        if let table = tables.withLock({ $0[grid] }) { return table }
        let table = stored.resized(to: grid)
        tables.withLock { tables in
            if tables.count >= 32 { tables.removeAll() }
            tables[grid] = table
        }
        return table
    }
}

extension Tensor {
    /// Returns the side of the square grid of the rows after the first `count`.
    fileprivate func grid(after count: Int) -> Int {
        Int(Double(shape[0] - count).squareRoot().rounded())
    }

    /// Resamples positional embeddings to another grid, [count + grid², width] -> [count +
    /// newGrid², width].
    ///
    /// The first `count` embeddings, such as the class token's, are unchanged.
    ///
    /// Source: `resize_pos_embed` of open_clip.
    fileprivate func interpolated(toGrid newGrid: Int, after count: Int) -> Tensor {
        let grid = grid(after: count)
        guard grid != newGrid else { return self }
        let positions = rows(count..<shape[0]).resampled(
            fromGrid: grid, to: Grid(rows: newGrid, columns: newGrid), filter: .bicubic)
        return count == 0 ? positions : .stacked([rows(0..<count), positions])
    }

    /// Resamples positional embeddings to the grid of an image, [grid², width] -> [rows * columns,
    /// width].
    ///
    /// Source: `Siglip2VisionEmbeddings.resize_positional_embeddings` of transformers.
    fileprivate func resized(to grid: Grid) -> Tensor {
        let side = self.grid(after: 0)
        guard grid != Grid(rows: side, columns: side) else { return self }
        return resampled(fromGrid: side, to: grid, filter: .bilinear)
    }
}
