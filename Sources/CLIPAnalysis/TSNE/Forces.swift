internal import Tensors

/// The gradient of the KL divergence: neighbours attract each other, all points repel each other.
struct Forces {
    let gradientX: [Float]
    let gradientY: [Float]
    /// The KL divergence of the map from the joint probabilities, in nats.
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
            /// The sum of 1 / (1 + d²) over the points of the part and, for each, all other points
            /// at distance d.
            var sum = 0.0
            /// The sum of p log(p (1 + d²)) over the points of the part and their neighbours.
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
                part.sum += Double(push.sum) - 1  // the point itself
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
