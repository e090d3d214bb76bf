@testable import CLIPSearch
@testable import Files

extension Target {
    /// Reads all values and vectors of a Parquet file.
    func readParquet(_ bytes: [UInt8]) {
        guard let mapped = try? MappedFile(copying: bytes), let file = try? ParquetFile(mapped)
        else { return }
        precondition(file.rowCount <= 1 << 20 + 8 * bytes.count)
        _ = ModelRecord(metadata: file.metadata)
        // Many empty row groups would take long.
        for group in file.rowGroups.indices.prefix(8) {
            let rows = file.rowGroups[group].count
            for column in file.columns.prefix(8) {
                guard let values = try? file.values(of: column.name, rowGroup: group) else {
                    continue
                }
                precondition(values.count == rows)
            }
            for column in file.vectorColumns.prefix(8) {
                guard let vectors = try? file.vectors(of: column.name, rowGroup: group) else {
                    continue
                }
                let count = rows - vectors.missing.count
                precondition(vectors.numbers.count == count * column.dimension)
                precondition(vectors.numbers.allSatisfy(\.isFinite))
            }
        }
    }
}
