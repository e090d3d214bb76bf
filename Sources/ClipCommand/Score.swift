import Files
import CLIPAnalysis
import ArgumentParser
import CLIP
import CLIPSearch

struct Score: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Score captions against images: CLIPScore, rankings, recall and loss.",
        discussion: """
            --image and --text rank the texts for each image, or with --by text the images for \
            each text. --pairs scores each image with its own caption, and prints the mean \
            CLIPScore, CLIP's contrastive loss (InfoNCE, in nats, with the model's logit scale) \
            and the recall at 1 and 5. The pairs are a CSV or TSV file with columns image, text \
            and optionally reference, or JSON Lines with image, text and optionally references, a \
            list.

            CLIPScore is 2.5 times the cosine, at least 0. As in its paper, captions are prefixed \
            with "\(CaptionScores.prefix)"; --prefix changes that. With --references, captions \
            written by people, RefCLIPScore is the harmonic mean of CLIPScore and the largest \
            cosine with a reference.

            Examples:
              clip score --image bike.jpg --text "a man on a bike" "a red car"
              clip score --image *.jpg --text "a dog" --by text --top 3
              clip score --pairs captions.csv --json
            """)

    @Argument(
        help: ArgumentHelp(
            "Score the texts against these images, folders, .tar files or patterns.",
            valueName: "input"),
        completion: .file())
    var inputs: [String] = []

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            """
            Score the texts against these images, folders, .tar files or patterns: several at \
            once, or repeat the option.
            """, valueName: "input"),
        completion: .file())
    var image: [String] = []

    @OptionGroup var texts: TextInputs

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            """
            Compute RefCLIPScore with these reference captions of the image: several at once, or \
            repeat the option.
            """,
            valueName: "text"))
    var references: [String] = []

    @Option(
        help: ArgumentHelp(
            """
            Score the pairs of image and caption in FILE: CSV, TSV or JSON Lines with image, text \
            and optional references.
            """,
            valueName: "file"),
        completion: .file(extensions: ["csv", "tsv", "jsonl", "ndjson"]))
    var pairs: String?

    @Option(help: "Rank the texts for each image (image), or the images for each text (text).")
    var by: Side = .image

    @Option(
        name: [.customShort("t"), .long], parsing: .unconditional,
        help: ArgumentHelp("Print only the K best of each ranking. (default: all)", valueName: "k"))
    var top: Int?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Prefix every caption with TEXT.", valueName: "text"))
    var prefix = CaptionScores.prefix

    @Flag(help: "Print JSON Lines instead of text.")
    var json = false

    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions
    @OptionGroup var collection: CollectionOptions
    @OptionGroup var textOptions: TextOptions
    @OptionGroup var images: ImageOptions

    enum Side: String, ExpressibleByArgument, CaseIterable {
        case image, text
    }

    func validate() throws {
        try InputHints.check(inputs + image, streamedBy: "score --image")
        try collection.checkStandardInput(inputs + image + [texts.file.textFile])
        if pairs != nil && (top != nil || by == .text) {
            throw ValidationError("--top and --by apply to rankings, not to --pairs.")
        }
        if !references.isEmpty && (pairs != nil || image.count > 1) {
            throw ValidationError(
                "--references need exactly one image; with --pairs, give them in the file.")
        }
        if let top, top < 1 { throw ValidationError("--top must be at least 1, not \(top).") }
    }

    /// Checks that inputs are given.
    ///
    /// It is not part of `validate()`, so that a mistyped option is reported first.
    ///
    /// - Throws: `Failure` with status 2 if images, texts or pairs are missing.
    private func checkInputs() throws {
        let hasImages = !inputs.isEmpty || !image.isEmpty || !collection.filesFrom.isEmpty
        guard (pairs == nil) != (!hasImages && texts.isEmpty) else {
            throw Failure("give either --image and --text, or --pairs", status: 2)
        }
        if pairs == nil && (!hasImages || texts.isEmpty) {
            throw Failure("--image and --text must be given together", status: 2)
        }
    }

    func run() throws {
        try checkInputs()
        try collection.checkErrors(
            inputs: inputs + image,
            others: [("--text-file", texts.file.textFile), ("--pairs", pairs)])
        let list = try pairs.map { try CaptionPair.read(FilePath(argument: $0)) }
        let model = try self.model.load(textOptions, images, common)
        let failures = try list.map { try scorePairs($0, model) } ?? rank(model)
        if failures > 0 { throw ExitCode(1) }
    }

    private func encode(_ texts: [String], _ model: CLIPModel) throws -> Embeddings {
        try model.encode(texts: texts.map { prefix + $0 }, truncating: textOptions.truncate)
            .normalized()
    }

    /// Encodes the readable images of the sources; returns their names, their L2-normalised vectors
    /// and the number of failures.
    private func encode(
        _ sources: [ImageCollection.Source], _ model: CLIPModel
    ) throws -> (names: [FilePath], embeddings: Embeddings, failures: Int) {
        var (names, values): ([FilePath], [Float]) = ([], [])
        let job = CollectionJob(collection, common, name: "score")
        let decoding = images.decoding(for: model.preprocessor)
        try job.perform {
            try job.run(sources, model, decoding) { sample, vector in
                try MatrixLimit.check(vectors: names.count + 1, dimension: vector.count)
                names.append(sample.name)
                values += vector
            }
        }
        guard !names.isEmpty else { throw ExitCode(1) }
        let dimension = model.configuration.embeddingDimension
        return (
            names, Embeddings(rows: values, dimension: dimension).normalized(), job.failures
        )
    }

    // MARK: Rankings

    private func rank(_ model: CLIPModel) throws -> Int {
        let text = try self.texts.read()
        let (names, images, failures) = try encode(collection.sources(inputs + image), model)
        guard references.isEmpty || names.count == 1 else {
            throw Failure(
                "--references need exactly one image, found \(names.count); or use --pairs",
                status: 2)
        }
        try MatrixLimit.check(
            images: names.count, texts: text.count, isDrawn: false, advice: "use --shard")
        let texts = try encode(text, model)
        let referenceVectors = try references.isEmpty ? nil : encode(references, model)
        let cosines = try images.cosineSimilarities(to: texts)
        let referenceCosines = try referenceVectors.map {
            try texts.cosineSimilarities(to: $0)
        }
        let (rows, columns) = (names.indices, text.indices)
        let name = try self.model.name()
        for own in by == .image ? rows : columns {
            let others = (by == .image ? columns : rows).map { other in
                Line(
                    image: names[by == .image ? own : other],
                    text: text[by == .image ? other : own],
                    cosine: by == .image ? cosines[own][other] : cosines[other][own],
                    references: referenceCosines?[by == .image ? other : own])
            }
            let ranked = others.enumerated()
                .sorted { ($1.element.cosine, $0.offset) < ($0.element.cosine, $1.offset) }
                .map(\.element).prefix(top ?? .max)
            guard let first = ranked.first else { continue }
            if json {
                printLine(
                    by == .image
                        ? .object([
                            "image": .path(first.image), "model": .string(name),
                            "texts": .array(ranked.map { $0.json(["text": .string($0.text)]) }),
                        ])
                        : .object([
                            "text": .string(first.text), "model": .string(name),
                            "images": .array(ranked.map { $0.json(["image": .path($0.image)]) }),
                        ]))
                continue
            }
            let heading = by == .image ? first.image.bytes : Array(first.text.utf8)
            printBytes(TerminalText.shown(heading) + [UInt8(ascii: "\n")])
            for line in ranked {
                let other = by == .image ? Array(line.text.utf8) : line.image.bytes
                printBytes(
                    Array("\(line.numbers)  ".utf8) + TerminalText.shown(other)
                        + [UInt8(ascii: "\n")])
            }
        }
        if !json && !common.quiet { note(Line.explanation(hasReferences: referenceVectors != nil)) }
        return failures
    }

    /// A pair of image and caption with its scores.
    private struct Line {
        let image: FilePath
        let text: String
        let cosine: Float
        /// The cosines of the caption with the reference captions.
        let references: [Float]?

        var clipScore: Float { CaptionScores.clipScore(cosine: cosine) }
        var refCLIPScore: Float? {
            references.map {
                CaptionScores.refCLIPScore(clipScore: clipScore, referenceCosines: $0)
            }
        }

        var numbers: String {
            ([clipScore] + [refCLIPScore].compactMap(\.self) + [cosine])
                .map { fixed($0, 4).right(8) }.joined()
        }

        static func explanation(hasReferences: Bool) -> String {
            "clip: score: columns: CLIPScore\(hasReferences ? ", RefCLIPScore" : "") and cosine"
        }

        func json(_ names: KeyValuePairs<String, JSONValue>) -> JSONValue {
            var members: [JSONValue.Member] = names.map { ($0.key, $0.value) }
            members.append(("clip_score", .float(clipScore)))
            if let refCLIPScore { members.append(("ref_clip_score", .float(refCLIPScore))) }
            members.append(("cosine", .float(cosine)))
            return .object(members)
        }
    }

    // MARK: Pairs

    private func scorePairs(_ pairs: [CaptionPair], _ model: CLIPModel) throws -> Int {
        // An image with several captions is encoded once.
        let files = Array(Set(pairs.map(\.image))).sorted().map {
            ImageCollection.Source.file($0)
        }
        let (names, vectors, failures) = try encode(files, model)
        let rows = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
        let scored = pairs.filter { rows[$0.image] != nil }
        let images = Embeddings(
            rows: scored.flatMap { vectors[rows[$0.image] ?? 0] }, dimension: vectors.dimension)
        let texts = try encode(scored.map(\.text), model)
        let referenceTexts = scored.flatMap(\.references)
        let references = try referenceTexts.isEmpty ? nil : encode(referenceTexts, model)
        var next = 0
        var lines: [Line] = []
        for (row, pair) in scored.enumerated() {
            let own = next..<(next + pair.references.count)
            next = own.upperBound
            let text = texts[row]
            lines.append(
                Line(
                    image: pair.image, text: pair.text, cosine: dot(images[row], text),
                    references: own.isEmpty
                        ? nil : references.map { all in own.map { dot(all[$0], text) } }))
        }
        for line in lines {
            if json {
                printLine(line.json(["image": .path(line.image), "text": .string(line.text)]))
            } else {
                printBytes(
                    Array("\(line.numbers)  ".utf8) + TerminalText.shown(line.image)
                        + "\t\(TerminalText.shown(line.text))\n".utf8)
            }
        }
        let evaluation = PairEvaluation(
            logitScale: model.logitScale, threads: model.threads)
        try summarize(lines, evaluation.run(on: .init(images: images, texts: texts)))
        return failures
    }

    private func summarize(_ lines: [Line], _ evaluation: PairEvaluation.Result) throws {
        func mean(_ values: [Float]) -> Double {
            values.reduce(0) { $0 + Double($1) } / Double(max(1, values.count))
        }
        let score = mean(lines.map(\.clipScore))
        let referenced = lines.compactMap(\.refCLIPScore)
        let (toText, toImage) = (evaluation.imageToText, evaluation.textToImage)
        guard json else {
            func shares(_ direction: PairEvaluation.Direction) -> String {
                [1, 5].map { "\(fixed(100 * direction.recall(at: $0), 1)) % in \($0)" }
                    .joined(separator: ", ")
            }
            let reference =
                referenced.isEmpty ? "" : ", RefCLIPScore \(fixed(mean(referenced), 4))"
            return print(
                """
                \(counted(lines.count, "pair")): CLIPScore \(fixed(score, 4))\(reference); loss \
                \(fixed(evaluation.loss, 4)) (image \(fixed(toText.loss, 4)), text \
                \(fixed(toImage.loss, 4))); image to text \(shares(toText)); text to image \
                \(shares(toImage))
                """)
        }
        func recalls(_ direction: PairEvaluation.Direction) -> JSONValue {
            .object([
                "1": .number(direction.recall(at: 1)), "5": .number(direction.recall(at: 5)),
            ])
        }
        printLine(
            .object([
                "pairs": .integer(lines.count), "model": .string(try model.name()),
                "mean_clip_score": .number(score),
                "mean_ref_clip_score": referenced.isEmpty ? .null : .number(mean(referenced)),
                "loss": .number(evaluation.loss), "image_loss": .number(toText.loss),
                "text_loss": .number(toImage.loss), "image_to_text_recall": recalls(toText),
                "text_to_image_recall": recalls(toImage),
            ]))
    }

    private func dot(_ a: [Float], _ b: [Float]) -> Float {
        min(1, max(-1, zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }))
    }
}
