import CLIPAnalysis
import ArgumentParser
import CLIP
import CLIPSearch
import Files

struct Map: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Draw a map of the images of an index, with similar images close together.",
        discussion: """
            Lays out the vectors in the plane with t-SNE, initialised with the first two principal \
            components; the same vectors give the same map. The page needs no network, and no \
            other files except to open an image: point at a dot or tap it to see its image, click \
            it or tap it again to open the file. Colours show the clusters of clip cluster.

            Examples:
              clip map . -o map.html -k 3 --labels labels.txt
            """)

    @OptionGroup var vectors: VectorOptions

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Write the HTML page to FILE.", valueName: "file"),
        completion: .file(extensions: ["html"]))
    var output: String?

    @Option(
        name: [.customShort("k"), .customLong("clusters")], parsing: .unconditional,
        help: ArgumentHelp(
            """
            Divide the images into K clusters, and give each a colour. (default: 12, or the number \
            of images if that is smaller)
            """,
            valueName: "k"))
    var k: Int?

    @Option(
        help: ArgumentHelp(
            "Name each cluster after the best-fitting label in FILE (one label per line).",
            valueName: "file"),
        completion: .file())
    var labels: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Set the perplexity of t-SNE, about the number of neighbours per image: 1 to 1000.",
            valueName: "n"))
    var perplexity: Double = 30

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Draw at most N images, evenly spaced in the index if it has more.",
            valueName: "n"))
    var most = 10_000

    @Flag(help: "Print the coordinates as JSON Lines.")
    var json = false

    @OptionGroup var prompts: PromptOptions
    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions
    @OptionGroup var textOptions: TextOptions

    func validate() throws {
        if output == nil && !json {
            throw ValidationError("nothing to do: give -o FILE for a page, or --json")
        }
        if let k, k < 1 { throw ValidationError("-k must be at least 1, not \(k).") }
        if !(perplexity >= 1 && perplexity <= 1000) {
            throw ValidationError("--perplexity must be 1 to 1000, not \(perplexity).")
        }
        if most < 1 { throw ValidationError("--most must be at least 1, not \(most).") }
    }

    func run() throws {
        try OutputChecks.checkSuffix(of: output, "-o", is: ["html", "htm"], format: "HTML")
        try OutputChecks.checkPlace(of: output)
        let all = try vectors.load(model.threading, quiet: common.quiet)
        let found = all.subsampled(to: most)
        if found.names.count < all.names.count && !common.quiet {
            note(
                """
                clip: map: drawing only \(grouped(found.names.count)) of \
                \(counted(all.names.count, "image")); raise --most for more
                """)
        }
        let classifier = try labels.map { labels in
            try found.classifier(Labels.read(labels, common), prompts, textOptions, model, common)
        }
        let clusters = try Clusters(
            found, k ?? min(12, found.names.count), classifier: classifier, model)
        let progress = TerminalLine()
        let analysis = TSNE(perplexity: perplexity, threads: try model.threading.wanted())
        let layout = try analysis.run(on: found.embeddings) { share in
            if !common.quiet && errorsCanBeRedrawn {
                progress.draw("map  \("\(Int(100 * share)) %".right(5))")
            }
            return true
        }
        progress.clear()
        if json {
            for (row, point) in layout.points.enumerated() {
                printLine(
                    .object([
                        "path": .path(found.names[row]), "x": .float(point.x), "y": .float(point.y),
                        "cluster": .integer(clusters.assignments[row] + 1),
                    ]))
            }
        }
        let count = counted(found.names.count, "image")
        let divergence = "KL divergence \(fixed(layout.divergence, 4))"
        if let output {
            let shown =
                found.names.count < all.names.count ? "\(grouped(found.names.count)) of " : ""
            let total = counted(all.names.count, "image")
            let page = MapPage(
                title: "Map of \(shown)\(total) in \(sourceDescription(vectors.source))",
                about: found.modelDescription(given: model)
                    + [counted(clusters.all.count, "cluster"), "t-SNE, \(divergence)"],
                names: found.names, points: layout.points,
                thumbnails: thumbnails(
                    of: found.names, fitting: Self.thumbnailSide(found.names.count),
                    threads: try model.threading.wanted()),
                assignments: clusters.assignments, clusters: clusters.all,
                location: PageLocation(page: output))
            try write(page.bytes, to: output)
        }
        if !common.quiet {
            let what = isStandardOutput(output) ? "map" : "wrote \(output ?? "")"
            note("clip: \(what): \(count), \(divergence)")
        }
    }

    /// Returns the side of thumbnails, in pixels: smaller for more images, to limit the page's
    /// size.
    private static func thumbnailSide(_ count: Int) -> Int {
        switch count {
        case ...300: 240
        case ...2000: 128
        default: 64
        }
    }
}

extension Vectors {
    /// Returns at most `most` of the vectors, evenly spaced.
    fileprivate func subsampled(to most: Int) -> Vectors {
        guard names.count > most else { return self }
        let rows = (0..<most).map { $0 * names.count / most }
        return Vectors(
            names: rows.map { names[$0] },
            embeddings: Embeddings(
                rows: embeddings.values(ofRows: rows), dimension: embeddings.dimension),
            images: images.map { images in rows.map { images[$0] } }, index: index,
            origin: origin)
    }
}
