#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Rotary positional embeddings (RoPE): a rotation of pairs of channels for each position.
///
/// Channels 2i and 2i + 1 of a head are a point that is rotated by the angle i of the position.
/// Every head has the same angles.
///
/// Source: `apply_rot_embed_cat` in `pos_embed_sincos.py` of timm.
package struct Rotation: Sendable {
    /// The cosine and sine of each angle, [positions, 2 * pairs].
    private let table: [Float]
    /// The number of pairs of channels of a head.
    fileprivate let pairs: Int

    /// Makes a rotation from the angles of each position in radians; all have the same number.
    package init(angles: [[Float]]) {
        let pairs = angles.first?.count ?? 0
        precondition(
            angles.allSatisfy { $0.count == pairs },
            "expected as many angles for each position, found \(angles.map(\.count))")
        self.pairs = pairs
        table = angles.flatMap { angles in
            angles.flatMap { [Float(cos(Double($0))), Float(sin(Double($0)))] }
        }
    }

    /// The number of positions.
    package var count: Int { pairs == 0 ? 0 : table.count / (2 * pairs) }

    /// Rotates the channels of consecutive heads by the angles of a position, in place.
    fileprivate func apply(_ x: UnsafeMutablePointer<Float>, heads: Int, position: Int) {
        table.withUnsafeBufferPointer { table in
            let angles = table[(position * 2 * pairs)..<((position + 1) * 2 * pairs)]
            var next = x
            for _ in 0..<heads {
                for place in stride(from: angles.startIndex, to: angles.endIndex, by: 2) {
                    let (cosine, sine) = (table[place], table[place + 1])
                    let (a, b) = (next[0], next[1])
                    next[0] = a * cosine - b * sine
                    next[1] = b * cosine + a * sine
                    next += 2
                }
            }
        }
    }
}

extension Matrix {
    /// Rotates the heads of each row of a float32 matrix by the angles of its position, in place.
    ///
    /// - Parameters:
    ///   - rotation: The angles of each position.
    ///   - positions: The position of each row.
    ///   - range: The columns to rotate, a whole number of heads; all if nil.
    package func rotate(
        by rotation: Rotation, at positions: [Int], columns range: Range<Int>? = nil
    ) {
        let range = range ?? 0..<columns
        let head = 2 * rotation.pairs
        precondition(
            positions.count == rows && positions.allSatisfy { (0..<rotation.count).contains($0) }
                && range.upperBound <= columns && head > 0 && range.count % head == 0,
            """
            expected \(rows) positions in 0..<\(rotation.count) and whole heads of \(head) of the \
            \(columns) columns, found \(positions.count) positions and the columns \(range)
            """)
        workspace.team.split(rows, unit: 4) { _, part in
            for index in part {
                rotation.apply(
                    row(index) + range.lowerBound, heads: range.count / head,
                    position: positions[index])
            }
        }
    }
}
