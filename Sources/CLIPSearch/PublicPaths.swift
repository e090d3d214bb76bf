internal import Files
public import CLIP

// Paths as `String`, or as bytes where names need not be UTF-8, for callers outside the package.

extension FolderIndex {
    /// Opens the index of a folder.
    ///
    ///     let index = try FolderIndex(folder: "photos")
    ///     let dog = try model.encode(text: "a dog")
    ///     for match in try index.search(dog, top: 10) { print(match.cosine, match.path) }
    ///
    /// - Parameters:
    ///   - folder: The path of the folder.
    ///   - threads: The number of threads of a search; all cores of the process if nil.
    /// - Throws: `IndexError`.
    public init(folder: String, threads: Int? = nil) throws(IndexError) {
        try self.init(folder: FilePath(folder), threads: threads)
    }

    /// Opens the index of a folder whose path is given as bytes.
    ///
    /// - Throws: `IndexError`.
    public init(folder: [UInt8], threads: Int? = nil) throws(IndexError) {
        try self.init(folder: FilePath(folder), threads: threads)
    }
}

extension IndexUpdate {
    /// Prepares an update of the index of a folder.
    ///
    ///     let update = try IndexUpdate(folder: "photos", model: model, modelName: "ViT-B/32")
    ///     print(try update.run().encoded)
    ///
    /// - Parameters:
    ///   - folder: The path of the folder.
    ///   - model: The model that encodes the images.
    ///   - modelName: The name or absolute path under which the model is found again.
    ///   - decoding: The limits and choices of decoding.
    ///   - isRebuild: True to make the index anew; the old one is searched until `run` has ended, and an
    ///     interrupted rebuild with the same model is continued.
    ///   - isVerifying: True to compare the content of every file with what was indexed, and the index
    ///     with its checksums.
    /// - Throws: `IndexError`.
    public convenience init(
        folder: String, model: CLIPModel, modelName: String,
        decoding: RGBImage.DecodingOptions = RGBImage.DecodingOptions(), isRebuild: Bool = false,
        isVerifying: Bool = false
    ) throws(IndexError) {
        try self.init(
            folder: FilePath(folder), model: model, modelName: modelName, decoding: decoding,
            isRebuild: isRebuild, isVerifying: isVerifying)
    }

    /// Prepares an update of the index of a folder whose path is given as bytes.
    ///
    /// - Throws: `IndexError`.
    public convenience init(
        folder: [UInt8], model: CLIPModel, modelName: String,
        decoding: RGBImage.DecodingOptions = RGBImage.DecodingOptions(), isRebuild: Bool = false,
        isVerifying: Bool = false
    ) throws(IndexError) {
        try self.init(
            folder: FilePath(folder), model: model, modelName: modelName, decoding: decoding,
            isRebuild: isRebuild, isVerifying: isVerifying)
    }
}

extension ImageCollection.Source {
    /// An image; a folder with all folders in it; a tar archive; or, if nothing has that name, a pattern
    /// of the shell such as `photos/*.jpg`.
    public static func path(_ path: String) -> Self { .path(FilePath(path)) }

    /// The same of a path that is given as bytes.
    public static func path(_ path: [UInt8]) -> Self { .path(FilePath(path)) }

    /// One image file, whatever its name looks like.
    public static func file(_ path: String) -> Self { .file(FilePath(path)) }

    /// The same of a path that is given as bytes.
    public static func file(_ path: [UInt8]) -> Self { .file(FilePath(path)) }

    /// The paths that a file names, one a line or, if told, ended by NUL.
    public static func list(_ path: String, isNULTerminated: Bool = false) -> Self {
        .list(FilePath(path), isNULTerminated: isNULTerminated)
    }
}

extension TextCollection {
    /// Opens a file of texts.
    ///
    ///     var texts = try TextCollection("captions.txt")
    ///     while let text = try texts.next() { print(text) }
    ///
    /// - Parameters:
    ///   - path: The path of the file; `-` is standard input.
    ///   - format: How the file holds texts.
    /// - Throws: `CLIPError.unreadableFile` if the file cannot be read or has no such column.
    public init(_ path: String, format: Format = .lines) throws(CLIPError) {
        try self.init(FilePath(path), format: format)
    }
}

extension TextCollection.Format {
    /// A column of a file whose name ends in `.csv`, `.tsv`, `.jsonl` or `.ndjson`; nil for any other
    /// name.
    public init?(column: String, of path: String) { self.init(column: column, of: FilePath(path)) }
}

extension EmbeddingWriter {
    /// Begins files of embeddings, or continues them.
    ///
    /// - Parameters:
    ///   - path: The path of the file, or of the folder of shards.
    ///   - layout: The format of the rows.
    ///   - dimension: The number of dimensions of each vector.
    ///   - job: A description of the job. Rows of different jobs do not belong together.
    ///   - model: The model that makes the vectors, to be written beside `.npy`.
    ///   - resuming: True to continue what is there of such a job.
    /// - Throws: `EmbeddingFileError.unfinished` if a job began the file and is not to be resumed,
    ///   `.otherJob` if it is not this job, else `.unwritable`.
    public convenience init(
        path: String, layout: Layout, dimension: Int, job: String, model: ModelRecord? = nil,
        resuming: Bool = false
    ) throws(EmbeddingFileError) {
        try self.init(
            path: FilePath(path), layout: layout, dimension: dimension, job: job, model: model,
            resuming: resuming)
    }

    /// Takes a row of this name off those that earlier writers wrote.
    ///
    /// Call it once for each input, in order: it skips as many inputs of a name as there are rows of
    /// that name.
    ///
    /// - Parameters:
    ///   - kind: "image" or "text".
    ///   - name: The name of the row.
    /// - Returns: False if no such row is left, so that this one is to be appended.
    public func takeRow(_ kind: String, _ name: String) -> Bool { takeRow(kind, FilePath(name)) }

    /// Appends a row.
    ///
    /// - Parameter kind: "image" or "text".
    /// - Throws: `EmbeddingFileError.wrongDimension` or `.unwritable`.
    public func append(
        _ kind: String, _ name: String, vector: [Float]
    ) throws(EmbeddingFileError) {
        try append(kind, FilePath(name), vector: vector)
    }
}

extension NamedEmbeddings {
    /// Adds a vector, normalised or not.
    ///
    /// - Throws: `VectorError.wrongDimension`.
    public mutating func append(_ name: String, _ vector: [Float]) throws(VectorError) {
        try append(FilePath(name), vector)
    }

    /// Writes NumPy's `.npy`, float32 [rows, dimension], and the names beside it: `x.names.jsonl` beside
    /// `x.npy`.
    ///
    /// - Throws: `EmbeddingFileError.unwritable`.
    public func write(npy path: String) throws(EmbeddingFileError) {
        try write(npy: FilePath(path))
    }

    /// Reads `.npy`, float32 [rows, dimension], as NumPy or `EmbeddingWriter` wrote it, and the names that
    /// lie beside it; without these, rows are named by their numbers.
    ///
    /// - Throws: `CLIPError.unreadableFile` for any other array, and if there are not as many names as
    ///   rows.
    public init(npy path: String) throws(CLIPError) { try self.init(npy: FilePath(path)) }
}
