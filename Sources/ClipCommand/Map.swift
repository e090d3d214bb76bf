import ArgumentParser
import CLIP
import CLIPSearch

struct Map: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Draw the pictures of an index as a map, what is alike side by side.",
        discussion: """
            The vectors are laid out in the plane by t-SNE, which begins with their first two principal \
            components. The page needs no other file and no network: point at a dot to see its picture. The \
            colours are those of clip cluster. The same vectors make the same map.

            Example: clip map photos -o map.html -k 20 --labels labels.txt
            """)

    @OptionGroup var vectors: VectorOptions

    @Option(
        name: .shortAndLong, help: ArgumentHelp("Where the page goes.", valueName: "file"),
        completion: .file(extensions: ["html"]))
    var output: String?

    @Option(name: .short, help: ArgumentHelp("How many clusters are coloured.", valueName: "k"))
    var k: Int?

    @Option(
        help: ArgumentHelp(
            "Name each cluster by the best of these labels, one a line.", valueName: "file"),
        completion: .file())
    var labels: String?

    @Option(
        help: ArgumentHelp("About how many neighbours a picture is to have.", valueName: "n"))
    var perplexity: Double = 30

    @Option(
        help: ArgumentHelp(
            "Of more pictures than this only so many are taken, at regular distances.",
            valueName: "n"))
    var most = 10_000

    @Flag(help: "Print the coordinates, an object a line.")
    var json = false

    @OptionGroup var prompts: PromptOptions
    @OptionGroup var textOptions: TextOptions
    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions

    func validate() throws {
        if output == nil && !json {
            throw ValidationError("Nothing to do: give -o FILE for a page, or --json.")
        }
        if let k, k < 1 { throw ValidationError("-k must be at least 1, not \(k).") }
        if !(perplexity >= 1 && perplexity <= 1000) {
            throw ValidationError("--perplexity must be 1 to 1000, not \(perplexity).")
        }
        if most < 1 { throw ValidationError("--most must be at least 1, not \(most).") }
    }

    func run() throws {
        let all = try vectors.load(model.threading)
        let found = all.some(most)
        if found.names.count < all.names.count && !common.quiet {
            note(
                "clip: map: \(found.names.count) of \(all.names.count) pictures; --most takes more")
        }
        let classifier = try labels.map { labels in
            try found.classifier(readLabels(labels), prompts, textOptions, model, common)
        }
        let clusters = try Clusters(
            found, k ?? min(12, found.names.count), classifier: classifier, model)
        let progress = TerminalLine()
        var drawing = TSNE()
        drawing.perplexity = perplexity
        drawing.threads = try model.threading.wanted()
        let layout = drawing.layout(of: found.embeddings) { share in
            if !common.quiet && errorsAreTerminal {
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
        if !common.quiet {
            note("clip: map: divergence \(fixed(layout.divergence, 4))")
        }
        guard let output else { return }
        let page = MapPage(
            title: "\(vectors.source): \(found.names.count) pictures", names: found.names,
            points: layout.points,
            thumbnails: thumbnails(
                of: found.names, side: found.names.count > 2000 ? 64 : 128,
                threads: try model.threading.wanted()),
            assignments: clusters.assignments,
            clusters: clusters.all.enumerated().map { $1.title($0 + 1) })
        try write(page.bytes, to: output)
    }
}

extension Vectors {
    /// At most so many, at regular distances.
    fileprivate func some(_ most: Int) -> Vectors {
        guard names.count > most else { return self }
        let rows = (0..<most).map { $0 * names.count / most }
        return Vectors(
            names: rows.map { names[$0] },
            embeddings: Embeddings(
                values: embeddings.values(ofRows: rows), dimension: embeddings.dimension),
            pictures: pictures.map { pictures in rows.map { pictures[$0] } }, index: index,
            made: made)
    }
}
