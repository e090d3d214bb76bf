import ArgumentParser
import CLIP
import CLIPSearch
import Files

/// Options for hidden states, which `clip encode` can write in place of embeddings.
struct HiddenStatesOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            Write hidden states of texts instead of embeddings: the output of the text tower's \
            last or penultimate block.
            """,
            valueName: "layer"))
    var hiddenStates: HiddenStates.Layer?

    @Flag(help: "Skip the final LayerNorm of --hidden-states.")
    var noFinalNorm = false

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            """
            Pad the texts of --hidden-states with token ID. (default: the tokenizer's; for CLIP 0, \
            or 49407 with --tokenizer hf)
            """,
            valueName: "id"))
    var padding: Int?

    func validate() throws {
        if hiddenStates == nil && (noFinalNorm || padding != nil) {
            throw ValidationError("--no-final-norm and --padding need --hidden-states.")
        }
    }
}

extension HiddenStates.Layer: ExpressibleByArgument {}

extension Encode {
    /// Encodes texts and writes the text tower's hidden states.
    func writeHiddenStates(
        of next: () throws -> String?, _ model: CLIPModel, _ job: CollectionJob
    ) throws {
        let (text, format) = (model.configuration.text, chosenFormat)
        guard let layer = hidden.hiddenStates else { return }
        if let padding = hidden.padding, !(0..<text.vocabularySize).contains(padding) {
            throw Failure("--padding must be 0 to \(text.vocabularySize - 1)", status: 2)
        }
        var rows: [(text: String, tokens: [Int])] = []
        try job.perform {
            while let text = try next() {
                guard job.takesNext() else { continue }
                if let tokens = try tokens(of: text, model, job) { rows.append((text, tokens)) }
            }
        }
        let failures = job.failures
        if failures > 0 && (format == .npy || collection.strict) {
            throw Failure(
                collection.strict
                    ? "stopped at the first failure (--strict)" : Self.nothingWritten(failures))
        }
        if rows.isEmpty && failures > 0 { throw ExitCode(1) }

        let modelName = try self.model.name()
        let streams = format == .jsonl && isStandardOutput(output)
        var (values, bytes): ([Float], [UInt8]) = ([], [])
        for start in stride(from: 0, to: rows.count, by: 8) {
            let group = rows[start..<min(start + 8, rows.count)]
            let tokenizer = try model.tokenizer
            let states = try model.hiddenStates(
                ofTokens: group.map {
                    tokenizer.padded($0.tokens, to: text.contextLength, with: hidden.padding)
                }, after: layer, finalNorm: !hidden.noFinalNorm)
            guard format != .npy else {
                values += states.values
                continue
            }
            for (index, row) in group.enumerated() {
                let vectors = JSONValue.array(states[index].map { .floats($0) })
                let object =
                    format == .json
                    ? JSONValue.object(["text": .string(row.text), "hidden_states": vectors])
                    : .object([
                        "text": .string(row.text), "model": .string(modelName),
                        "hidden_states": vectors,
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
        case .npy, .shards, .parquet, .clipRetrieval:
            let shape = [rows.count, text.contextLength, text.width]
            try write(npy(values, shape: shape), to: output)
        case .json:
            let all = JSONValue.object([
                "model": .string(modelName), "width": .integer(text.width),
                "hidden_states": .raw(Array("[".utf8) + bytes + Array("]".utf8)),
            ])
            try write(all.bytes + [UInt8(ascii: "\n")], to: output)
        case .jsonl: if !streams { try write(bytes, to: output) }
        }
        if failures > 0 { throw ExitCode(1) }
    }
}
