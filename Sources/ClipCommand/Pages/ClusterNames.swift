/// The name of a cluster, and the cosine of its centre with the label in it.
struct ClusterName: Equatable {
    let text: String
    let cosine: Float

    /// Names clusters by labels, no two alike.
    ///
    /// A label that is the best of several clusters goes to the one with the largest cosine. The others get
    /// their second-best label or, if that is taken too, their best one with a number.
    ///
    /// - Parameter predictions: The labels of each cluster, best first.
    static func distinct(_ predictions: [[(label: String, cosine: Float)]]) -> [ClusterName?] {
        var names = [ClusterName?](repeating: nil, count: predictions.count)
        var used = Set<String>()
        let order = predictions.indices.filter { !predictions[$0].isEmpty }
            .sorted { (predictions[$1][0].cosine, $0) < (predictions[$0][0].cosine, $1) }
        func give(_ rank: Int) {
            for cluster in order where names[cluster] == nil && predictions[cluster].count > rank {
                let (label, cosine) = predictions[cluster][rank]
                if used.insert(label).inserted {
                    names[cluster] = ClusterName(text: label, cosine: cosine)
                }
            }
        }
        give(0)
        give(1)
        let labels = Set(predictions.joined().map(\.label))
        for cluster in order where names[cluster] == nil {
            let (label, cosine) = predictions[cluster][0]
            var number = 2
            while labels.contains("\(label) \(number)") || used.contains("\(label) \(number)") {
                number += 1
            }
            used.insert("\(label) \(number)")
            names[cluster] = ClusterName(text: "\(label) \(number)", cosine: cosine)
        }
        return names
    }
}
