import Testing

@testable import Tensors

/// Compares the operations on long vectors with loops over all elements: the threads must write
/// every element once, and the bits must not depend on their number.
@Suite struct DoubleVectorTests {
    /// Lengths of no block, one, several, and several with an incomplete one.
    static let lengths = [0, 1, 8192, 3 * 8192, 5 * 8192 + 7]

    private func numbers(_ count: Int, _ factor: Double) -> [Double] {
        (0..<count).map { (Double($0) * factor).truncatingRemainder(dividingBy: 1) - 0.5 }
    }

    @Test(arguments: lengths, [1, 2, 4])
    func elementsAreThoseOfALoop(count: Int, threads: Int) {
        let pool = WorkspacePool(threads: threads)
        let (a, b) = (numbers(count, 0.618), numbers(count, 0.414))
        let narrow = b.map { Float($0) }

        var added = a
        add(3, times: narrow, to: &added, on: pool)
        #expect(added == zip(a, narrow).map { $0 + 3 * Double($1) })
        var scaled = a
        scale(&scaled, by: 2, adding: 3, times: b, on: pool)
        #expect(scaled == zip(a, b).map { 2 * $0 + 3 * $1 })
        #expect(sum(a, 3, times: b, on: pool) == zip(a, b).map { $0 + 3 * $1 })
        #expect(difference(a, b, on: pool) == zip(a, b).map { Float($0 - $1) })

        let product = dotProduct(a, b, on: pool)
        #expect(product == dotProduct(a, b, on: WorkspacePool(threads: 1)))
        let plain = zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
        #expect(abs(product - plain) <= 1e-9 * Double(count))
    }

    @Test func columnsAndClassesAreSummed() {
        let rows: [Float] = [1, 2, 3, 4, 5, 6]
        let sums = ColumnSums(of: rows, dimension: 2)
        #expect(sums.values == [9, 12])
        #expect(sums.squares == [35, 56])
        let classes = sumsOfClasses(rows, minus: [1, 1], labels: [2, 0, 2], classCount: 3)
        #expect(classes == [2, 3, 0, 0, 4, 6])
    }
}
