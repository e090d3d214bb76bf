import Files
import ArgumentParser
import CLIP
import CLIPSearch

struct Encode: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Encode images and texts as embedding vectors.",
        discussion: """
            Writes one L2-normalised vector per image and per text, images first, in the order \
            given. An input is an image, a folder (searched recursively), a WebDataset (.tar), a \
            pattern such as "photos/*.jpg", or - for standard input (a .tar, an image, or file \
            names). Unreadable inputs are skipped and listed at the end, with exit status 1.

            -o x.npy writes the vectors to x.npy and the names, row by row, to x.names.jsonl; \
            -o folder/ writes such a pair for every --shard-size rows. -o x.parquet writes \
            embedding, path and the fields of a WebDataset, and --format parquet -o folder/ such a \
            file for every --shard-size rows; --format clip-retrieval writes the folder of that \
            tool. Rows of these formats are kept in .npy files until their file is written, so the \
            disk space of that file is needed twice. Files end in .partial or have .rows in their \
            names until the job is done; --resume continues an interrupted job. Writing files \
            needs a model that --model, CLIP_MODEL or clip pull --default names, or ViT-B/32 \
            (clip pull ViT-B/32).

            --hidden-states writes the text tower's hidden states at all positions of the context, \
            [texts, 77, width] for CLIP, to condition diffusion models. Use --tokenizer hf with:
              Stable Diffusion 1: --hidden-states last --padding 49407
              Stable Diffusion 2: --hidden-states penultimate --padding 0
              SDXL, ViT-L/14: --hidden-states penultimate --no-final-norm --padding 49407
              SDXL, ViT-bigG/14: --hidden-states penultimate --no-final-norm --padding 0

            Examples:
              clip encode bike.jpg
              clip encode --text "a dog" --text "a cat" --format json
              clip encode . -o images.npy --model tiny
              clip encode --text "a dog" --hidden-states last -o dog.npy -m tiny
            """)

    @Argument(
        help: ArgumentHelp(
            "Encode images, folders, .tar files, patterns, or - for standard input.",
            valueName: "input"),
        completion: .file())
    var inputs: [String] = []

    @Option(
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp("Encode a text; repeat the option for more.", valueName: "text"))
    var text: [String] = []

    @OptionGroup var texts: TextFileOptions

    @Option(
        help: """
            Write jsonl, json (one object), npy (float32), shards (a folder of npy), parquet (a \
            file, or a folder/) or clip-retrieval (a folder). (default: by the suffix of -o, else \
            jsonl)
            """)
    var format: Format?

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            """
            Write the vectors to a .jsonl, .json, .npy or .parquet file, or to a folder of \
            files. (default: standard output)
            """, valueName: "file|folder/"),
        completion: .file())
    var output: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Write N rows per shard. (default: 100000; for clip-retrieval 1000000)",
            valueName: "n"))
    var shardSize: Int?

    @Flag(help: "Continue an interrupted run that had the same options.")
    var resume = false

    @Flag(help: "Write vectors as the model computes them, without L2 normalisation.")
    var noNormalize = false

    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions
    @OptionGroup var collection: CollectionOptions
    @OptionGroup var hidden: HiddenStatesOptions
    @OptionGroup var textOptions: TextOptions
    @OptionGroup var images: ImageOptions

    enum Format: String, ExpressibleByArgument, CaseIterable {
        case jsonl, json, npy, shards, parquet
        case clipRetrieval = "clip-retrieval"
    }

    /// True if the output is a folder.
    var isFolder: Bool {
        switch chosenFormat {
        case .shards, .clipRetrieval: true
        case .parquet: output?.last == "/"
        case .jsonl, .json, .npy: false
        }
    }

    func validate() throws {
        let hasImages = !inputs.isEmpty || !collection.filesFrom.isEmpty
        if !hasImages && text.isEmpty && texts.textFile == nil {
            throw ValidationError("nothing to encode: give images, --text or --text-file")
        }
        try InputHints.check(inputs, streamedBy: "encode")
        try collection.checkStandardInput(inputs + [texts.textFile])
        let takesHiddenStates = [.jsonl, .json, .npy].contains(chosenFormat)
        if hidden.hiddenStates != nil && (hasImages || resume || !takesHiddenStates) {
            throw ValidationError(
                """
                --hidden-states writes jsonl, json or npy, and cannot be combined with images or \
                --resume.
                """)
        }
        if hidden.hiddenStates != nil && noNormalize {
            throw ValidationError(
                "--no-normalize has no effect on --hidden-states, which are never normalised.")
        }
        if let shardSize, shardSize < 1 {
            throw ValidationError("--shard-size must be at least 1, not \(shardSize).")
        }
        if shardSize != nil && !isFolder {
            throw ValidationError(
                chosenFormat == .parquet
                    ? "--shard-size needs a folder of files: give --format parquet -o FOLDER/."
                    : "--shard-size needs an output in shards: give -o FOLDER/.")
        }
        if isFolder && isStandardOutput(output) {
            throw ValidationError(
                "--format \(chosenFormat.rawValue) writes a folder: give -o FOLDER.")
        }
        if chosenFormat == .parquet && (isStandardOutput(output) || !mayBeReplaced(output ?? "")) {
            throw ValidationError(
                "--format parquet writes files: give -o FILE.parquet or -o FOLDER/.")
        }
        if chosenFormat == .clipRetrieval && hasImages && (!text.isEmpty || texts.textFile != nil) {
            throw ValidationError(
                "--format clip-retrieval writes images only or texts only, not both.")
        }
        if resume && (isStandardOutput(output) || chosenFormat == .json) {
            throw ValidationError(
                "--resume needs -o with a .jsonl, .npy or .parquet file, or a folder.")
        }
    }

    /// The format given by `--format`, else implied by the suffix of the output; jsonl by default.
    ///
    /// An output that ends in `/` is a folder of shards, or of Parquet files if it ends in
    /// `.parquet/`.
    var chosenFormat: Format {
        if let format { return format }
        guard let output else { return .jsonl }
        guard output.last == "/" else {
            return Format(rawValue: FilePath(output).pathExtension) ?? .jsonl
        }
        return FilePath(String(output.dropLast())).pathExtension == "parquet" ? .parquet : .shards
    }

    func run() throws {
        Interruption.prepare()
        let format = chosenFormat
        if format == .npy && isStandardOutput(output) && outputIsTerminal {
            throw Failure(
                "cannot write npy to a terminal: give -o FILE, or redirect the output", status: 2)
        }
        try checkOutput(format)
        noteTexts()
        var captions = try texts.open()
        // Vectors are stored only in a file or folder, not in a device or a pipe.
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
                    // A file that is not text at all ends the command; a bad line is skipped.
                    if captions?.isAtEnd == true { throw error }
                    try job.fail(FilePath(argument: texts.textFile ?? ""), error)
                }
            }
            return nil
        }
        if hidden.hiddenStates != nil { return try writeHiddenStates(of: nextText, model, job) }

        let rows = try makeRows(format, model)
        if rows.isComplete {
            if !common.quiet { try noteCompleteOutput(rows, job, nextText) }
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
            throw Failure("stopped at the first failure (--strict)")
        }
        if hasFailed && (rows.count == 0 || format == .npy && isStandardOutput(output)) {
            try rows.discard()
            throw rows.count == 0 ? ExitCode(1) : Failure(Self.nothingWritten(job.failures))
        }
        try rows.finish()
        if !common.quiet, let remark = rows.unmatchedRowsNote { note("clip: \(remark)") }
        if hasFailed { throw ExitCode(1) }
    }

    /// Encodes texts in groups of 4096; the common prefixes of texts in a group are computed once.
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

    /// Returns the token ids of a text; nil if the model rejects the text, which is then recorded
    /// as failed.
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
        """
        nothing is written: \(failures) of the inputs failed, and this output needs a row for each \
        input
        """
    }

    /// Rejects an output whose suffix contradicts the format, or that cannot be written.
    private func checkOutput(_ format: Format) throws {
        let accepted =
            switch format {
            case .jsonl: ["jsonl", "ndjson"] + (self.format == nil ? [] : ["txt"])
            case .json: ["json"]
            case .npy: ["npy"]
            case .parquet: ["parquet"]
            case .shards, .clipRetrieval: [String]()
            }
        if !isFolder, let output, output.last == "/" {
            throw Failure(
                "-o \(output) is a folder, but --format \(format.rawValue) writes one file",
                status: 2)
        }
        try OutputChecks.checkSuffix(
            of: output, "-o", is: accepted, format: self.format?.rawValue)
        try OutputChecks.checkPlace(of: output, isFolder: isFolder)
        try collection.checkErrors(
            inputs: inputs,
            others: [("--text-file", texts.textFile)]
                + (output.map(OutputChecks.files(of:)) ?? []).map { ("the output \($0)", $0) })
    }

    /// Prints a note on giving several texts if `--text` is used and an input looks like another
    /// text.
    private func noteTexts() {
        guard let first = text.first, let word = inputs.first(where: InputHints.isText) else {
            return
        }
        note(
            """
            clip: encode: file not found: "\(word)"; if it is a text, repeat the option: \
            --text "\(first)" --text "\(word)"
            """)
    }

    /// Opens the output that the rows are written to.
    private func makeRows(
        _ format: Format, _ model: CLIPModel
    ) throws -> any RowOutput & Sendable {
        guard let output, !isStandardOutput(output), format != .json, mayBeReplaced(output) else {
            return CollectedRows(
                format: format, dimension: model.configuration.embeddingDimension,
                isNormalized: !noNormalize, output: output, model: try self.model.name())
        }
        let path = FilePath(argument: resolved(output))
        var record = ModelRecord(model, name: ModelOptions.storedName(of: try self.model.name()))
        record.isNormalized = !noNormalize
        let job = description(of: model)
        func rows(_ layout: EmbeddingWriter.Layout) throws -> WrittenRows {
            try openRows(at: path, layout, record, job: job, resuming: resume)
        }
        switch format {
        case .jsonl, .json: return try rows(.jsonLines)
        case .npy: return try rows(.npy)
        case .shards:
            return try rows(.shards(rows: shardSize ?? EmbeddingWriter.defaultShardSize))
        case .parquet where isFolder: return try shardedRows(path, record, job: job)
        case .parquet: return try stagedRows(StagedExport(path, .parquet), record, job: job)
        case .clipRetrieval:
            let output = StagedExport(
                path, .clipRetrieval(partitionRows: shardSize ?? 1_000_000))
            return try stagedRows(output, record, job: job)
        }
    }

    /// Opens files of rows, or continues those of an earlier run.
    func openRows(
        at path: FilePath, _ layout: EmbeddingWriter.Layout, _ record: ModelRecord, job: String,
        resuming: Bool
    ) throws -> WrittenRows {
        let output = output ?? ""
        if resuming { try CompleteOutput.check(path, layout, wanted: record, output) }
        try EmbeddingWriter.checkFiles(of: path, layout)
        let writer = try EmbeddingWriter(
            path: path, layout: layout, dimension: record.dimension, job: job, model: record,
            resuming: resuming)
        if writer.dropped > 0 && !common.quiet {
            note(
                """
                clip: encode: encoding \(counted(writer.dropped, "row")) of the earlier run \
                again: the end of \(output) is incomplete or damaged
                """)
        }
        // The rows are needed to count the inputs that have none.
        if writer.isWhole && !common.quiet { try writer.readCompleteRows() }
        return WrittenRows(
            writer, isNormalized: !noNormalize, output: output,
            model: layout == .jsonLines ? try self.model.name() : nil)
    }

    /// Returns, as JSON, the model and the options that must be the same for `--resume`.
    private func description(of model: CLIPModel) -> String {
        var options: [(String, JSONValue)] = [
            ("model", .string(model.fingerprint)), ("precision", .string(model.precision.rawValue)),
            ("normalized", .bool(!noNormalize)), ("reference", .bool(images.reference)),
            ("preprocess", .string(model.preprocessor.rules.rawValue)),
            ("decode", .string(images.decode.rawValue)),
            ("allow_truncated", .bool(images.allowTruncated)),
            ("tokenizer", .string(model.tokenizerVariant)),
            ("truncate", .bool(textOptions.truncate)),
            ("shard", collection.shard.map { .string("\($0.index)/\($0.count)") } ?? .null),
        ]
        // CLIP's tokenizer is compiled in; that of other models may be replaced.
        if !model.tokenizerState.isEmpty {
            options.append(("tokenizer_file", .string(model.tokenizerState)))
        }
        return String(decoding: JSONValue.object(options).bytes, as: UTF8.self)
    }
}
