public import CLIP
internal import Tensors

/// Vectors laid out in the plane, what is alike side by side: t-SNE with Barnes and Hut's approximation.
///
/// Begins with the first two principal components, so that the same vectors are laid out the same every time.
/// Numbers and schedule are scikit-learn's defaults.
///
/// Source: van der Maaten 2014, "Accelerating t-SNE using Tree-Based Algorithms".
public struct TSNE: Sendable {
    /// How many neighbours a vector is to have, about; at most a third of all vectors count.
    public var perplexity: Double = 30
    /// The steps of gradient descent, 250 of them with forces of attraction 12 times as strong.
    public var iterations = 1000
    /// How large a group of points may be that counts as one, as a part of its distance; 0 is exact.
    public var angle: Float = 0.5
    /// All cores of the process if nil.
    public var threads: Int?

    /// The defaults.
    public init() {}

    /// Where vectors lie, and how much of their neighbourhoods is lost.
    public struct Layout: Sendable, Hashable, Codable {
        /// A place on the map.
        public struct Point: Sendable, Hashable, Codable {
            /// The horizontal coordinate.
            public let x: Float
            /// The vertical coordinate.
            public let y: Float

            package init(x: Float, y: Float) { (self.x, self.y) = (x, y) }
        }

        /// The coordinates of each vector, around 0.
        public let points: [Point]
        /// Of Kullback and Leibler, in nats: what t-SNE makes small.
        public let divergence: Double
    }

    /// Lays out vectors, of any length each, by their directions.
    ///
    /// - Parameter progress: called now and then with how much is done, 0...1; false ends it where it is.
    public func layout(
        of embeddings: Embeddings, progress: (Double) -> Bool = { _ in true }
    ) -> Layout {
        let count = embeddings.count
        guard count > 3 else {
            let points = (0..<count).map { Layout.Point(x: Float($0), y: 0) }
            return Layout(points: points, divergence: 0)
        }
        let pool = WorkspacePool(threads: max(1, threads ?? availableCores()))
        let unit = embeddings.normalized()
        let neighbours = Neighbours(
            unit, perplexity: min(perplexity, Double(count - 1) / 3), pool)
        var (x, y) = Self.beginning(unit)

        let rate = Float(max(Double(count) / 12 / 4, 50))
        var (stepX, stepY) = (x.map { _ in Float(0) }, x.map { _ in Float(0) })
        var (gainX, gainY) = (x.map { _ in Float(1) }, x.map { _ in Float(1) })
        func move(
            _ x: inout [Float], _ step: inout [Float], _ gain: inout [Float], _ gradient: [Float],
            momentum: Float
        ) {
            for i in x.indices {
                gain[i] = max(0.01, step[i] * gradient[i] < 0 ? gain[i] + 0.2 : gain[i] * 0.8)
                step[i] = momentum * step[i] - rate * gain[i] * gradient[i]
                x[i] += step[i]
            }
        }
        let early = min(250, iterations / 4)
        for iteration in 0..<iterations {
            let isEarly = iteration < early
            let forces = Forces(
                x, y, neighbours, attraction: isEarly ? 12 : 1, angle: angle, pool)
            if iteration == early {
                (gainX, gainY) = (x.map { _ in Float(1) }, x.map { _ in Float(1) })
                (stepX, stepY) = (x.map { _ in Float(0) }, x.map { _ in Float(0) })
            }
            let momentum: Float = isEarly ? 0.5 : 0.8
            move(&x, &stepX, &gainX, forces.gradientX, momentum: momentum)
            move(&y, &stepY, &gainY, forces.gradientY, momentum: momentum)
            if iteration % 10 == 9, !progress(Double(iteration + 1) / Double(iterations)) { break }
        }
        let last = Forces(x, y, neighbours, attraction: 1, angle: angle, pool)
        return Layout(
            points: zip(x, y).map { Layout.Point(x: $0.0, y: $0.1) }, divergence: last.divergence)
    }

    /// The first two principal components, made small.
    private static func beginning(_ unit: Embeddings) -> (x: [Float], y: [Float]) {
        guard unit.dimension > 1 else {
            return (unit.values.map { $0 * 1e-4 }, unit.values.map { _ in 0 })
        }
        let components = PrincipalComponents(unit, count: 2)
        let deviation =
            (components.variances[0] * Double(unit.count - 1) / Double(unit.count)).squareRoot()
        let scale = Float(1e-4 / max(deviation, 1e-30))
        let values = components.coordinates.values.map { $0 * scale }
        return (
            stride(from: 0, to: values.count, by: 2).map { values[$0] },
            stride(from: 1, to: values.count, by: 2).map { values[$0] }
        )
    }
}

/// How near vectors are to each other: probabilities p[i, j] that sum to 1, most of which are 0.
struct Neighbours: Sendable {
    /// Where the row of each vector begins.
    let starts: [Int]
    let columns: [Int32]
    let probabilities: [Float]

    init(_ unit: Embeddings, perplexity: Double, _ pool: WorkspacePool) {
        let count = unit.count
        let wanted = min(count - 1, Int(3 * perplexity + 1))
        let found = nearestRows(
            wanted + 1, of: unit.values, among: unit.values, dimension: unit.dimension, on: pool)
        // Each vector with its nearest, itself left out.
        let rows = pool.map(count) { row in
            let all = found[(row * (wanted + 1))..<((row + 1) * (wanted + 1))]
            let others = all.filter { $0.row != row }.prefix(wanted)
            let squares = others.map { max(0, 2 - 2 * Double($0.product)) }
            return zip(others.map { Int32($0.row) }, Self.conditional(squares, perplexity))
                .map { (column: $0.0, probability: $0.1) }
        }
        // Both ways, p[i|j] + p[j|i].
        var both = rows
        for (row, entries) in rows.enumerated() {
            for entry in entries { both[Int(entry.column)].append((Int32(row), entry.probability)) }
        }
        let total = 2 * Double(count)
        var (starts, columns, probabilities): ([Int], [Int32], [Float]) = ([0], [], [])
        for entries in both {
            var last: Int32 = -1
            for entry in entries.sorted(by: { $0.column < $1.column }) {
                if entry.column == last {
                    probabilities[probabilities.count - 1] += Float(entry.probability / total)
                } else {
                    columns.append(entry.column)
                    probabilities.append(Float(entry.probability / total))
                    last = entry.column
                }
            }
            starts.append(columns.count)
        }
        (self.starts, self.columns, self.probabilities) = (starts, columns, probabilities)
    }

    /// The probabilities of neighbours at some distances whose entropy is the logarithm of the perplexity.
    private static func conditional(_ squares: [Double], _ perplexity: Double) -> [Double] {
        let nearest = squares.min() ?? 0
        var (beta, low, high) = (1.0, 0.0, Double.infinity)
        var probabilities: [Double] = []
        for _ in 0..<100 {
            let weights = squares.map { (-beta * ($0 - nearest)).exponential }
            let sum = weights.reduce(0, +)
            probabilities = weights.map { $0 / sum }
            let mean = zip(probabilities, squares).reduce(0) { $0 + $1.0 * ($1.1 - nearest) }
            let surplus = sum.logarithm + beta * mean - perplexity.logarithm
            guard abs(surplus) > 1e-5 else { break }
            if surplus > 0 { low = beta } else { high = beta }
            beta = high.isInfinite ? beta * 2 : (low + high) / 2
        }
        return probabilities
    }
}

/// What moves points: those of neighbours attract each other, all repel each other.
struct Forces {
    let gradientX: [Float]
    let gradientY: [Float]
    /// Of the layout from the neighbourhoods; right where attraction is 1.
    let divergence: Double

    init(
        _ x: [Float], _ y: [Float], _ neighbours: Neighbours, attraction: Float, angle: Float,
        _ pool: WorkspacePool
    ) {
        let tree = QuadTree(x, y)
        let strips = (x.count + 255) / 256
        struct Part {
            var attraction: [(x: Float, y: Float)] = []
            var repulsion: [(x: Float, y: Float)] = []
            /// Of 1 / (1 + d²) over all others.
            var sum = 0.0
            /// Of p log(p (1 + d²)).
            var divergence = 0.0
        }
        let parts = pool.map(strips) { strip in
            var part = Part()
            for i in (strip * 256)..<min(x.count, strip * 256 + 256) {
                var pull: (x: Float, y: Float) = (0, 0)
                for place in neighbours.starts[i]..<neighbours.starts[i + 1] {
                    let j = Int(neighbours.columns[place])
                    let p = neighbours.probabilities[place]
                    let (dx, dy) = (x[i] - x[j], y[i] - y[j])
                    let near = 1 + dx * dx + dy * dy
                    pull.x += p * dx / near
                    pull.y += p * dy / near
                    part.divergence += Double(p) * Double(max(p * near, 1e-30)).logarithm
                }
                part.attraction.append(pull)
                let push = tree.repulsion(x[i], y[i], angle: angle)
                part.repulsion.append((push.x, push.y))
                part.sum += Double(push.sum) - 1  // itself
            }
            return part
        }
        let sum = parts.reduce(0) { $0 + $1.sum }
        let weight = Float(1 / max(sum, 1e-30))
        func gradient(_ pull: Float, _ push: Float) -> Float {
            4 * (attraction * pull - push * weight)
        }
        gradientX = parts.flatMap { part in
            zip(part.attraction, part.repulsion).map { gradient($0.0.x, $0.1.x) }
        }
        gradientY = parts.flatMap { part in
            zip(part.attraction, part.repulsion).map { gradient($0.0.y, $0.1.y) }
        }
        // Σ p log(p / q), where q is 1 / (1 + d²) / sum and Σ p is 1.
        divergence = parts.reduce(0) { $0 + $1.divergence } + max(sum, 1e-30).logarithm
    }
}

/// Points of the plane in squares of squares.
struct QuadTree: Sendable {
    private struct Node {
        /// Of its points.
        var meanX: Float = 0
        var meanY: Float = 0
        var count: Float = 0
        /// The square of its side; 0 if it is not divided.
        var area: Float = 0
        /// What follows it and all that it is divided into.
        var next: Int32 = 0
    }

    /// Each before what it is divided into.
    private var nodes: [Node] = []

    init(_ x: [Float], _ y: [Float]) {
        guard let left = x.min(), let right = x.max(), let top = y.min(), let bottom = y.max()
        else { return }
        let side = max(right - left, bottom - top) * 1.00001
        nodes.reserveCapacity(2 * x.count)
        var order = Array(x.indices)
        build(x, y, &order, 0..<x.count, left: left, top: top, side: side, depth: 0)
    }

    private mutating func build(
        _ x: [Float], _ y: [Float], _ order: inout [Int], _ range: Range<Int>, left: Float,
        top: Float, side: Float, depth: Int
    ) {
        var node = Node()
        for i in order[range] {
            node.meanX += x[i]
            node.meanY += y[i]
        }
        node.count = Float(range.count)
        node.meanX /= node.count
        node.meanY /= node.count
        let place = nodes.count
        let isDivided = range.count > 1 && depth < 40 && side > 0
        if isDivided { node.area = side * side }
        nodes.append(node)
        if isDivided {
            let half = side / 2
            let (middleX, middleY) = (left + half, top + half)
            let low = partition(&order, range) { y[$0] < middleY }
            for (part, isLow) in [(range.lowerBound..<low, true), (low..<range.upperBound, false)] {
                let near = partition(&order, part) { x[$0] < middleX }
                for (quarter, isNear) in [
                    (part.lowerBound..<near, true), (near..<part.upperBound, false),
                ] where !quarter.isEmpty {
                    build(
                        x, y, &order, quarter, left: isNear ? left : middleX,
                        top: isLow ? top : middleY, side: half, depth: depth + 1)
                }
            }
        }
        nodes[place].next = Int32(nodes.count)
    }

    /// Puts those that fulfil a condition first; where the others begin.
    private func partition(
        _ order: inout [Int], _ range: Range<Int>, _ isFirst: (Int) -> Bool
    ) -> Int {
        var end = range.lowerBound
        for place in range where isFirst(order[place]) {
            order.swapAt(place, end)
            end += 1
        }
        return end
    }

    /// The sums over all points of (here - there) / (1 + d²)² and of 1 / (1 + d²), where groups that are small for their distance
    /// count as one point.
    func repulsion(_ x: Float, _ y: Float, angle: Float) -> (x: Float, y: Float, sum: Float) {
        var result: (x: Float, y: Float, sum: Float) = (0, 0, 0)
        var place = 0
        while place < nodes.count {
            let node = nodes[place]
            let (dx, dy) = (x - node.meanX, y - node.meanY)
            let distance = dx * dx + dy * dy
            if node.area < angle * angle * distance || node.area == 0 {
                let near = 1 / (1 + distance)
                let force = node.count * near
                result.sum += force
                result.x += force * near * dx
                result.y += force * near * dy
                place = Int(node.next)
            } else {
                place += 1
            }
        }
        return result
    }
}
