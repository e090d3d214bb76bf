internal import Files

// Writes and reads Parquet files for Scripts/parity/parquet.py, which builds this with the sources
// of Sources/CLIPSearch/Parquet.
//
//   write FOLDER        the files that the script checks: ROWS-DIMENSION-GROUP.parquet, and
//                       ours.parquet, the rows of Tests/Fixtures/parquet
//   read FILE           prints the values of a file, one a line, and the bits of its vectors
//   speed FILE          writes 1,000,000 rows of 512 dimensions, and prints the seconds

func values(row: Int) -> [ParquetValue] {
    let isExact = row % 3 != 1
    let name = isExact ? Array("é\(row)".utf8) : Array("n\(row)".utf8) + [0xFF]
    return [
        .string(name), isExact ? .null : .bytes(name),
        row % 5 == 0 ? .null : .integer(Int64(row) - 50),
        row % 7 == 0 ? .null : .double(Double(row) / 3),
        row % 2 == 0 ? .null : .boolean(row % 4 == 1), .boolean(row % 3 == 0),
    ]
}

func write(_ folder: String) throws(FileError) {
    let sizes = [
        (0, 4, 10), (1, 1, 10), (1000, 3, 64), (100, 512, 7), (100_000, 1, 65_536),
        (3000, 512, 65_536),
    ]
    for (rows, dimension, group) in sizes {
        let path = "\(folder)/\(rows)-\(dimension)-\(group).parquet"
        let file = try GrowingFile(path: Array(path.utf8))
        let writer = try ParquetWriter(
            file,
            columns: [
                ParquetColumn(name: "path", kind: .string, isOptional: false),
                ParquetColumn(name: "path_bytes", kind: .bytes, isOptional: true),
                ParquetColumn(name: "integer", kind: .integer, isOptional: true),
                ParquetColumn(name: "double", kind: .double, isOptional: true),
                ParquetColumn(name: "boolean", kind: .boolean, isOptional: true),
                ParquetColumn(name: "required", kind: .boolean, isOptional: false),
            ], vectorColumn: "embedding", dimension: dimension,
            metadata: [(key: "clip.model", value: "tiny")], rowGroupSize: group)
        // Batches that do not fit the row groups.
        for start in stride(from: 0, to: rows, by: 37) {
            let batch = start..<min(rows, start + 37)
            let numbers = (start * dimension)..<(batch.upperBound * dimension)
            let vectors = numbers.map { Float($0) / 7 }
            try writer.append(rows: batch.map(values), vectors: vectors[...])
        }
        try writer.finish()
        try file.finish()
    }
}

/// Writes the rows of Tests/Fixtures/parquet.
func writeFixture(_ path: String) throws(FileError) {
    let file = try GrowingFile(path: Array(path.utf8))
    let writer = try ParquetWriter(
        file,
        columns: [
            ParquetColumn(name: "path", kind: .string, isOptional: false),
            ParquetColumn(name: "label", kind: .string, isOptional: true),
            ParquetColumn(name: "count", kind: .integer, isOptional: true),
            ParquetColumn(name: "score", kind: .double, isOptional: true),
            ParquetColumn(name: "flag", kind: .boolean, isOptional: true),
        ], vectorColumn: "embedding", dimension: 5,
        metadata: [(key: "clip.model", value: "tiny")], rowGroupSize: 16)
    for row in 0..<40 {
        let values: [ParquetValue] = [
            .string(Array("photos/ü\(row).jpg".utf8)),
            row % 4 == 0 ? .null : .string(Array("label \(row % 3)".utf8)),
            row % 5 == 0 ? .null : .integer(Int64(row) - 20),
            row % 7 == 0 ? .null : .double(Double(row) / 4),
            row % 6 == 0 ? .null : .boolean(row % 2 == 0),
        ]
        let vector = (0..<5).map { Float(37 * (5 * row + $0) % 101 - 50) / 64 }
        try writer.append(values, vector: vector)
    }
    try writer.finish()
    try file.finish()
}

func read(_ path: String) throws(FileError) {
    let file = try ParquetFile(FilePath(path))
    print("rows", file.rowCount)
    for group in file.rowGroups.indices {
        for column in file.columns {
            for value in try file.values(of: column.name, rowGroup: group) {
                switch value {
                case .null: print(column.name, "null")
                case .string(let bytes), .bytes(let bytes):
                    print(column.name, bytes.map { "\($0)" }.joined(separator: ","))
                case .integer(let number): print(column.name, number)
                case .double(let number): print(column.name, number.bitPattern)
                case .boolean(let isTrue): print(column.name, isTrue)
                }
            }
        }
        for column in file.vectorColumns {
            let vectors = try file.vectors(of: column.name, rowGroup: group)
            for number in vectors.numbers { print(column.name, number.bitPattern) }
        }
    }
}

func speed(_ path: String) throws(FileError) {
    let (rows, dimension, batch) = (1_000_000, 512, 256)
    let vectors = (0..<(batch * dimension)).map { Float($0) * 0.001 }
    let start = ContinuousClock.now
    let file = try GrowingFile(path: Array(path.utf8))
    let writer = try ParquetWriter(
        file, columns: [ParquetColumn(name: "path", kind: .string, isOptional: false)],
        vectorColumn: "embedding", dimension: dimension, metadata: [])
    for first in stride(from: 0, to: rows, by: batch) {
        let numbers = first..<min(rows, first + batch)
        try writer.append(
            rows: numbers.map { [.string(Array("photos/\($0).jpg".utf8))] },
            vectors: vectors[..<(numbers.count * dimension)])
    }
    try writer.finish()
    try file.finish()
    print((ContinuousClock.now - start) / .seconds(1))
}

let (mode, path) = (CommandLine.arguments[1], CommandLine.arguments[2])
do {
    switch mode {
    case "write":
        try write(path)
        try writeFixture("\(path)/ours.parquet")
    case "read": try read(path)
    default: try speed(path)
    }
} catch {
    print("error:", error.reason)
}
