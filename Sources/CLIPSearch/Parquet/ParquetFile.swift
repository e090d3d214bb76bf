package import Files

/// A Parquet file of vectors, mapped; row groups are decoded when they are read.
///
/// ```
/// let file = try ParquetFile(FilePath("photos.parquet"))
/// for group in file.rowGroups.indices {
///     let names = try file.values(of: "path", rowGroup: group)
///     let vectors = try file.vectors(of: "embedding", rowGroup: group).numbers
/// }
/// ```
///
/// Pages of version 1 and 2 are read, uncompressed or compressed with Snappy, with the encodings
/// PLAIN, dictionary and, for booleans, RLE. Checksums of pages are verified where there are any.
///
/// A file may be damaged or malicious. The memory for a column of a row group is at most 128 MB
/// plus 1024 times the size of the file: Snappy expands at most 22 times, and a file is refused
/// that states more than 8 rows for each of its bytes, or whose columns overlap. A column of
/// vectors is refused that has more than 16 elements for each byte of its pages in all row groups;
/// 1,048,576 rows and 4,194,304 elements are always permitted.
package final class ParquetFile: Sendable {
    /// The number of rows.
    package let rowCount: Int
    /// The columns with at most one value in each row.
    ///
    /// They have strings, bytes, integers, floating-point numbers or booleans.
    package let columns: [ParquetColumn]
    /// The names of the columns of other types, such as dates, which cannot be read.
    package let unsupportedColumns: [String]
    /// The columns of lists of floating-point numbers, all of one length: that of the first list.
    ///
    /// The dimension is 0 if there are no rows and the metadata `clip.dimension` does not state it.
    package let vectorColumns: [(name: String, dimension: Int)]
    /// The metadata of the file, in its order.
    package let metadata: [(key: String, value: String)]
    /// The rows of each row group.
    package let rowGroups: [Range<Int>]

    private let file: MappedFile
    private let footer: ParquetMetadata
    private let leaves: [ParquetLeaf]
    /// The end of the pages.
    private let limit: Int
    /// The numbers of the columns of vectors with too many elements for the size of their pages.
    private let excessive: Set<Int>

    /// Maps a file, and reads its footer.
    ///
    /// - Parameter path: The path of the file.
    /// - Throws: `FileError` if the file cannot be read or is not a Parquet file.
    package convenience init(_ path: FilePath) throws(FileError) {
        try self.init(MappedFile(path: path.bytes))
    }

    /// Reads the footer of a mapped file.
    init(_ file: MappedFile) throws(FileError) {
        guard file.count >= 12, file.bytes(0..<4) == parquetMagic else {
            throw FileError(reason: "it is not a Parquet file", isDamage: true)
        }
        let end = file.bytes((file.count - 4)..<file.count)
        guard end != Array("PARE".utf8) else {
            throw FileError(reason: "unsupported: its footer is encrypted")
        }
        let size = Int(file.uint32(at: file.count - 8))
        guard end == parquetMagic, size <= file.count - 12 else {
            throw parquetDamage("it is truncated")
        }
        let limit = file.count - 8 - size
        let footer = try ParquetMetadata(file, limit..<(file.count - 8))
        let (leaves, others, count) = try footer.leaves()
        var groups: [Range<Int>] = []
        var rows = 0
        for group in footer.rowGroups {
            guard group.chunks.count == count, group.rowCount <= footer.rowCount - rows else {
                throw parquetDamage("its row groups do not fit its schema or its number of rows")
            }
            groups.append(rows..<(rows + group.rowCount))
            rows += group.rowCount
        }
        guard rows == footer.rowCount else {
            throw parquetDamage("expected \(footer.rowCount) rows, found \(rows)")
        }
        guard rows <= 1 << 20 + 8 * file.count else {
            throw parquetDamage("it states \(rows) rows in \(file.count) bytes")
        }
        try footer.checkPlaces(limit: limit)
        self.file = file
        self.footer = footer
        self.leaves = leaves
        self.limit = limit
        let excessive = Set(leaves.filter { $0.isVector && footer.hasExcess($0) }.map(\.index))
        self.excessive = excessive
        unsupportedColumns = others
        rowCount = rows
        rowGroups = groups
        metadata = footer.pairs
        columns = leaves.compactMap { leaf in
            if case .flat(let column) = leaf.shape { column } else { nil }
        }
        let stated = footer.pairs.first { $0.key == "clip.dimension" }.flatMap { Int($0.value) }
        vectorColumns = leaves.filter(\.isVector).map { leaf in
            let dimension = Self.dimension(
                of: leaf, file, footer, limit: limit, isReadable: !excessive.contains(leaf.index))
            return (leaf.name, dimension ?? min(max(0, stated ?? 0), mostDimensions))
        }
    }

    /// Returns the length of the first list of a column that has elements; nil if there is none.
    private static func dimension(
        of leaf: ParquetLeaf, _ file: MappedFile, _ footer: ParquetMetadata, limit: Int,
        isReadable: Bool
    ) -> Int? {
        for group in footer.rowGroups where group.rowCount > 0 {
            let chunk = group.chunks[leaf.index]
            // Without null lists, the numbers of values and rows tell the length.
            let quotient = chunk.valueCount / group.rowCount
            if !leaf.hasNullLists && chunk.valueCount.isMultiple(of: group.rowCount) {
                return quotient
            }
            guard isReadable,
                var pages = try? ParquetPageReader(file, leaf, chunk, limit: limit),
                let length = try? lengthOfFirstList(&pages, leaf)
            else { return quotient }
            if length > 0 { return length }
        }
        return nil
    }

    private static func lengthOfFirstList(
        _ pages: inout ParquetPageReader, _ leaf: ParquetLeaf
    ) throws(FileError) -> Int {
        var length = 0
        while let page = try pages.next(dictionary: { _, _ in }) {
            for (repetition, definition) in zip(page.repetition, page.definition) {
                if repetition == 0 && length > 0 { return length }
                if definition == leaf.maxDefinition { length += 1 }
            }
        }
        return length
    }

    /// Releases the memory of a row group that was read.
    func forget(rowGroup group: Int) {
        for chunk in footer.rowGroups[group].chunks where chunk.hasPages {
            file.forget(chunk.start..<chunk.start + chunk.size)
        }
    }

    /// Returns the number of rows without a vector in a column: their lists are null.
    package func missingCount(of column: String) -> Int {
        guard let leaf = leaves.first(where: { $0.name == column && $0.isVector }),
            let dimension = vectorColumns.first(where: { $0.name == column })?.dimension
        else { return 0 }
        return rowGroups.indices.reduce(0) { $0 + missingCount(leaf, dimension, rowGroup: $1) }
    }

    /// Returns the number of null lists in a row group, each of which counts as one value.
    ///
    /// With one dimension, a null list cannot be told from another.
    private func missingCount(_ leaf: ParquetLeaf, _ dimension: Int, rowGroup: Int) -> Int {
        let (rows, values) = (
            rowGroups[rowGroup].count, footer.rowGroups[rowGroup].chunks[leaf.index].valueCount
        )
        let (all, overflow) = rows.multipliedReportingOverflow(by: dimension)
        // Without the length of a list, all lists are null.
        if leaf.hasNullLists && dimension == 0 { return rows }
        guard leaf.hasNullLists, dimension > 1, !overflow, values <= all,
            (all - values).isMultiple(of: dimension - 1)
        else { return 0 }
        return min(rows, (all - values) / (dimension - 1))
    }

    /// Checks the number of elements of a column of vectors in all row groups.
    ///
    /// - Throws: `FileError` if it is too large for the size of the pages.
    func checkValueCount(of column: String) throws(FileError) {
        guard let leaf = leaves.first(where: { $0.name == column && $0.isVector }),
            excessive.contains(leaf.index)
        else { return }
        throw parquetDamage(
            "column \"\(column)\" states too many numbers for the size of its pages")
    }

    /// Decodes the values of a column in a row group.
    ///
    /// - Parameters:
    ///   - column: The name of the column.
    ///   - rowGroup: The number of the row group.
    /// - Returns: The values, one for each row.
    /// - Throws: `FileError` if there is no such column, its compression or encoding is
    ///   unsupported, or it is damaged.
    package func values(of column: String, rowGroup: Int) throws(FileError) -> [ParquetValue] {
        for leaf in leaves where leaf.name == column {
            guard case .flat(let description) = leaf.shape else { continue }
            let chunk = footer.rowGroups[rowGroup].chunks[leaf.index]
            let count = rowGroups[rowGroup].count
            guard chunk.valueCount == count else {
                throw parquetDamage(
                    "column \"\(column)\" has \(chunk.valueCount) values; expected \(count)")
            }
            let decoder = ParquetValueDecoder(leaf: leaf, column: description)
            var pages = try ParquetPageReader(file, leaf, chunk, limit: limit)
            var dictionary: [ParquetValue]?
            var values: [ParquetValue] = []
            values.reserveCapacity(count)
            while let page = try pages.next(dictionary: { (bytes, count) throws(FileError) in
                dictionary = try decoder.plain(bytes, count: count)
            }) {
                values += try decoder.values(page, dictionary: dictionary, pages)
            }
            return values
        }
        throw FileError(reason: "it has no column \"\(column)\" of values")
    }

    /// The vectors of a row group.
    package struct Vectors: Sendable {
        /// The numbers of the vectors, one vector after the other.
        package let numbers: [Float]
        /// The rows of the group, from 0, that have no vector, in their order.
        package let missing: [Int]
    }

    /// Decodes the vectors of a column in a row group.
    ///
    /// - Parameters:
    ///   - column: The name of the column.
    ///   - rowGroup: The number of the row group.
    /// - Returns: The vectors of the rows whose list is not null; `missingCount(of:)` tells how
    ///   many rows of the file have none.
    /// - Throws: `FileError` if there is no such column, its compression or encoding is
    ///   unsupported, or it is damaged; also for a row that is empty, of another length or not
    ///   finite.
    package func vectors(of column: String, rowGroup: Int) throws(FileError) -> Vectors {
        guard let leaf = leaves.first(where: { $0.name == column && $0.isVector }),
            let dimension = vectorColumns.first(where: { $0.name == column })?.dimension
        else { throw FileError(reason: "it has no column \"\(column)\" of vectors") }
        let chunk = footer.rowGroups[rowGroup].chunks[leaf.index]
        let rows = rowGroups[rowGroup]
        try checkValueCount(of: column)
        var pages = try ParquetPageReader(file, leaf, chunk, limit: limit)
        var decoder = ParquetVectorDecoder(
            leaf, dimension: dimension, firstRow: rows.lowerBound,
            expectedMissing: missingCount(leaf, dimension, rowGroup: rowGroup))
        decoder.reserve(chunk.valueCount)
        var dictionary: [Float]?
        let plain = decoder
        while let page = try pages.next(dictionary: { (bytes, count) throws(FileError) in
            dictionary = try plain.plain(bytes, count: count)
        }) {
            try decoder.append(page, dictionary: dictionary, pages)
        }
        try decoder.finish(rowCount: rows.count)
        return Vectors(numbers: decoder.numbers, missing: decoder.missing)
    }
}
