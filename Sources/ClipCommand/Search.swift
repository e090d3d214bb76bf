import Files
import ArgumentParser
import CLIP
import CLIPSearch

struct Search: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Search an index for images that match a text or an image.",
        discussion: """
            A query is a text, an image file, or several of them joined by + and -; a term may \
            start with its weight and a colon. Prints the cosine and the path of each match, best \
            first; without a match, the exit status is 1. The query is encoded with the model of \
            the index. A good match with a text has a cosine of only 0.2 to 0.35.

            Examples:
              clip search "a dog on a beach"
              clip search ./bike.jpg --index . --top 5
              clip search "2:a dog" + ./beach.jpg - fruit --paths
              clip search "a dog" --html dogs.html
            """)

    @Argument(
        help: ArgumentHelp(
            "Search for a text or an image file, or several added with + or subtracted with -.",
            valueName: "query"),
        completion: .file())
    var query: [String]

    @Option(
        help: ArgumentHelp(
            "Search an indexed folder, or an .npy file from clip encode.",
            valueName: "folder"),
        completion: .file(extensions: ["npy"]))
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
        if top < 1 { throw ValidationError("--top must be at least 1, not \(top).") }
    }

    /// Returns the texts and files of the query, with their signed weights.
    func terms() throws -> [SearchQuery.Term] {
        do {
            return try SearchQuery.terms(of: query)
        } catch .twoSigns {
            throw ValidationError(
                "the query has two signs (+ or -) without a text or file between them")
        } catch .missingSign(let word) {
            throw ValidationError(
                "a + or - is missing before \"\(word)\"; quote a text of several words")
        } catch .emptyOperand {
            throw ValidationError("a text of the query is empty; is a shell variable unset?")
        } catch .missingOperand {
            throw ValidationError("the query ends with + or -; a text or file is missing after it")
        }
    }

    func run() throws {
        // Not in `validate()`, so that a mistyped option is reported first.
        try InputHints.check(try terms().map(\.operand), streamedBy: nil)
        try OutputChecks.checkSuffix(of: html, "--html", is: ["html", "htm"], format: "HTML")
        try OutputChecks.checkPlace(of: html)
        let (matches, searched) = try self.matches()
        for match in matches {
            if isNULTerminated {
                printBytes(match.file.bytes + [0])
            } else if json {
                printLine(
                    .object([
                        "path": .path(match.file), "cosine": .float(match.cosine),
                        "model": .string(searched.model),
                    ]))
            } else {
                let cosine = paths ? [] : Array("\(fixed(match.cosine, 4))\t".utf8)
                printBytes(cosine + TerminalText.shown(match.file) + [UInt8(ascii: "\n")])
            }
        }
        if let html {
            try write(try page(matches, searched), to: html)
        }
        if matches.isEmpty {
            try noteNothingFound()
            throw ExitCode(1)
        }
    }

    /// Prints why there is no match: the index is empty, or no cosine reaches the threshold.
    private func noteNothingFound() throws {
        guard !common.quiet else { return }
        var nearest = self
        nearest.threshold = -1
        nearest.top = 1
        nearest.common.quiet = true
        guard let best = try nearest.matches().0.first else {
            return note("clip: search: \(index) has no images")
        }
        note(
            """
            clip: search: no image has a cosine of \(threshold) or more; the largest is \
            \(fixed(best.cosine, 4))
            """)
    }

    /// The number of vectors that were searched, and the model that made them.
    private struct Searched {
        let count: Int
        let model: String
        let precision: Precision
    }

    private func page(
        _ matches: [FolderIndex.Match], _ searched: Searched
    ) throws -> [UInt8] {
        let found = matches.count == 1 ? "The best" : "The best \(grouped(matches.count))"
        var about = [
            "\(matches.isEmpty ? "None" : found) of \(counted(searched.count, "image")) in "
                + sourceDescription(index),
            modelDescription(searched.model, searched.precision),
        ]
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

    private func matches() throws -> ([FolderIndex.Match], Searched) {
        let path = FilePath(argument: index)
        try VectorOptions.checkExists(index)
        func following(_ model: CLIPModel) -> CLIPModel {
            model.following(
                tokenizer: textOptions.rules, preprocessing: images.preprocess)
        }
        if path.pathExtension == "npy" {
            let stored = try NamedEmbeddings(npy: path)
            let loaded =
                try stored.model.map { try self.model.load($0, of: .npy(path), common).model }
                ?? self.model.load(forVectorsOf: stored.dimension, common)
            let model = following(loaded)
            let found = try stored.search(
                try vector(model), top: top, threshold: threshold, threads: model.threads)
            return (
                found,
                Searched(
                    count: stored.files.count,
                    model: try stored.model?.name ?? self.model.name(),
                    precision: model.precision)
            )
        }
        let found = try FolderIndex(folder: path, threads: model.threading.wanted())
        let model = following(
            try model.load(found.model, of: .index(of: path), common).model)
        return (
            try found.search(try vector(model), top: top, threshold: threshold),
            Searched(
                count: found.count, model: found.modelName, precision: found.precision)
        )
    }

    /// Returns the weighted sum of the L2-normalised embeddings of the terms.
    ///
    /// - Throws: `Failure` if the terms cancel each other out; `CLIPError` if a term cannot be
    ///   encoded.
    private func vector(_ model: CLIPModel) throws -> [Float] {
        var vectors: [(weight: Float, vector: [Float])] = []
        for term in try terms() {
            let path = FilePath(argument: term.operand)
            let embedding: Embeddings
            if ImageCollection.meansImage(path) {
                embedding = try model.encode(
                    images: [images.read(term.operand, for: model.preprocessor)])
            } else {
                if !common.quiet && path.isLikeImageName {
                    note(
                        "clip: search: file not found: \(path); searching for it as a text")
                }
                embedding = try model.encode(
                    texts: [term.operand], truncating: textOptions.truncate)
            }
            vectors.append((term.weight, embedding.normalized()[0]))
        }
        guard let sum = SearchQuery.sum(vectors) else {
            throw Failure(
                "the terms of the query cancel each other out",
                status: 2)
        }
        return sum
    }
}

extension FilePath {
    /// True for a single word with the suffix of an image file.
    fileprivate var isLikeImageName: Bool {
        FolderWalk.imageExtensions.contains(pathExtension)
            && !bytes.contains(UInt8(ascii: " "))
    }
}
