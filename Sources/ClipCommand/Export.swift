import ArgumentParser
import CLIP
import CLIPSearch
import Files

struct Export: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Export vectors to Parquet, vector databases, faiss or clip-retrieval.",
        usage: "clip export <vectors> --to <target> [<options>]",
        discussion: """
            The targets:
              parquet         a file with embedding, path and the fields
              pgvector        rows for COPY in PostgreSQL, in binary
              qdrant          batches of points as JSON, one per line
              sqlite-vec      an SQL script for SQLite
              faiss           an IndexFlatIP, with names beside it
              clip-retrieval  a folder with img_emb in float16, and metadata

            Vectors are exported as they are stored. pgvector, qdrant and sqlite-vec are written \
            to standard output unless -o names a file. --sql prints how to make, load and index \
            the table of pgvector:
              CREATE TABLE images (id bigint PRIMARY KEY, path text NOT NULL,
                  embedding vector(512) NOT NULL);
              COPY images FROM STDIN (FORMAT BINARY);
              CREATE INDEX ON images USING hnsw (embedding vector_cosine_ops)
                  WITH (m = 16, ef_construction = 64);
            A line of qdrant is the body of PUT /collections/NAME/points; the server's limit is 32 \
            MB a request. sqlite-vec makes the tables NAME and NAME_vec.

            Examples:
              clip export . --to parquet -o images.parquet
              clip export . --to pgvector --type halfvec > images.pgcopy
              clip export . --to pgvector --sql
              clip export . --to qdrant --batch-size 100 > images.ndjson
              clip export . --to sqlite-vec -o images.sql
              clip export . --to faiss -o images.faiss
              clip export . --to clip-retrieval -o images-clip-retrieval/
            """)

    enum Target: String, ExpressibleByArgument, CaseIterable {
        case parquet, pgvector, qdrant
        case sqliteVec = "sqlite-vec"
        case faiss
        case clipRetrieval = "clip-retrieval"

        /// True if the output is a stream, which may be standard output.
        var isStream: Bool { [.pgvector, .qdrant, .sqliteVec].contains(self) }
        /// The suffixes of the output, without a dot, the usual one first; empty for a folder.
        var suffixes: [String] {
            switch self {
            case .parquet: ["parquet"]
            case .pgvector: ["pgcopy", "bin"]
            case .qdrant: ["ndjson", "jsonl"]
            case .sqliteVec: ["sql"]
            case .faiss: ["faiss", "index"]
            case .clipRetrieval: []
            }
        }
    }

    @OptionGroup var vectors: VectorOptions

    @Option(
        help: ArgumentHelp(
            "Write parquet, pgvector, qdrant, sqlite-vec, faiss or clip-retrieval.",
            valueName: "target"))
    var to: Target

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            """
            Write to FILE, or to a new folder for clip-retrieval. (default: standard output for \
            pgvector, qdrant and sqlite-vec)
            """, valueName: "file|folder"),
        completion: .file())
    var output: String?

    @Option(help: "For pgvector: write vector (float32) or halfvec (float16). (default: vector)")
    var type: PGVectorExport.VectorType?

    @Flag(help: "For pgvector: print the SQL to make, load and index the table, without rows.")
    var sql = false

    @Option(
        help: ArgumentHelp(
            "For pgvector and sqlite-vec: name the table NAME. (default: images)",
            valueName: "name"))
    var table: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "For qdrant: write N points per batch. (default: 1000)", valueName: "n"))
    var batchSize: Int?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "For qdrant: number the points from ID. (default: 0)", valueName: "id"))
    var firstID: Int?

    @OptionGroup var threading: ThreadOptions
    @OptionGroup var common: CommonOptions

    func validate() throws {
        func needs(_ isGiven: Bool, _ option: String, _ targets: Target...) throws {
            guard isGiven, !targets.contains(to) else { return }
            let names = targets.map { "--to \($0.rawValue)" }.joined(separator: " or ")
            throw ValidationError("\(option) needs \(names).")
        }
        try needs(type != nil, "--type", .pgvector)
        try needs(sql, "--sql", .pgvector)
        try needs(table != nil, "--table", .pgvector, .sqliteVec)
        try needs(batchSize != nil, "--batch-size", .qdrant)
        try needs(firstID != nil, "--first-id", .qdrant)
        if let batchSize, batchSize < 1 {
            throw ValidationError("--batch-size must be at least 1, not \(batchSize).")
        }
        if let firstID, firstID < 0 || firstID > Int.max / 2 {
            throw ValidationError("--first-id must be 0 to \(Int.max / 2), not \(firstID).")
        }
        if let table, !Self.isIdentifier(table) {
            throw ValidationError(
                """
                --table must be at most 50 letters, digits and _, without a digit or sqlite_ at \
                the beginning, not \(table).
                """)
        }
        if sql && output != nil {
            throw ValidationError("--sql prints on standard output; omit -o.")
        }
        let isFile = output.map { !isStandardOutput($0) && mayBeReplaced($0) } ?? false
        guard !to.isStream, !isFile else { return }
        let place = to.suffixes.first.map { "FILE.\($0)" } ?? "FOLDER"
        throw ValidationError("--to \(to.rawValue) needs a place for its output: give -o \(place).")
    }

    /// True for an SQL identifier of at most 50 letters, digits and `_`.
    private static func isIdentifier(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        let isPlain = bytes.allSatisfy { byte in
            (0x61...0x7A).contains(byte) || (0x41...0x5A).contains(byte)
                || (0x30...0x39).contains(byte) || byte == UInt8(ascii: "_")
        }
        return isPlain && (1...50).contains(bytes.count) && !(0x30...0x39).contains(bytes[0])
            && !name.lowercased().hasPrefix("sqlite_")
    }

    func run() throws {
        Interruption.prepare()
        if to == .pgvector && !sql && isStandardOutput(output) && outputIsTerminal {
            throw Failure(
                "cannot write binary rows to a terminal: give -o FILE, or a pipe to psql",
                status: 2)
        }
        try OutputChecks.checkSuffix(of: output, "-o", is: to.suffixes, format: to.rawValue)
        try OutputChecks.checkPlace(of: output, isFolder: to == .clipRetrieval)
        let table = try ExportSource.open(vectors.source, threading, quiet: common.quiet)
        try checkOverwriting(table)
        if sql { return printStatements(table) }
        noteLimits(of: table)
        try export(table)
    }

    /// Rejects an output that is one of the files that are read.
    private func checkOverwriting(_ table: EmbeddingTable) throws {
        guard let output, to != .clipRetrieval else { return }
        let path = FilePath(argument: output)
        let written =
            to == .faiss
            ? [path, FaissExport.names(of: path), FaissExport.record(of: path)] : [path]
        for file in written {
            try OutputChecks.checkOverwriting(
                of: file.description, "-o",
                inputs: table.files.map { ("a file that is exported", $0.description) })
        }
    }

    private func printStatements(_ table: EmbeddingTable) {
        let type = type ?? .vector
        var command = "clip export \(Self.quoted(vectors.source)) --to pgvector"
        if type != .vector { command += " --type \(type.rawValue)" }
        let text = PGVectorExport.statements(
            table: self.table ?? "images", dimension: table.dimension, type: type,
            command: command)
        printBytes(Array(text.utf8))
    }

    /// Returns an argument for a shell, in quotation marks if it needs them, on one line.
    private static func quoted(_ argument: String) -> String {
        let isPlain = argument.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte)
                || (0x61...0x7A).contains(byte) || Array("./_-+=:,@%".utf8).contains(byte)
        }
        guard !isPlain || argument.isEmpty else { return argument }
        // A line feed would end the SQL comment.
        guard !argument.contains(where: \.isNewline) else { return "SOURCE" }
        return "'"
            + argument.split(separator: "'", omittingEmptySubsequences: false)
            .joined(separator: "'\\''") + "'"
    }

    /// Prints notes on vectors that the target compares or indexes otherwise than expected.
    private func noteLimits(of table: EmbeddingTable) {
        guard !common.quiet else { return }
        if table.model?.isNormalized == false && to == .faiss {
            note(
                """
                clip: export: the vectors are not L2-normalised, so the inner products of the \
                index are not cosines
                """)
        } else if table.model?.isNormalized == false && to != .parquet {
            note("clip: export: the vectors are not L2-normalised; compare them by cosine")
        }
        let type = type ?? .vector
        if to == .pgvector && table.dimension > type.indexedDimensions {
            note(
                """
                clip: export: an HNSW index of pgvector supports at most \
                \(grouped(type.indexedDimensions)) dimensions of \(type.rawValue), and these \
                vectors have \(grouped(table.dimension))
                """)
        }
    }

    private func writer(_ schema: ExportSchema) throws -> any EmbeddingExport {
        let path = output.map { FilePath(argument: resolved($0)) }
        func stream() throws -> ExportStream {
            if let path, !isStandardOutput(output) { return try ExportStream(path) }
            return ExportSource.standardOutput()
        }
        let file = path ?? ""
        return switch to {
        case .parquet: try ParquetExport(file, schema)
        case .pgvector: try PGVectorExport(stream(), schema, type: type ?? .vector)
        case .qdrant:
            QdrantExport(
                try stream(), schema, batchSize: batchSize ?? 1_000, firstID: firstID ?? 0)
        case .sqliteVec: try SQLiteVecExport(stream(), schema, table: table ?? "images")
        case .faiss: try FaissExport(file, schema)
        case .clipRetrieval: try RetrievalExport(file, schema)
        }
    }

    private func export(_ table: EmbeddingTable) throws {
        let writer = try writer(ExportSchema(table))
        let others = writer.usesFields && !common.quiet ? table.unsupportedColumns : []
        if !others.isEmpty {
            note(
                """
                clip: export: left out \(counted(others.count, "column")) of types that are not \
                supported: \(others.joined(separator: ", "))
                """)
        }
        let line = TerminalLine()
        defer { line.clear() }
        do {
            var blocks = table.blocks(withFields: writer.usesFields)
            var done = 0
            while let block = try blocks.next() {
                try writer.append(block)
                done += block.count
                guard !common.quiet && errorsCanBeRedrawn else { continue }
                let share = Int(100 * Double(done) / Double(table.rowCount))
                line.draw(
                    "export  \("\(share) %".right(5))  \(grouped(done)) of "
                        + grouped(table.rowCount))
            }
            try writer.finish()
        } catch {
            writer.discard()
            throw error
        }
        line.clear()
        guard !common.quiet else { return }
        if writer.replacedNames > 0 {
            note(
                """
                clip: export: \(counted(writer.replacedNames, "name")) had bytes that \
                \(to.rawValue) cannot store; U+FFFD replaces them
                """)
        }
        let rows = "\(counted(table.rowCount, "vector")) of \(grouped(table.dimension)) dimensions"
        note(
            isStandardOutput(output)
                ? "clip: export: wrote \(rows)"
                : "clip: wrote \(rows) to \(output ?? "")")
    }
}

extension PGVectorExport.VectorType: ExpressibleByArgument {}

/// The table that `clip export` reads, and its standard output.
enum ExportSource {
    /// Opens a file or folder of vectors, or the index of a folder.
    ///
    /// - Throws: `Failure` if nothing exists at the path; `IndexError` or `CLIPError`.
    static func open(
        _ source: String, _ threading: ThreadOptions, quiet: Bool
    ) throws -> EmbeddingTable {
        try VectorOptions.checkExists(source)
        let path = FilePath(argument: source)
        if let table = try VectorOptions.table(at: path, quiet: quiet) { return table }
        return try EmbeddingTable(FolderIndex(folder: path, threads: threading.wanted()))
    }

    /// Returns a stream to standard output that ends at the first error.
    static func standardOutput() -> ExportStream {
        ExportStream(name: "standard output") { bytes throws(FileError) in
            if outputIsTerminal { printBytes(bytes) } else { try writeToStandardOutput(bytes) }
        }
    }
}
