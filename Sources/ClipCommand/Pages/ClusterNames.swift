/// The name of a cluster, and the cosine of its centroid with the label used as the name.
struct ClusterName: Equatable {
    let text: String
    let cosine: Float

    /// Returns a unique name for each cluster.
    ///
    /// If a label is the best one of several clusters, the cluster with the largest cosine gets it.
    /// The others get their second-best label, or their best label with a number if the second-best
    /// is taken too.
    ///
    /// - Parameter predictions: The labels of each cluster, best first.
    /// - Returns: The names, in the order of the clusters; nil for a cluster without labels.
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
