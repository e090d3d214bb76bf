import Files
import ArgumentParser
import CLIPSearch

/// Options for a file of texts.
struct TextFileOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Read texts from FILE, one per line; - is standard input.", valueName: "file"),
        completion: .file())
    var textFile: String?

    @Option(
        help: ArgumentHelp(
            "Read the texts from column NAME of --text-file, a .csv, .tsv or .jsonl file.",
            valueName: "name"))
    var textColumn: String?

    func validate() throws {
        if textColumn != nil && format == nil {
            throw ValidationError("--text-column needs a .csv, .tsv or .jsonl --text-file.")
        }
    }

    private var format: TextCollection.Format? {
        guard let textColumn else { return .lines }
        return textFile.flatMap { TextCollection.Format(column: textColumn, of: FilePath($0)) }
    }

    /// Opens the file of `--text-file`; nil if the option is not given.
    func open() throws -> TextCollection? {
        try textFile.map {
            try TextCollection(FilePath(argument: $0), format: format ?? .lines)
        }
    }
}

/// Texts from `--text` and `--text-file`.
struct TextInputs: ParsableArguments {
    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "Compare the images with these texts: several at once, or repeat the option.",
            valueName: "text"))
    var text: [String] = []

    @OptionGroup var file: TextFileOptions

    /// True if no text is given.
    var isEmpty: Bool { text.isEmpty && file.textFile == nil }
    var readsStandardInput: Bool { file.textFile == "-" }

    /// Returns the texts of `--text`, then the non-empty ones of `--text-file`.
    ///
    /// - Throws: `Failure` if there are none; `CLIPError` if the file cannot be read.
    func read() throws -> [String] {
        var texts = text
        if var file = try file.open() {
            while let text = try file.next() { if !text.isEmpty { texts.append(text) } }
        }
        guard !texts.isEmpty else { throw Failure("\(file.textFile ?? "") has no texts") }
        return texts
    }
}
