/// A quadtree of points, for the Barnes-Hut approximation.
struct QuadTree: Sendable {
    private struct Node {
        /// The mean of the node's points, for the x coordinate.
        var meanX: Float = 0
        /// The mean of the node's points, for the y coordinate.
        var meanY: Float = 0
        /// The number of the node's points.
        var count: Float = 0
        /// The square of the side of the node's cell; 0 for a leaf.
        var area: Float = 0
        /// The index of the next node that is not one of its descendants.
        var next: Int32 = 0
    }

    /// The nodes in depth-first order, each before its descendants.
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

    /// Moves the elements that fulfil a condition to the front of a range, and returns the index of
    /// the first element that does not.
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

    /// Returns the sums over all points (x', y') of (x - x') / (1 + d²)², (y - y') / (1 + d²)² and
    /// 1 / (1 + d²), where d is the distance from (x, y) to (x', y').
    ///
    /// A node whose side is less than `angle` times its distance is approximated by the mean of its
    /// points.
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
