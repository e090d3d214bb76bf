import Files
import ArgumentParser
import CLIP
import CLIPSearch

struct Search: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Search an index for images that match a text or an image.",
        discussion: """
            A query is a text, an image file, or several of them joined by + and -; a term may \
            start with its weight, a number above 0, and a colon. Prints the cosine and the path \
            of each match, best first; without a match, the exit status is 1. The query is encoded \
            with the model of the index. A good match with a text has a cosine of only 0.2 to \
            0.35. A folder without an index is searched in that of a parent folder, if it has \
            files of the folder.

            Examples:
              clip search "a dog on a beach"
              clip search ./bike.jpg --index . --top 5
              clip search "2:a dog" + ./beach.jpg - fruit --paths
              clip search "a dog" --html dogs.html
              clip search "a dog" --top 3 --preview
              clip search --interactive --top 5
              clip search "a dog" --since 2024-05 --before 2100
            """)

    @Argument(
        help: ArgumentHelp(
            "Search for a text or an image file, or several added with + or subtracted with -.",
            valueName: "query"),
        completion: .file())
    var query: [String] = []

    @Flag(
        name: [.customShort("i"), .long],
        help: """
            Load the model once, then read queries from standard input, one per line; a query that \
            fails does not change the exit status.
            """)
    var interactive = false

    @Option(
        help: ArgumentHelp(
            """
            Search an indexed folder, an .npy file from clip encode, Parquet, or a folder of them \
            (shards, Spark, clip-retrieval).
            """, valueName: "folder"),
        completion: .file(extensions: ["npy", "parquet"]))
    var index = "."

    @Option(
        name: [.customShort("t"), .long], parsing: .unconditional,
        help: ArgumentHelp("Print at most K matches.", valueName: "k"))
    var top = 10

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Print only matches whose cosine with the query is at least COSINE, -1 to 1.",
            valueName: "cosine"))
    var threshold: Float = -1

    @Flag(help: "Print only paths, one per line.")
    var paths = false

    @Flag(
        name: [.customShort("0"), .customLong("null")],
        help: "Print only paths, each followed by NUL, for xargs -0.")
    var isNULTerminated = false

    @Flag(help: "Print JSON Lines, one object per match.")
    var json = false

    @Option(
        help: ArgumentHelp("Also write an HTML page with the matches to FILE.", valueName: "file"),
        completion: .file(extensions: ["html"]))
    var html: String?

    @Flag(
        help: """
            Create a missing index first, without asking at a terminal. The model is that of clip \
            index.
            """)
    var yes = false

    @OptionGroup var previews: PreviewOptions
    @OptionGroup var filters: SearchFilterOptions
    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions
    @OptionGroup var textOptions: TextOptions
    @OptionGroup var images: ImageOptions

    func validate() throws {
        if !(threshold >= -1 && threshold <= 1) {
            throw ValidationError("--threshold must be -1 to 1, not \(threshold).")
        }
        if json && (paths || isNULTerminated) {
            throw ValidationError("--json and \(paths ? "--paths" : "-0") cannot be combined.")
        }
        if !interactive && query.isEmpty {
            throw ValidationError(
                "Missing expected argument '<query> ...': give a text or an image file.")
        }
        if interactive && (!query.isEmpty || html != nil || isNULTerminated) {
            let other = !query.isEmpty ? "a query" : html != nil ? "--html" : "-0"
            throw ValidationError("--interactive and \(other) cannot be combined.")
        }
        if previews.isGiven && (json || isNULTerminated) {
            throw ValidationError(
                "--preview and \(json ? "--json" : "-0") cannot be combined.")
        }
        if filters.isGiven, let layout = EmbeddingTable.layout(of: FilePath(argument: index)) {
            throw ValidationError(
                "\(filters.description) needs an indexed folder, not \(layout.description).")
        }
        if top < 1 { throw ValidationError("--top must be at least 1, not \(top).") }
    }

    func run() throws {
        guard !interactive else {
            var session = try InteractiveSearch(self)
            return try session.run()
        }
        // Not in `validate()`, so that a mistyped option is reported first.
        try InputHints.check(try terms().map(\.operand), streamedBy: nil)
        try OutputChecks.checkSuffix(of: html, "--html", is: ["html", "htm"], format: "HTML")
        try OutputChecks.checkPlace(of: html)
        let preview = previews.drawing(isQuiet: common.quiet)
        try checkFiles(of: try terms())
        let target = try openTarget()
        let vector = try target.vector(of: try terms(), self)
        let matches = try target.search(vector, top: top, threshold: threshold)
        show(matches, of: target, preview: preview)
        if let html {
            try write(try page(matches, target), to: html)
        }
        if matches.isEmpty {
            try noteNothingFound(for: vector, in: target)
            throw ExitCode(1)
        }
    }

    /// Throws if an image file of the query is missing, before an index is created for it.
    private func checkFiles(of terms: [SearchQuery.Term]) throws {
        for path in terms.map({ FilePath(argument: $0.operand) })
        where ImageCollection.meansImage(path) {
            do throws(FileError) {
                _ = try FileStatus(path: path.bytes)
            } catch {
                throw Failure("cannot read \(path): \(error.reason)")
            }
        }
    }

    /// Prints matches in the format of the options.
    ///
    /// - Parameters:
    ///   - matches: The matches.
    ///   - target: The vectors that were searched.
    ///   - query: The query to name in JSON; nil to leave it out.
    ///   - preview: The drawing of thumbnails; nil for none.
    func show(
        _ matches: [FolderIndex.Match], of target: SearchTarget, query: String? = nil,
        preview: Preview? = nil
    ) {
        for match in matches {
            preview?.draw(match.file)
            if isNULTerminated {
                printBytes(match.file.bytes + [0])
            } else if json {
                printLine(
                    .object(
                        (query.map { [("query", .string($0))] } ?? []) + [
                            ("path", .path(match.file)), ("cosine", .float(match.cosine)),
                            ("model", .string(target.modelName)),
                        ]))
            } else {
                let cosine = paths ? [] : Array("\(fixed(match.cosine, 4))\t".utf8)
                printBytes(cosine + TerminalText.shown(match.file) + [UInt8(ascii: "\n")])
            }
        }
    }

    /// Prints why there is no match: nothing to search, or no cosine reaches the threshold.
    func noteNothingFound(for vector: [Float], in target: SearchTarget) throws {
        guard !common.quiet else { return }
        guard let best = try target.search(vector, top: 1, threshold: -1).first else {
            return note(
                !filters.isGiven
                    ? "clip: search: \(index) has no images"
                    : "clip: search: no image of \(index) matches \(filters.description)")
        }
        note(
            """
            clip: search: no image has a cosine of \(threshold) or more; the largest is \
            \(fixed(best.cosine, 4))
            """)
    }

    private func page(
        _ matches: [FolderIndex.Match], _ target: SearchTarget
    ) throws -> [UInt8] {
        let found = matches.count == 1 ? "The best" : "The best \(grouped(matches.count))"
        var about = [
            "\(matches.isEmpty ? "None" : found) of \(counted(try target.count, "image")) in "
                + sourceDescription(index),
            modelDescription(target.modelName, target.precision),
        ]
        if filters.isGiven { about.append(filters.description) }
        if threshold > -1 { about.append("cosine \(threshold) or more") }
        var page = Page(
            title: query.joined(separator: " "), about: about, location: PageLocation(page: html))
        page.gallery(
            matches.map { ($0.file, fixed($0.cosine, 4)) },
            thumbnails(
                of: matches.map(\.file), fitting: matches.count <= 100 ? 320 : 192,
                threads: try model.threading.wanted()))
        return page.bytes
    }
}
