internal import CLIP
package import Files

/// A writer of vectors, with their names and fields, in a format of other software.
///
/// A file or folder gets its name when it is finished. A writer is used by one thread at a time.
package protocol EmbeddingExport: AnyObject {
    /// The number of names so far in which U+FFFD replaces bytes that the format cannot store.
    var replacedNames: Int { get }

    /// False if the format has no fields: those of the rows need not be read.
    var usesFields: Bool { get }

    /// Appends rows; the fields have one value for each column of the schema, or are empty.
    ///
    /// - Throws: `EmbeddingFileError.unwritable`.
    func append(_ block: EmbeddingBlock) throws(EmbeddingFileError)

    /// Completes the output.
    ///
    /// - Throws: `EmbeddingFileError.unwritable`.
    func finish() throws(EmbeddingFileError)

    /// Removes the unfinished files.
    func discard()
}

extension EmbeddingExport {
    package var usesFields: Bool { true }
}

/// The properties of a table that a writer needs before the first row.
package struct ExportSchema: Sendable {
    package var dimension: Int
    /// The fields of the rows, except their names.
    package var columns: [ParquetColumn]
    /// True if a name may have bytes that are not UTF-8.
    package var hasOtherNames: Bool
    /// True if rows may be texts.
    package var hasTexts: Bool
    /// True if all rows are texts.
    package var hasOnlyTexts: Bool
    /// The model that made the vectors; nil if it is unknown.
    package var model: ModelRecord?

    package init(
        dimension: Int, columns: [ParquetColumn] = [], hasOtherNames: Bool = false,
        hasTexts: Bool = false, hasOnlyTexts: Bool = false, model: ModelRecord? = nil
    ) {
        self.dimension = dimension
        self.columns = columns
        self.hasOtherNames = hasOtherNames
        self.hasTexts = hasTexts
        self.hasOnlyTexts = hasOnlyTexts
        self.model = model
    }

    /// Creates the schema of a table.
    package init(_ table: EmbeddingTable) {
        self.init(
            dimension: table.dimension, columns: table.columns, hasOtherNames: table.hasOtherNames,
            hasTexts: table.textCount > 0, hasOnlyTexts: table.textCount == table.rowCount,
            model: table.model)
    }

    /// Returns the columns for a file that has columns of its own: a column with the name of one of
    /// those gets an underscore at its end.
    func columns(besides reserved: [String]) -> [ParquetColumn] {
        var taken = Set(reserved + columns.map(\.name))
        return columns.map { column in
            guard reserved.contains(column.name) else { return column }
            var name = column.name
            while taken.contains(name) { name += "_" }
            taken.insert(name)
            return ParquetColumn(name: name, kind: column.kind, isOptional: true)
        }
    }
}

/// The destination of an export that is a stream of bytes: a file, or a closure.
package final class ExportStream {
    /// The name of the output for messages.
    let name: String
    /// The file; nil for a device or a pipe, which is written in place, and for a closure.
    private let file: GrowingFile?
    private let device: OutputFile?
    private let body: ([UInt8]) throws(FileError) -> Void

    /// Creates a file, which gets its name when it is finished; or writes to the device, pipe or
    /// descriptor at the path.
    ///
    /// - Throws: `EmbeddingFileError.unwritable`.
    package init(_ path: FilePath) throws(EmbeddingFileError) {
        name = path.description
        (file, device, body) = try naming(path.description) { () throws(FileError) in
            guard !Files.isWrittenThrough(path.bytes) else {
                let output = try OutputFile(path: path.bytes)
                return (nil, output, { bytes throws(FileError) in try output.write(bytes) })
            }
            let file = try GrowingFile(path: path.bytes)
            try file.truncate(to: 0)
            return (file, nil, { bytes throws(FileError) in try file.append(bytes) })
        }
    }

    /// Creates an output that passes all bytes to a closure.
    package init(name: String, _ body: @escaping ([UInt8]) throws(FileError) -> Void) {
        self.name = name
        self.body = body
        (file, device) = (nil, nil)
    }

    func write(_ bytes: [UInt8]) throws(EmbeddingFileError) {
        try naming(name) { () throws(FileError) in try body(bytes) }
    }

    func finish() throws(EmbeddingFileError) {
        try naming(name) { () throws(FileError) in
            try file?.finish()
            try device?.finish()
        }
    }

    /// Removes the unfinished file.
    func discard() { if let file { try? removeFile(file.partialPath) } }
}

/// Runs an operation; its error names a file.
func naming<Result>(
    _ path: String, _ body: () throws(FileError) -> Result
) throws(EmbeddingFileError) -> Result {
    do throws(FileError) {
        return try body()
    } catch {
        throw .unwritable(path: path, reason: error.reason)
    }
}

extension FilePath {
    /// The path without slashes at its end, unless it is the root.
    var withoutSlashAtEnd: FilePath {
        var bytes = bytes
        while bytes.count > 1, bytes.last == UInt8(ascii: "/") { bytes.removeLast() }
        return FilePath(bytes)
    }
}

/// Converts vectors to float16.
///
/// - Throws: `FileError` if a number is too large; `firstRow` is the number of the first vector.
func checkedHalfPrecision(
    _ vectors: [Float], dimension: Int, firstRow: Int
) throws(FileError) -> [UInt16] {
    let halves = halfPrecision(of: vectors[...])
    if let place = halves.firstIndex(where: { $0 & 0x7C00 == 0x7C00 }) {
        throw FileError(
            reason: """
                row \(firstRow + place / dimension), counted from 0, has a number that float16 \
                cannot hold: \(vectors[place])
                """)
    }
    return halves
}

/// Returns a name as valid UTF-8 without NUL; the bytes that are removed become U+FFFD.
func plainText(_ name: FilePath) -> (text: String, isChanged: Bool) {
    guard let text = String(validating: name.bytes, as: UTF8.self), !name.bytes.contains(0) else {
        let repaired = String(decoding: name.bytes, as: UTF8.self)
        var scalars = String.UnicodeScalarView()
        for scalar in repaired.unicodeScalars {
            scalars.append(scalar == "\0" ? "\u{FFFD}" : scalar)
        }
        return (String(scalars), true)
    }
    return (text, false)
}
