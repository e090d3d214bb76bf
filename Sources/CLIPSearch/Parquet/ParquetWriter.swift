package import Files

/// Writes a Parquet file of rows with vectors, in row groups, as they fill.
///
/// ```
/// let file = try GrowingFile(path: Array("photos.parquet".utf8))
/// let writer = try ParquetWriter(
///     file, columns: [ParquetColumn(name: "path", kind: .string, isOptional: false)],
///     vectorColumn: "embedding", dimension: 512, metadata: [])
/// try writer.append([.string(Array("bike.jpg".utf8))], vector: vector)
/// try writer.finish()
/// try file.finish()
/// ```
///
/// The values are not compressed (PLAIN), in data pages of version 1 with checksums. Equal rows and
/// metadata give equal files. Vectors are written page by page; the values of the other columns are
/// in memory until their row group is written, which ends when they have 64 MB. So the vectors are
/// the first column, as readers such as Spark's expect the columns of a row group in the order of
/// the schema. After an error, the file is incomplete and the writer must not be used.
///
/// Source: https://parquet.apache.org/docs/file-format/
package final class ParquetWriter {
    /// The name and version of this writer; the version changes whenever its files change.
    static let createdBy = "swift-clip version 1.0.0"

    /// The place of a row group in the file.
    private struct RowGroup {
        let rowCount: Int
        let chunks: [Chunk]
    }

    /// The place of a column's pages in the file.
    private struct Chunk {
        let offset: Int
        let size: Int
        let valueCount: Int
        let nullCount: Int
    }

    private let file: GrowingFile
    private let vectorColumn: String?
    private let dimension: Int
    private let metadata: [(key: String, value: String)]
    private let rowGroupSize: Int
    private let rowGroupBytes: Int
    private var rowGroups: [RowGroup] = []
    private var chunks: [ParquetChunkWriter]
    /// The vectors of the page that is not written yet.
    private var page: [Float] = []
    /// The levels of a page with as many rows as the last one.
    private var levels: (rowCount: Int, bytes: [UInt8]) = (0, [])
    /// The offset of the vectors of the current row group; nil if none is written.
    private var vectorOffset: Int?
    private var groupCount = 0
    /// The number of rows so far.
    package private(set) var rowCount = 0

    /// Starts a file, whose previous content is removed.
    ///
    /// - Parameters:
    ///   - file: The file to write.
    ///   - columns: The columns with one value in each row; each needs a name of its own.
    ///   - vectorColumn: The name of the column of vectors (list of float32), which comes first;
    ///     nil for a file without vectors, whose dimension is 0.
    ///   - dimension: The number of dimensions of each vector.
    ///   - metadata: The file's metadata, in addition to the key `ARROW:schema`.
    ///   - rowGroupSize: The largest number of rows of a group.
    ///   - rowGroupBytes: The size of the columns except the vectors, in bytes, at which a group
    ///     ends.
    /// - Throws: `FileError`.
    package init(
        _ file: GrowingFile, columns: [ParquetColumn], vectorColumn: String?, dimension: Int,
        metadata: [(key: String, value: String)], rowGroupSize: Int = 65_536,
        rowGroupBytes: Int = 1 << 26
    ) throws(FileError) {
        guard vectorColumn == nil ? dimension == 0 : 1...mostDimensions ~= dimension else {
            throw FileError(
                reason: """
                    expected 1...\(mostDimensions) dimensions, or 0 without vectors, found \
                    \(dimension)
                    """)
        }
        precondition(rowGroupSize > 0, "expected at least 1 row, found \(rowGroupSize)")
        self.file = file
        self.vectorColumn = vectorColumn
        self.dimension = dimension
        self.rowGroupSize = rowGroupSize
        self.rowGroupBytes = rowGroupBytes
        let schema = arrowSchema(columns, vectorColumn: vectorColumn, dimension: dimension)
        self.metadata = metadata + [(key: "ARROW:schema", value: schema)]
        chunks = columns.map { ParquetChunkWriter($0) }
        try file.truncate(to: 0)
        try file.append(parquetMagic)
    }

    /// Appends a row.
    ///
    /// - Parameters:
    ///   - values: The value of each column. Bytes of a string that are not UTF-8 become U+FFFD.
    ///   - vector: The vector, with `dimension` numbers.
    /// - Throws: `FileError`.
    package func append(_ values: [ParquetValue], vector: [Float]) throws(FileError) {
        try append(rows: [values], vectors: vector[...])
    }

    /// Appends several rows at once.
    ///
    /// - Parameters:
    ///   - values: The values of each row, one for each column.
    ///   - vectors: The vectors of the rows, one after the other.
    /// - Throws: `FileError`.
    package func append(
        rows values: [[ParquetValue]], vectors: ArraySlice<Float>
    ) throws(FileError) {
        precondition(
            vectors.count == values.count * dimension,
            "expected \(values.count) x \(dimension) numbers, found \(vectors.count)")
        var start = 0
        while start < values.count {
            let most = min(values.count, start + rowGroupSize - groupCount)
            var end = start
            var isFull = false
            while end < most && !isFull {
                let row = values[end]
                precondition(
                    row.count == chunks.count,
                    "expected \(chunks.count) values, found \(row.count)")
                for (index, value) in row.enumerated() { try chunks[index].append(value) }
                end += 1
                isFull = chunks.reduce(0) { $0 + $1.size } >= rowGroupBytes
            }
            groupCount += end - start
            let first = vectors.startIndex + start * dimension
            try append(vectors[first..<(first + (end - start) * dimension)])
            if isFull || groupCount == rowGroupSize { try finishRowGroup() }
            start = end
        }
    }

    /// Writes the last row group and the footer; the caller finishes the file.
    package func finish() throws(FileError) {
        if groupCount > 0 { try finishRowGroup() }
        let footer = self.footer()
        guard let size = UInt32(exactly: footer.count) else {
            throw FileError(reason: "its footer is too large (\(footer.count) bytes)")
        }
        try file.append(footer)
        var end: [UInt8] = []
        end.append(littleEndian: size)
        try file.append(end + parquetMagic)
        try file.flush()
    }

    private func finishRowGroup() throws(FileError) {
        if !page.isEmpty { try write(page: page[...]) }
        page.removeAll(keepingCapacity: true)
        let vectorEnd = file.count
        var places: [Chunk] = []
        if let start = vectorOffset {
            places.append(
                Chunk(
                    offset: start, size: vectorEnd - start, valueCount: groupCount * dimension,
                    nullCount: 0))
        }
        for index in chunks.indices {
            chunks[index].finishPage()
            let chunk = chunks[index]
            places.append(
                Chunk(
                    offset: file.count, size: chunk.pages.count, valueCount: chunk.count,
                    nullCount: chunk.nullCount))
            try file.append(chunk.pages)
            chunks[index].reset()
        }
        rowGroups.append(RowGroup(rowCount: groupCount, chunks: places))
        rowCount += groupCount
        (groupCount, vectorOffset) = (0, nil)
    }

    /// Appends vectors, and writes the pages that are full; these are not copied if they begin in
    /// `numbers`.
    private func append(_ numbers: ArraySlice<Float>) throws(FileError) {
        guard vectorColumn != nil else { return }
        let size = max(1, parquetVectorPageSize / (4 * dimension)) * dimension
        var rest = numbers
        if !page.isEmpty {
            let missing = size - page.count
            page += rest.prefix(missing)
            rest = rest.dropFirst(missing)
            guard page.count == size else { return }
            try write(page: page[...])
            page.removeAll(keepingCapacity: true)
        }
        while rest.count >= size {
            try write(page: rest.prefix(size))
            rest = rest.dropFirst(size)
        }
        page += rest
    }

    /// Writes a page of vectors.
    private func write(page: ArraySlice<Float>) throws(FileError) {
        if vectorOffset == nil { vectorOffset = file.count }
        let rowCount = page.count / dimension
        if rowCount != levels.rowCount { levels = (rowCount, listLevels(rowCount: rowCount)) }
        var crc = CRC32()
        crc.update(levels.bytes[...])
        crc.update(littleEndian: page)
        let header = parquetPageHeader(
            size: levels.bytes.count + 4 * page.count, crc: crc.value, valueCount: page.count)
        try file.append(header + levels.bytes)
        try file.append(littleEndian: page)
    }

    /// Returns the repetition and definition levels of vectors.
    private func listLevels(rowCount: Int) -> [UInt8] {
        var repetition = ParquetLevelWriter()
        var definition = ParquetLevelWriter()
        for _ in 0..<rowCount {
            repetition.append(0)
            repetition.append(1, count: dimension - 1)
        }
        definition.append(1, count: rowCount * dimension)
        return repetition.finish() + definition.finish()
    }
}

// MARK: the footer

extension ParquetWriter {
    /// An element of the schema, which lists the tree of columns from the top down.
    private struct SchemaElement {
        let name: String
        var type: ParquetType?
        var repetition: ParquetRepetition? = .required
        var childCount: Int?
        /// The number of an annotation, in the older and in the newer list of annotations.
        var annotation: (converted: Int32, logical: Int)?
    }

    private func type(of kind: ParquetColumn.Kind) -> ParquetType {
        switch kind {
        case .string, .bytes: .byteArray
        case .integer: .int64
        case .double: .double
        case .boolean: .boolean
        }
    }

    private var schema: [SchemaElement] {
        let columns = chunks.map(\.column).map { column in
            SchemaElement(
                name: column.name, type: type(of: column.kind),
                repetition: column.isOptional ? .optional : .required,
                annotation: column.kind == .string ? (converted: 0, logical: 1) : nil)
        }
        guard let vectorColumn else {
            return [SchemaElement(name: "schema", repetition: nil, childCount: columns.count)]
                + columns
        }
        return [
            SchemaElement(name: "schema", repetition: nil, childCount: columns.count + 1),
            SchemaElement(
                name: vectorColumn, childCount: 1, annotation: (converted: 3, logical: 3)),
            SchemaElement(name: "list", repetition: .repeated, childCount: 1),
            SchemaElement(name: "element", type: .float),
        ] + columns
    }

    private func footer() -> [UInt8] {
        var footer = ThriftWriter()
        footer.field(1, Int32(1))  // the version of the format
        footer.field(2, structures: schema, write)
        footer.field(3, Int64(rowCount))
        footer.field(4, structures: rowGroups, write)
        footer.field(5, structures: metadata) { writer, pair in
            writer.field(1, pair.key)
            writer.field(2, pair.value)
        }
        footer.field(6, Self.createdBy)
        footer.end()
        return footer.bytes
    }

    private func write(_ writer: inout ThriftWriter, _ element: SchemaElement) {
        if let type = element.type { writer.field(1, Int32(type.rawValue)) }
        if let repetition = element.repetition { writer.field(3, Int32(repetition.rawValue)) }
        writer.field(4, element.name)
        if let count = element.childCount { writer.field(5, Int32(count)) }
        guard let annotation = element.annotation else { return }
        writer.field(6, annotation.converted)
        writer.field(10) { $0.field(annotation.logical) { _ in } }
    }

    private func write(_ writer: inout ThriftWriter, _ group: RowGroup) {
        let size = group.chunks.reduce(0) { $0 + $1.size }
        writer.field(1, structures: Array(group.chunks.enumerated())) { writer, item in
            let (index, chunk) = item
            writer.field(2, Int64(0))  // deprecated: the place of a copy of the metadata
            writer.field(3) { self.write(&$0, chunk, column: index) }
        }
        writer.field(2, Int64(size))
        writer.field(3, Int64(group.rowCount))
        writer.field(5, Int64(group.chunks[0].offset))
        writer.field(6, Int64(size))
    }

    private func write(_ writer: inout ThriftWriter, _ chunk: Chunk, column index: Int) {
        let place = vectorColumn == nil ? index : index - 1
        let column = place < 0 ? nil : chunks[place].column
        writer.field(1, Int32((column.map { type(of: $0.kind) } ?? .float).rawValue))
        writer.field(2, list: [Int32(ParquetEncoding.plain), Int32(ParquetEncoding.runLength)])
        writer.field(3, list: column.map { [$0.name] } ?? [vectorColumn ?? "", "list", "element"])
        writer.field(4, Int32(ParquetCodec.none))
        writer.field(5, Int64(chunk.valueCount))
        writer.field(6, Int64(chunk.size))
        writer.field(7, Int64(chunk.size))
        writer.field(9, Int64(chunk.offset))
        if column != nil {
            writer.field(12) { $0.field(3, Int64(chunk.nullCount)) }
        }
    }
}
