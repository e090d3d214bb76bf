import CLIPSearch
import Files

// MARK: Checks of the outputs

extension Eval {
    /// Rejects outputs with unsuitable names or locations, before any work is done.
    func checkOutputs() throws {
        try OutputChecks.checkSuffix(of: output, "--output", is: ["json"], format: "JSON")
        try OutputChecks.checkSuffix(
            of: predictions, "--predictions", is: ["jsonl", "ndjson"], format: "JSON Lines")
        try OutputChecks.checkSuffix(of: report, "--report", is: ["html", "htm"], format: "HTML")
        if let output, let word = Self.unknownPlaceholder(in: output) {
            throw Failure(
                """
                --output \(output): unknown placeholder {\(word)}; expected {dataset}, {model}, \
                {pretrained}, {language} or {task}
                """, status: 2)
        }
        // The place of an output with placeholders is checked when their values are known.
        let plain = output.flatMap { $0.contains("{") ? nil : $0 }
        for path in [plain, predictions, report] { try OutputChecks.checkPlace(of: path) }
        try checkOverwriting(
            [("--output", plain), ("--predictions", predictions), ("--report", report)])
        try checkDistinct([("--output", plain)])
        if json && [output, report].contains(where: { $0.map(isStandardOutput) ?? false }) {
            throw Failure(
                "--json prints to standard output: give --output and --report names of files",
                status: 2)
        }
        if let predictions, isStandardOutput(predictions) {
            throw Failure(
                "--predictions \(predictions): standard output is for the metrics; give the name "
                    + "of a file", status: 2)
        }
        try ErrorsFile.check(
            errors,
            others: inputs + [
                ("--output", output), ("--predictions", predictions), ("--report", report),
            ])
    }

    /// Returns the first word in braces that `PretrainedName.outputName` does not replace; nil if
    /// there is none.
    private static func unknownPlaceholder(in name: String) -> Substring? {
        let known: Set<Substring> = [
            "dataset", "model", "pretrained", "pretrained_full_path", "language", "task",
        ]
        // A word begins after the last brace that opens before one that closes.
        return name.split(separator: "}", omittingEmptySubsequences: false).dropLast()
            .compactMap { part in
                part.lastIndex(of: "{").map { part[part.index(after: $0)...] }
            }
            .first { !known.contains($0) }
    }

    /// The files that are read, with their roles for messages.
    private var inputs: [(role: String, path: String?)] {
        let choice = try? DatasetChoice(name: source ?? dataset ?? "", root: datasetRoot)
        return [
            ("the data set", choice?.path), ("--classes", classOptions.classes), ("--probe", probe),
        ]
    }

    /// Rejects an output that would replace an input.
    func checkOverwriting(_ outputs: [(option: String, path: String?)]) throws {
        for (option, path) in outputs {
            guard let path, !isStandardOutput(path), mayBeReplaced(path) else { continue }
            for (role, input) in inputs {
                guard let input, ErrorsFile.isSame(path, input) else { continue }
                throw Failure("\(option) \(path): it is the same file as \(role)", status: 2)
            }
        }
    }

    /// Rejects outputs of which one would replace another, or follow it on standard output.
    func checkDistinct(_ outputs: [(option: String, path: String?)]) throws {
        var seen: [(option: String, path: String)] = []
        for (option, path) in outputs
            + [("--predictions", predictions), ("--report", report)]
        {
            guard let path else { continue }
            let isShown = isStandardOutput(path)
            let other = seen.first { other in
                isShown && isStandardOutput(other.path)
                    || mayBeReplaced(path) && ErrorsFile.isSame(path, other.path)
            }
            if let other {
                throw Failure("\(option) \(path): it is the same as \(other.option)", status: 2)
            }
            seen.append((option, path))
        }
    }
}
