import CLIPAnalysis
import ArgumentParser
import CLIP
import CLIPSearch
import Files

struct Cluster: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Group similar images into clusters.",
        discussion: """
            Runs spherical k-means: each image belongs to the centroid with the largest cosine. \
            Prints, separated by tabs, the cluster's number, its label (with --labels), the \
            image's cosine with the centroid, and its path. Clusters are sorted by size, images by \
            cosine, largest first.

            Examples:
              clip cluster . -k 3
              clip cluster . -k 3 --labels labels.txt --html clusters.html
            """)

    @OptionGroup var vectors: VectorOptions

    @Option(
        name: [.customShort("k"), .customLong("clusters")], parsing: .unconditional,
        help: ArgumentHelp("Divide the images into K clusters.", valueName: "k"))
    var k: Int

    @Option(
        help: ArgumentHelp(
            "Name each cluster after the best-fitting label in FILE (one label per line).",
            valueName: "file"),
        completion: .file())
    var labels: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Seed the random choices of k-means.", valueName: "n"))
    var seed: UInt64 = 0

    @Flag(help: "Print JSON Lines, one object per cluster.")
    var json = false

    @Option(
        help: ArgumentHelp(
            "Also write an HTML page with images of each cluster to FILE.", valueName: "file"),
        completion: .file(extensions: ["html"]))
    var html: String?

    @OptionGroup var prompts: PromptOptions
    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions
    @OptionGroup var textOptions: TextOptions

    func validate() throws {
        if k < 1 { throw ValidationError("-k must be at least 1, not \(k).") }
    }

    func run() throws {
        try OutputChecks.checkSuffix(of: html, "--html", is: ["html", "htm"], format: "HTML")
        try OutputChecks.checkPlace(of: html)
        let found = try vectors.load(model.threading, quiet: common.quiet)
        let names = try labels.map { labels in
            try found.classifier(Labels.read(labels, common), prompts, textOptions, model, common)
        }
        let clusters = try Clusters(found, k, seed: seed, classifier: names, model)
        for (number, cluster) in clusters.all.enumerated() {
            if json {
                printLine(cluster.json(number + 1, found))
                continue
            }
            for member in cluster.members {
                let label = cluster.label.map { "\t\($0.label)" } ?? ""
                let beginning = "\(number + 1)\(label)\t\(fixed(member.cosine, 4))\t"
                printBytes(
                    Array(beginning.utf8) + TerminalText.shown(found.names[member.row])
                        + [UInt8(ascii: "\n")])
            }
        }
        guard let html else { return }
        try write(page(clusters, found), to: html)
    }

    private func page(_ clusters: Clusters, _ found: Vectors) throws -> [UInt8] {
        let shown = clusters.all.map { $0.members.prefix(60) }
        var images = thumbnails(
            of: shown.joined().map { found.names[$0.row] }, fitting: 192,
            threads: try model.threading.wanted())[...]
        var page = Page(
            title: "\(counted(found.names.count, "image")) in "
                + counted(clusters.all.count, "cluster"),
            about: [sourceDescription(vectors.source)] + found.modelDescription(given: model)
                + ["the cosine of each image with the centre of its cluster"],
            location: PageLocation(page: html))
        for (number, (cluster, members)) in zip(clusters.all, shown).enumerated() {
            page.heading(
                cluster.name?.text ?? "Cluster \(number + 1)", cluster.remark(members.count))
            page.gallery(
                members.map { (found.names[$0.row], fixed($0.cosine, 4)) },
                Array(images.prefix(members.count)))
            images = images.dropFirst(members.count)
        }
        return page.bytes
    }
}

/// The non-empty clusters of vectors, largest first.
struct Clusters {
    struct Cluster {
        /// The rows and their cosines with the centroid, largest cosine first.
        var members: [(row: Int, cosine: Float)] = []
        /// The label with the largest cosine to the centroid; nil without `--labels`.
        var label: Prediction?
        /// The name on pages, unique among the clusters; nil without `--labels`.
        var name: ClusterName?

        /// Returns the remark beside the heading of the cluster; the page shows `shown` members.
        func remark(_ shown: Int) -> String {
            var words = [counted(members.count, "image")]
            if let name { words.append("cosine of the name \(fixed(name.cosine, 3))") }
            if shown < members.count { words.append("the \(shown) most typical are shown") }
            return words.joined(separator: " · ")
        }

        func json(_ number: Int, _ vectors: Vectors) -> JSONValue {
            let members = JSONValue.array(
                members.map {
                    .object(["path": .path(vectors.names[$0.row]), "cosine": .float($0.cosine)])
                })
            let model = vectors.origin.map { JSONValue.string($0.model.name) } ?? .null
            guard let label, let name else {
                return .object([
                    "cluster": .integer(number), "size": .integer(self.members.count),
                    "model": model, "members": members,
                ])
            }
            return .object([
                "cluster": .integer(number), "label": .string(label.label),
                "label_cosine": .float(label.cosine), "size": .integer(self.members.count),
                "members": members, "name": .string(name.text),
                "name_cosine": .float(name.cosine), "model": model,
            ])
        }
    }

    let all: [Cluster]
    /// The index in `all` of each row's cluster.
    let assignments: [Int]

    init(
        _ vectors: Vectors, _ k: Int, seed: UInt64 = 0, classifier: ZeroShotClassifier?,
        _ model: ModelOptions
    ) throws {
        guard k <= vectors.names.count else {
            throw Failure(
                "-k \(k) is too large: there are only \(vectors.names.count) images", status: 2)
        }
        let analysis = SphericalKMeans(
            clusters: k, seed: seed, threads: try model.threading.wanted())
        let means = try analysis.run(on: vectors.embeddings)
        var all = [Cluster](repeating: Cluster(), count: k)
        for (row, cluster) in means.assignments.enumerated() {
            all[cluster].members.append((row, means.cosines[row]))
        }
        let labels = try classifier?.predictions(of: means.centroids)
        for cluster in all.indices {
            all[cluster].members.sort { ($1.cosine, $0.row) < ($0.cosine, $1.row) }
            all[cluster].label = labels?[cluster].first
        }
        // If vectors are equal, some clusters are empty; they come last.
        all.removeAll(where: \.members.isEmpty)
        if let labels {
            let names = ClusterName.distinct(
                labels.prefix(all.count).map { $0.map { ($0.label, $0.cosine) } })
            for (cluster, name) in names.enumerated() { all[cluster].name = name }
        }
        self.all = all
        assignments = means.assignments
    }
}
