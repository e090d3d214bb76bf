internal import Files
internal import Tensors

/// The file of the vectors of an index, opened for writing; who has it open is the only writer.
///
/// A vector is written to a row that no committed entry has: behind the others, or, once a quarter
/// of the rows is free, in the place of a removed one. It is on the disk before the database names
/// it, so that a process that ends at any moment leaves the old state or the new one.
struct RowWriter {
    let place: FilePath
    private let file: GrowingFile
    private let dimension: Int
    /// The number of rows, free ones included.
    private(set) var rows = 0
    /// Rows of entries that are gone, the next to be written over at the end.
    private var free: [Int] = []
    private(set) var generation = 0
    private var hasWrittenOver = false

    /// - Parameter file: The file of `lock`.
    init(_ file: GrowingFile, in place: FilePath, dimension: Int) {
        (self.file, self.place, self.dimension) = (file, place, dimension)
    }

    /// Takes the writer's lock of an index: whoever has the vectors is the one that writes.
    static func lock(_ place: FilePath) throws(FileError) -> GrowingFile {
        try GrowingFile(path: place.appending("vectors.f32".utf8).bytes, isAlwaysWhole: true)
    }

    /// The size of the file in bytes.
    var byteCount: Int { file.count }

    /// Drops all rows.
    mutating func clear() throws(FileError) {
        try file.truncate(to: 0)
        (rows, free, generation, hasWrittenOver) = (0, [], 0, false)
    }

    /// Goes on from the last commit: drops rows that an interrupted writer left behind its own.
    mutating func resume<Database: RowDatabase>(_ database: Database, rows: Int) throws(FileError) {
        self.rows = rows
        generation = try database.generation()
        try dropUncommitted()
        try findFreeRows(database, count: database.count())
    }

    /// Drops the rows behind the committed ones, which no entry has.
    func dropUncommitted() throws(FileError) {
        let size = 4 * dimension * rows
        if file.count != size { try file.truncate(to: size) }
    }

    /// Finds the rows without entries if there are none to write over, but many of `count` entries
    /// are gone; nothing may have been stored since the last commit.
    mutating func findFreeRows<Database: RowDatabase>(
        _ database: Database, count: Int
    ) throws(FileError) {
        if free.isEmpty && count < rows * 3 / 4 { free = try database.freeRows(of: rows) }
    }

    /// Returns the row in which a vector was stored.
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

    /// Makes the stored vectors and their entries last, all or nothing.
    ///
    /// - Parameter write: Writes the entries to the database.
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

    /// The vectors as far as they are quantised in `vectors.i8`.
    struct Rounding: Sendable {
        let place: FilePath
        let dimension: Int
        let rows: Int
        let generation: Int

        /// True if nearly all rows are there quantised.
        func isUpToDate<Database: RowDatabase>(for type: Database.Type) -> Bool {
            guard let quantized = RowReader<Database>.quantizedVectors(in: place) else {
                return false
            }
            return quantized.generation == generation && quantized.count >= rows - rows / 8
        }

        /// Quantises all rows.
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

    /// The state to quantise, which another thread may do while rows are stored.
    var rounding: Rounding {
        Rounding(place: place, dimension: dimension, rows: rows, generation: generation)
    }
}

extension RowDatabase {
    /// Seals a committed state; the caller holds the lock of the index.
    func seal(_ place: FilePath) throws(FileError) {
        try mergeLogPassively()
        try IndexSeal.write(place, database: Self.fileName)
    }
}
