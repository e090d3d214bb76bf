import ArgumentParser
import CLIP

struct Encode: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Turn pictures and texts into vectors.",
        discussion: """
            One row an input in the order given, pictures first, divided by its L2 norm unless told \
            not to. A picture that cannot be read is reported and left out, with exit status 1; in \
            .npy, where rows have no names, nothing is written then.

            With --hidden-states, texts alone: all 77 positions after the text tower's last block or the one \
            before it, [texts, 77, width], as diffusion models are conditioned on, with --tokenizer hf. \
            Stable Diffusion 1: last --padding 49407. Stable Diffusion 2: penultimate --padding 0. SDXL: \
            penultimate --no-final-norm, --padding 49407 for its ViT-L/14 and 0 for its ViT-bigG/14.
            """)

    @Argument(help: ArgumentHelp("JPEG, PNG or WebP files.", valueName: "image"))
    var images: [String] = []

    @Option(parsing: .unconditionalSingleValue, help: "A text; may be given several times.")
    var text: [String] = []

    @Option(help: ArgumentHelp("Texts, one a line; - is standard input.", valueName: "file"))
    var textFile: String?

    @Option(
        help: """
            jsonl (an object a row), json (one object), or npy (float32 [rows, dimension]); the \
            default follows the name given to -o.
            """)
    var format: Format?

    @Option(
        name: .shortAndLong, help: ArgumentHelp("Write there, all or nothing.", valueName: "file"))
    var output: String?

    @Flag(help: "Leave the vectors as the towers give them.")
    var noNormalize = false

    @Option(help: "Write what the text tower makes of every position: last or penultimate.")
    var hiddenStates: HiddenStates.Layer?

    @Flag(help: "Hidden states without the final LayerNorm.")
    var noFinalNorm = false

    @Option(
        help: ArgumentHelp(
            "The id that fills texts up for hidden states: 0, or 49407 by Hugging Face's rules.",
            valueName: "id"))
    var padding: Int?

    @OptionGroup var textOptions: TextOptions
    @OptionGroup var pictures: PictureOptions
    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions

    enum Format: String, ExpressibleByArgument, CaseIterable {
        case jsonl, json, npy
    }

    func validate() throws {
        if images.isEmpty && text.isEmpty && textFile == nil {
            throw ValidationError("Nothing to encode: give pictures, --text or --text-file.")
        }
        if hiddenStates != nil && !images.isEmpty {
            throw ValidationError("--hidden-states is for texts, not for pictures.")
        }
        if hiddenStates == nil && (noFinalNorm || padding != nil) {
            throw ValidationError("--no-final-norm and --padding go with --hidden-states.")
        }
        if hiddenStates != nil && noNormalize {
            throw ValidationError(
                "--no-normalize is for embeddings; hidden states are as they are.")
        }
    }

    /// The format asked for, or the one that the output's name ends in.
    private var chosenFormat: Format {
        let ending = output?.split(separator: ".").last.map(String.init) ?? ""
        return format ?? Format(rawValue: ending) ?? .jsonl
    }

    func run() throws {
        let format = chosenFormat
        if format == .npy && isStandardOutput(output) && outputIsTerminal {
            throw Failure("npy is not for a terminal: give -o FILE, or redirect", status: 2)
        }
        let texts = try text + (textFile.map(readLines) ?? [])
        let model = try self.model.load(textOptions, pictures, common)
        if let layer = hiddenStates {
            return try writeHiddenStates(after: layer, of: texts, model, format)
        }
        var rows = Rows(
            format: format, dimension: model.configuration.embeddingDimension,
            isNormalized: !noNormalize, streams: isStandardOutput(output))
        var failures = 0

        let decoding = pictures.decoding(for: model.preprocessor)
        try model.encode(files: images, options: decoding) { index, result in
            switch result {
            case .success(let row): rows.append("image", [images[index]], row)
            case .failure(let error):
                report(error)
                failures += 1
            }
        }

        let rowsOfText = tokenized(texts, model, &failures)
        rows.append(
            "text", rowsOfText.map(\.text),
            try model.encode(tokens: rowsOfText.map(\.tokens)).values)

        if format == .npy && failures > 0 {
            throw Failure(Self.nothingWritten(failures))
        }
        if rows.isEmpty && failures > 0 { throw ExitCode(1) }
        try rows.finish(to: output, model: try self.model.name())
        if failures > 0 { throw ExitCode(1) }
    }
}

extension HiddenStates.Layer: ExpressibleByArgument {}

extension Encode {
    /// The texts that the model can take, and their ids; the others are reported.
    private func tokenized(
        _ texts: [String], _ model: CLIPModel, _ failures: inout Int
    ) -> [(text: String, tokens: [Int])] {
        var rows: [(String, [Int])] = []
        for text in texts {
            do throws(CLIPError) {
                let tokens = try model.tokenizer.tokenize(
                    text, contextLength: model.configuration.text.contextLength,
                    truncating: textOptions.truncate)
                rows.append((text, tokens))
            } catch {
                report(error)
                failures += 1
            }
        }
        return rows
    }

    private func writeHiddenStates(
        after layer: HiddenStates.Layer, of texts: [String], _ model: CLIPModel, _ format: Format
    ) throws {
        let text = model.configuration.text
        if let padding, !(0..<text.vocabularySize).contains(padding) {
            throw Failure("--padding must be 0 to \(text.vocabularySize - 1)", status: 2)
        }
        var failures = 0
        let rows = tokenized(texts, model, &failures)
        if format == .npy && failures > 0 {
            throw Failure(Self.nothingWritten(failures))
        }
        if rows.isEmpty && failures > 0 { throw ExitCode(1) }

        let streams = format == .jsonl && isStandardOutput(output)
        var (values, bytes): ([Float], [UInt8]) = ([], [])
        for start in stride(from: 0, to: rows.count, by: 8) {
            let group = rows[start..<min(start + 8, rows.count)]
            let states = try model.hiddenStates(
                ofTokens: group.map {
                    model.tokenizer.padded($0.tokens, to: text.contextLength, with: padding)
                }, after: layer, finalNorm: !noFinalNorm)
            guard format != .npy else {
                values += states.values
                continue
            }
            for (index, row) in group.enumerated() {
                let object = JSON.object([
                    "text": .string(row.text),
                    "hidden_states": .array(states[index].map { .floats($0) }),
                ])
                if streams {
                    printLine(object)
                } else {
                    if format == .json && !bytes.isEmpty { bytes.append(UInt8(ascii: ",")) }
                    bytes += object.bytes + (format == .jsonl ? [UInt8(ascii: "\n")] : [])
                }
            }
        }
        switch format {
        case .npy:
            let shape = [rows.count, text.contextLength, text.width]
            try write(npy(values, shape: shape), to: output)
        case .json:
            let name = JSON.string(try self.model.name())
            let head = "{\"model\":\(name),\"width\":\(text.width),\"hidden_states\":["
            try write(Array(head.utf8) + bytes + Array("]}\n".utf8), to: output)
        case .jsonl: if !streams { try write(bytes, to: output) }
        }
        if failures > 0 { throw ExitCode(1) }
    }

    private static func nothingWritten(_ failures: Int) -> String {
        "nothing is written: the rows of .npy have no names, and \(failures) are missing"
    }
}

/// The rows of the output, printed as they come or kept until all are there.
private struct Rows {
    let format: Encode.Format
    let dimension: Int
    let isNormalized: Bool
    /// Whether rows of JSON Lines go to standard output at once.
    let streams: Bool
    private var values: [Float] = []
    private var objects: [JSON] = []

    init(format: Encode.Format, dimension: Int, isNormalized: Bool, streams: Bool) {
        self.format = format
        self.dimension = dimension
        self.isNormalized = isNormalized
        self.streams = streams
    }

    private(set) var isEmpty = true

    /// Takes the rows of some inputs of one kind, "image" or "text".
    mutating func append(_ kind: String, _ names: [String], _ numbers: [Float]) {
        isEmpty = isEmpty && names.isEmpty
        var embeddings = Embeddings(values: numbers, dimension: dimension)
        if isNormalized { embeddings = embeddings.normalized() }
        guard format != .npy else {
            values += embeddings.values
            return
        }
        for (row, name) in names.enumerated() {
            let object = JSON.object([kind: .string(name), "embedding": .floats(embeddings[row])])
            if streams && format == .jsonl {
                printLine(object)
            } else {
                objects.append(object)
            }
        }
    }

    func finish(to path: String?, model: String) throws {
        switch format {
        case .npy:
            try write(npy(values, shape: [values.count / dimension, dimension]), to: path)
        case .json:
            let all = JSON.object([
                "model": .string(model), "dimension": .integer(dimension),
                "normalized": .bool(isNormalized), "embeddings": .array(objects),
            ])
            try write(Array("\(all)\n".utf8), to: path)
        case .jsonl:
            guard !streams else { return }
            try write(Array(objects.map { "\($0)\n" }.joined().utf8), to: path)
        }
    }
}
