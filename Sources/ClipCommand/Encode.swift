import Files
import ArgumentParser
import CLIP
import CLIPSearch

struct Encode: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Turn images and texts into vectors.",
        discussion: """
            One row an input in the order given, images first, divided by its L2 norm. An input is an \
            image; a folder, of which all images are taken; a WebDataset (.tar); a pattern such as \
            "photos/*.jpg"; or -, standard input, which may be a .tar, an image, or names. Inputs \
            that cannot be read are listed at the end and left out, with exit status 1.

            With -o x.npy, x.npy has the vectors and x.names.jsonl the names, row by row; with \
            -o folder/, there is a pair of such files for every --shard-size rows. Until the job is \
            done, files end in .partial; after a crash, --resume goes on with them. Files need \
            --model or an installed model: clip pull ViT-B/32 gets one.

            With --hidden-states, the output has all 77 positions after the text tower's last block \
            or the one before it, [texts, 77, width], which condition diffusion models, with \
            --tokenizer hf. Stable Diffusion 1: last --padding 49407. Stable Diffusion 2: \
            penultimate --padding 0. SDXL: penultimate --no-final-norm, --padding 49407 for its \
            ViT-L/14 and 0 for its ViT-bigG/14.

            Examples:
              clip encode bike.jpg
              clip encode --text "a dog" --text "a cat" --format json
              clip encode . -o images.npy --model tiny
              clip encode --text "a dog" --hidden-states last -o dog.npy -m tiny
            """)

    @Argument(
        help: ArgumentHelp("Images, folders, .tar files, patterns, or -.", valueName: "input"),
        completion: .file())
    var inputs: [String] = []

    @Option(
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp("A text; repeat the option for more.", valueName: "text"))
    var text: [String] = []

    @OptionGroup var texts: TextFileOptions

    @Option(
        help: """
            The format: jsonl (an object a row), json (one object), npy (float32 \
            [rows, dimension]) or shards (a folder of npy). (default: by the suffix of -o, else \
            jsonl)
            """)
    var format: Format?

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "Write to a .jsonl, .json or .npy file, or to a folder.", valueName: "file|folder/"),
        completion: .file())
    var output: String?

    @Option(
        parsing: .unconditional, help: ArgumentHelp("The rows of a shard.", valueName: "n"))
    var shardSize = 100_000

    @Flag(help: "Continue an interrupted run that had the same options.")
    var resume = false

    @Flag(help: "Do not divide vectors by their L2 norm.")
    var noNormalize = false

    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions
    @OptionGroup var collection: CollectionOptions
    @OptionGroup var hidden: HiddenStatesOptions
    @OptionGroup var textOptions: TextOptions
    @OptionGroup var images: ImageOptions

    enum Format: String, ExpressibleByArgument, CaseIterable {
        case jsonl, json, npy, shards
    }

    func validate() throws {
        let hasImages = !inputs.isEmpty || !collection.filesFrom.isEmpty
        if !hasImages && text.isEmpty && texts.textFile == nil {
            throw ValidationError("nothing to encode: give images, --text or --text-file")
        }
        try InputHints.check(inputs, streamedBy: "encode")
        try collection.checkStandardInput(inputs + [texts.textFile])
        if hidden.hiddenStates != nil && (hasImages || resume || chosenFormat == .shards) {
            throw ValidationError(
                "--hidden-states is for texts, not for images, and for one file.")
        }
        if hidden.hiddenStates != nil && noNormalize {
            throw ValidationError(
                "--no-normalize is for embeddings; hidden states are as they are.")
        }
        if shardSize < 1 { throw ValidationError("--shard-size must be at least 1.") }
        if chosenFormat == .shards && isStandardOutput(output) {
            throw ValidationError("shards need a folder: give -o FOLDER.")
        }
        if resume && (isStandardOutput(output) || chosenFormat == .json) {
            throw ValidationError("--resume needs -o with .jsonl, .npy or a folder of shards.")
        }
    }

    /// The format asked for, or the one that the output's name ends in.
    var chosenFormat: Format {
        if let format { return format }
        guard let output, output.last != "/" else { return output == nil ? .jsonl : .shards }
        return Format(rawValue: FilePath(output).pathExtension) ?? .jsonl
    }

    func run() throws {
        Interruption.prepare()
        let format = chosenFormat
        if format == .npy && isStandardOutput(output) && outputIsTerminal {
            throw Failure("npy is not for a terminal: give -o FILE, or redirect", status: 2)
        }
        try checkOutput(format)
        noteTexts()
        var captions = try texts.open()
        // A device or a pipe keeps nothing.
        let isKept = output.map { !isStandardOutput($0) && mayBeReplaced($0) } ?? false
        let use = isKept ? ModelUse.record(output ?? "") : .answer
        let model = try self.model.load(textOptions, images, common, for: use)
        let job = CollectionJob(collection, common, name: "encode")
        var rest = text[...]
        func nextText() throws -> String? {
            if let text = rest.popFirst() { return text }
            while !job.isStopped {
                do throws(CLIPError) {
                    return try captions?.next()
                } catch {
                    // What is no text at all is not encoded to its end.
                    if captions?.isAtEnd == true { throw error }
                    try job.fail(FilePath(argument: texts.textFile ?? ""), error)
                }
            }
            return nil
        }
        if hidden.hiddenStates != nil { return try writeHiddenStates(of: nextText, model, job) }

        let rows = try makeRows(format, model)
        if rows.isWhole {
            if !common.quiet { note("clip: \(output ?? "") is already complete; nothing to do") }
            return
        }
        let decoding = images.decoding(for: model.preprocessor)
        try Interruption.during {
            try job.perform {
                defer { try? rows.flush() }
                try job.run(
                    collection.sources(inputs), model, decoding,
                    isDone: { rows.takeRow("image", $0.name) },
                    receive: { try rows.append("image", $0.name, fields: $0.fieldsForJSON, $1) })
                try encode(nextText, model, job, rows)
            }
        } keep: {
            rows.keep()
        }
        let hasFailed = job.failures > 0
        if hasFailed && collection.strict {
            throw Failure("stopped at the first input that failed, as --strict says")
        }
        if hasFailed && (rows.count == 0 || format == .npy && isStandardOutput(output)) {
            try rows.discard()
            throw rows.count == 0 ? ExitCode(1) : Failure(Self.nothingWritten(job.failures))
        }
        try rows.finish()
        if !common.quiet, let remark = rows.foreignRows { note("clip: \(remark)") }
        if hasFailed { throw ExitCode(1) }
    }

    /// Texts, some thousands at a time, neighbours of which share what they begin with.
    private func encode(
        _ next: () throws -> String?, _ model: CLIPModel, _ job: CollectionJob,
        _ rows: any RowOutput
    ) throws {
        var isAtEnd = false
        while !isAtEnd && !job.isStopped {
            var group: [(text: String, tokens: [Int])] = []
            while group.count < 4096 && !job.isStopped {
                guard let text = try next() else {
                    isAtEnd = true
                    break
                }
                guard job.takesNext(), !rows.takeRow("text", FilePath(text)) else { continue }
                if let tokens = try tokens(of: text, model, job) { group.append((text, tokens)) }
            }
            guard !job.isStopped else { return }
            let vectors = try model.encode(tokens: group.map(\.tokens))
            for (row, text) in group.map(\.text).enumerated() {
                try rows.append("text", FilePath(text), fields: [], vectors[row])
                job.advance()
            }
        }
    }

    /// The ids of a text, nil if the model cannot take it.
    func tokens(of text: String, _ model: CLIPModel, _ job: CollectionJob) throws -> [Int]? {
        do throws(CLIPError) {
            return try model.tokenizer.tokenize(
                text, contextLength: model.configuration.text.contextLength,
                truncating: textOptions.truncate)
        } catch {
            try job.fail(FilePath(text), error)
            return nil
        }
    }

    static func nothingWritten(_ failures: Int) -> String {
        "nothing is written: rows of .npy have no names here, and \(failures) are missing"
    }

    /// Refuses an output of another format, or in a place where nothing can be written.
    private func checkOutput(_ format: Format) throws {
        let accepted =
            switch format {
            case .jsonl: ["jsonl", "ndjson"] + (self.format == nil ? [] : ["txt"])
            case .json: ["json"]
            case .npy: ["npy"]
            case .shards: [String]()
            }
        if format != .shards, let output, output.last == "/" {
            throw Failure(
                "-o \(output) is a folder, but --format \(format.rawValue) is one file", status: 2)
        }
        try OutputChecks.checkSuffix(
            of: output, "-o", is: accepted, format: self.format?.rawValue)
        try OutputChecks.checkPlace(of: output, isFolder: format == .shards)
        try collection.checkErrors(
            inputs: inputs,
            others: [("--text-file", texts.textFile)]
                + (output.map(OutputChecks.files(of:)) ?? []).map { ("the output \($0)", $0) })
    }

    /// Says how several texts are given, if an input is more likely one of them.
    private func noteTexts() {
        guard let first = text.first, let word = inputs.first(where: InputHints.isText) else {
            return
        }
        note(
            """
            clip: encode: "\(word)" is not a file; if it is a text, repeat the option: \
            --text "\(first)" --text "\(word)"
            """)
    }

    /// Where rows go.
    private func makeRows(
        _ format: Format, _ model: CLIPModel
    ) throws -> any RowOutput & Sendable {
        let dimension = model.configuration.embeddingDimension
        if let output, !isStandardOutput(output), format != .json, mayBeReplaced(output) {
            let layout: EmbeddingWriter.Layout =
                switch format {
                case .npy: .npy
                case .shards: .shards(rows: shardSize)
                case .jsonl, .json: .jsonLines
                }
            let path = FilePath(argument: resolved(output))
            var record = ModelRecord(
                model, name: ModelOptions.storedName(of: try self.model.name()))
            record.isNormalized = !noNormalize
            if resume { try CompleteOutput.check(path, layout, wanted: record, output) }
            try EmbeddingWriter.checkFiles(of: path, layout)
            let writer = try EmbeddingWriter(
                path: path, layout: layout, dimension: dimension, job: description(of: model),
                model: record, resuming: resume)
            if writer.dropped > 0 && !common.quiet {
                note(
                    """
                    clip: encode: \(writer.dropped) \(writer.dropped == 1 ? "row" : "rows") of the \
                    earlier run at the end of \(output) were incomplete or damaged, or came after \
                    such a row, and are encoded again
                    """)
            }
            return WrittenRows(
                writer, isNormalized: !noNormalize, output: output,
                model: layout == .jsonLines ? try self.model.name() : nil)
        }
        return CollectedRows(
            format: format, dimension: dimension, isNormalized: !noNormalize, output: output,
            model: try self.model.name())
    }

    /// What makes the vectors what they are.
    private func description(of model: CLIPModel) -> String {
        let options = JSON.object([
            "model": .string(model.fingerprint), "precision": .string(model.precision.rawValue),
            "normalized": .bool(!noNormalize), "reference": .bool(images.reference),
            "preprocess": .string(images.preprocess.rawValue),
            "decode": .string(images.decode.rawValue),
            "allow_truncated": .bool(images.allowTruncated),
            "tokenizer": .string(textOptions.tokenizer.rules.rawValue),
            "truncate": .bool(textOptions.truncate),
            "shard": collection.shard.map { .string("\($0.index)/\($0.count)") } ?? .null,
        ])
        return "\(options)"
    }
}
