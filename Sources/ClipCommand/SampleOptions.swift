import ArgumentParser
import CLIPSearch

/// A random choice among the inputs.
struct SampleOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Take N of the inputs at random, in their order; the same ones for the same --seed.",
            valueName: "n"))
    var sample: Int?

    @Option(help: ArgumentHelp("The seed of --sample.", valueName: "n"))
    var seed: UInt64 = 0

    func validate() throws {
        if let sample, sample < 1 {
            throw ValidationError("--sample must be at least 1, not \(sample).")
        }
    }
}

/// Texts from options and a file.
struct TextInputs: ParsableArguments {
    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "Texts; give several at once, or repeat the option.", valueName: "text"))
    var text: [String] = []

    @Option(
        help: ArgumentHelp(
            "Read texts from FILE, one a line; - is standard input.", valueName: "file"),
        completion: .file())
    var textFile: String?

    @Option(
        help: ArgumentHelp(
            "The column of --text-file that has the texts, where that is .csv, .tsv or .jsonl.",
            valueName: "name"))
    var textColumn: String?

    /// Whether no text is given.
    var isEmpty: Bool { text.isEmpty && textFile == nil }
    var readsStandardInput: Bool { textFile == "-" }

    func validate() throws {
        if textColumn != nil && format == nil {
            throw ValidationError("--text-column needs a --text-file .csv, .tsv or .jsonl.")
        }
    }

    private var format: TextCollection.Format? {
        guard let textColumn else { return .lines }
        return textFile.flatMap { TextCollection.Format(column: textColumn, of: FilePath($0)) }
    }

    /// The texts of the options, then those of the file; empty lines are left out.
    func read() throws -> [String] {
        var texts = text
        if let textFile {
            var file = try TextCollection(
                FilePath(argument: textFile), format: format ?? .lines)
            while let text = try file.next() { if !text.isEmpty { texts.append(text) } }
        }
        guard !texts.isEmpty else { throw Failure("\(textFile ?? "") has no texts") }
        return texts
    }
}

/// The largest matrices of cosines that are held in memory and drawn.
enum MatrixLimit {
    static let cells = 100_000_000
    static let drawnCells = 10_000

    /// The most numbers of vectors that are held in memory: 4 GB.
    private static let numbers = 1_000_000_000

    /// - Throws: `Failure` if the vectors of so many images are too large.
    static func check(vectors count: Int, dimension: Int) throws {
        guard count <= numbers / dimension else {
            throw Failure(
                """
                too large: the vectors of more than \(grouped(numbers / dimension)) images: use clip index and \
                clip search
                """)
        }
    }

    /// - Throws: `Failure` if a matrix of so many images and texts is too large.
    static func check(
        images: Int, texts: Int, isDrawn: Bool, advice: String = "use --sample"
    ) throws {
        if isDrawn && images * texts > drawnCells {
            throw Failure(
                """
                too large to draw: --heatmap draws up to \(grouped(drawnCells)) cosines, and there are more \
                with \(grouped(texts)) texts and \(grouped(images)) images or more: \(advice)
                """)
        }
        if images * texts > cells {
            throw Failure(
                """
                too large: a matrix of more than \(grouped(cells)) cosines, of \(grouped(texts)) texts and \
                \(grouped(images)) images or more: \(advice), or clip index and clip search
                """)
        }
    }
}
