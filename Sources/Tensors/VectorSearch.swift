/// Vectors of float32 in a mapped file, row by row.
package struct MappedVectors: Sendable {
    private let file: MappedFile
    package let dimension: Int
    package let count: Int

    /// - Parameter count: how many rows of the file count; nil if it has not so many.
    package init?(_ file: MappedFile, dimension: Int, count: Int) {
        guard dimension > 0, count >= 0, file.count / (4 * dimension) >= count else { return nil }
        self.file = file
        self.dimension = dimension
        self.count = count
    }

    package subscript(row: Int) -> [Float] {
        precondition(row >= 0 && row < count, "row \(row) of \(count)")
        return Array(UnsafeBufferPointer(start: start + row * dimension, count: dimension))
    }

    private var start: UnsafePointer<Float> {
        file.address(of: 0..<(4 * dimension * count)).assumingMemoryBound(to: Float.self)
    }

    /// The dot product of every row with a vector; each is one sum, whatever is computed beside it.
    package func dotProducts(with vector: [Float], on pool: WorkspacePool) -> [Float] {
        precondition(vector.count == dimension, "\(vector.count) numbers of \(dimension)")
        guard count > 0 else { return [] }
        let kernels = Kernels.current
        let start = start
        let strip = 4096
        return [Float](unsafeUninitializedCapacity: count) { products, initialized in
            initialized = count
            guard let target = products.baseAddress else { return }
            pool.inParallel((count + strip - 1) / strip) { index, _ in
                let first = index * strip
                kernels.dot_rows(
                    vector, start + first * dimension, dimension,
                    min(strip, count - first), dimension, target + first)
            }
        }
    }
}

/// The places of the largest numbers, best first, the lower place first among equals: at least `count`, and
/// all that equal the last of these.
package func placesOfLargest(_ count: Int, of numbers: [Float], atLeast threshold: Float) -> [Int] {
    guard count > 0 else { return [] }
    // The largest so far, the smallest of them first: a heap.
    var heap: [Float] = []
    for number in numbers where number >= threshold {
        if heap.count < count {
            heap.append(number)
            var child = heap.count - 1
            while child > 0, heap[(child - 1) / 2] > heap[child] {
                heap.swapAt(child, (child - 1) / 2)
                child = (child - 1) / 2
            }
        } else if number > heap[0] {
            heap[0] = number
            var parent = 0
            while true {
                var least = parent
                for child in [2 * parent + 1, 2 * parent + 2]
                where child < heap.count && heap[child] < heap[least] {
                    least = child
                }
                if least == parent { break }
                heap.swapAt(parent, least)
                parent = least
            }
        }
    }
    guard let last = heap.first else { return [] }
    return numbers.indices.filter { numbers[$0] >= last }
        .sorted { (numbers[$1], $0) < (numbers[$0], $1) }
}
