internal import Files
internal import Tensors

/// The vector file of an index, opened for writing and locked against other writers.
///
/// A vector is written to a row that no committed entry refers to: a new row or, once more than a
/// quarter of the rows is free, a free row, whose entry was removed or has another row now. The
/// vector is on the disk before the database refers to its row, so that a process that ends at any
/// moment leaves the old state or the new one.
struct RowWriter {
    /// The least number of rows for which quantised vectors make a search faster.
    static let quantizingFrom = 16_384

    let place: FilePath
    private let file: GrowingFile
    private let dimension: Int
    /// The number of rows, including free ones.
    private(set) var rows = 0
    /// The known free rows, the next one to overwrite last.
    private var free: [Int] = []
    private(set) var generation = 0
    private var hasWrittenOver = false

    /// Makes a writer without rows.
    ///
    /// - Parameters:
    ///   - file: The file that `lock` returned.
    ///   - place: The folder of the index.
    ///   - dimension: The number of dimensions of each vector.
    init(_ file: GrowingFile, in place: FilePath, dimension: Int) {
        (self.file, self.place, self.dimension) = (file, place, dimension)
    }

    /// Opens the vector file of an index for writing, which also locks the index against other
    /// writers.
    static func lock(_ place: FilePath) throws(FileError) -> GrowingFile {
        try GrowingFile(path: place.appending("vectors.f32".utf8).bytes, isAlwaysWhole: true)
    }

    /// The size of the file in bytes.
    var byteCount: Int { file.count }

    /// Removes all rows.
    mutating func clear() throws(FileError) {
        try file.truncate(to: 0)
        (rows, free, generation, hasWrittenOver) = (0, [], 0, false)
    }

    /// Continues from the last commit: drops uncommitted rows of an interrupted writer.
    mutating func resume<Database: RowDatabase>(_ database: Database, rows: Int) throws(FileError) {
        self.rows = rows
        generation = try database.generation()
        try dropUncommitted()
        try findFreeRows(database, count: database.count())
    }

    /// Truncates the file to the committed rows.
    func dropUncommitted() throws(FileError) {
        let size = 4 * dimension * rows
        if file.count != size { try file.truncate(to: size) }
    }

    /// Finds the free rows if none is known and more than a quarter of the rows is free.
    ///
    /// It must not be called between `store` and `commit`.
    mutating func findFreeRows<Database: RowDatabase>(
        _ database: Database, count: Int
    ) throws(FileError) {
        if free.isEmpty && count < rows * 3 / 4 { free = try database.freeRows(of: rows) }
    }

    /// Stores a vector, and returns its row.
    mutating func store(_ vector: [Float]) throws(FileError) -> Int {
        let bytes = littleEndianBytes(of: vector)
        if let row = free.popLast() {
            hasWrittenOver = true
            try file.overwrite(bytes, at: bytes.count * row)
            return row
        }
        try file.append(bytes)
        rows += 1
        return rows - 1
    }

    /// Commits the stored vectors and their entries, atomically.
    ///
    /// - Parameters:
    ///   - database: The database of the index.
    ///   - write: A closure that writes the entries to the database.
    /// - Throws: `FileError`.
    mutating func commit<Database: RowDatabase>(
        to database: Database, _ write: () throws(FileError) -> Void
    ) throws(FileError) {
        try file.synchronize()
        let next = generation + (hasWrittenOver ? 1 : 0)
        let rows = rows
        try database.transaction { () throws(FileError) in
            try write()
            try database.setFact("rows", "\(rows)")
            try database.setFact("generation", "\(next)")
            try database.sealFacts()
        }
        (generation, hasWrittenOver) = (next, false)
    }

    /// A state of the vectors, from which the quantised vectors in `vectors.i8` are made.
    struct Rounding: Sendable {
        let place: FilePath
        let dimension: Int
        let rows: Int
        let generation: Int

        /// Returns true if at least 7/8 of the rows are quantised, and none has been overwritten
        /// since.
        func isUpToDate<Database: RowDatabase>(for type: Database.Type) -> Bool {
            guard let quantized = RowReader<Database>.quantizedVectors(in: place) else {
                return false
            }
            return quantized.generation == generation && quantized.count >= rows - rows / 8
        }

        /// Quantises all rows and writes them to `vectors.i8`.
        func write(threads: Int) throws(FileError) {
            let path = place.appending("vectors.f32".utf8).bytes
            guard
                let mapped = MappedVectors(
                    try MappedFile(path: path), dimension: dimension, count: rows)
            else { return }
            try QuantizedVectors.write(
                mapped, generation: generation, to: place.appending("vectors.i8".utf8).bytes,
                on: WorkspacePool(threads: threads))
        }
    }

    /// The current state; another thread may quantise it while further rows are stored.
    var rounding: Rounding {
        Rounding(place: place, dimension: dimension, rows: rows, generation: generation)
    }
}

extension RowDatabase {
    /// Merges SQLite's log into the database as far as readers permit, and writes the seal of the
    /// index (`IndexSeal`); the caller must have locked the index.
    func seal(_ place: FilePath) throws(FileError) {
        try mergeLogPassively()
        try IndexSeal.write(place, database: Self.fileName)
    }
}
