internal import Files
public import CLIP

// Paths as `String`, or as bytes if they need not be UTF-8, for callers outside the package.

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

    /// Opens the index of a folder whose path is given as bytes, which need not be UTF-8.
    ///
    /// - Parameters:
    ///   - folder: The bytes of the path of the folder.
    ///   - threads: The number of threads of a search; all cores of the process if nil.
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
    ///   - modelName: The name or absolute path from which the model can be loaded again.
    ///   - decoding: The limits and options of decoding.
    ///   - isRebuild: True to make a new index. Searches use the old one until `run` has ended. An
    ///     interrupted rebuild with the same model is continued.
    ///   - isVerifying: True to read every file and compare its digest, even if its size and times
    ///     are unchanged, and to compare the index with its checksums.
    /// - Throws: `IndexError`; `.busy` if another process updates the index, `.otherModel` or
    ///   `.otherDecoding` if its vectors cannot be compared with those of this update.
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
    /// The other parameters are those of the initialiser that takes a `String`.
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
    /// Returns an image, a folder with its subfolders, a tar archive, or a shell pattern as a
    /// source.
    ///
    /// A path is a pattern, such as `photos/*.jpg`, only if no file or folder has that name.
    public static func path(_ path: String) -> Self { .path(FilePath(path)) }

    /// Returns the source at a path that is given as bytes, which need not be UTF-8.
    public static func path(_ path: [UInt8]) -> Self { .path(FilePath(path)) }

    /// Returns an image file as a source, even if its name looks like a pattern or an archive.
    public static func file(_ path: String) -> Self { .file(FilePath(path)) }

    /// Returns the image file at a path that is given as bytes, which need not be UTF-8.
    public static func file(_ path: [UInt8]) -> Self { .file(FilePath(path)) }

    /// Returns the paths in a list file as a source.
    ///
    /// - Parameters:
    ///   - path: The path of the list; each entry may be anything that the source `path` accepts.
    ///   - isNULTerminated: True if entries end with NUL, false if with a newline.
    /// - Returns: The source.
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
    ///   - format: The format of the file.
    /// - Throws: `CLIPError.unreadableFile` if the file cannot be read, lacks the column of
    ///   `format`, or is not standard input and does not begin with valid UTF-8.
    public init(_ path: String, format: Format = .lines) throws(CLIPError) {
        try self.init(FilePath(path), format: format)
    }
}

extension TextCollection.Format {
    /// Creates the format of a file whose texts are in the column `column` (`.csv`, `.tsv`) or
    /// under that JSON key (`.jsonl`, `.ndjson`); nil if `path` has any other suffix.
    public init?(column: String, of path: String) { self.init(column: column, of: FilePath(path)) }
}

extension EmbeddingWriter {
    /// Begins files of embeddings, or continues them.
    ///
    /// - Parameters:
    ///   - path: The path of the file, or of the folder of shards.
    ///   - layout: The format of the rows.
    ///   - dimension: The number of dimensions of each vector.
    ///   - job: A description of the job. Only a job with the same description can be resumed.
    ///   - model: The model that makes the vectors, to be written to the model record; nil for no
    ///     record.
    ///   - resuming: True to continue an unfinished job that has the same description, and to keep
    ///     a finished output.
    /// - Throws: `EmbeddingFileError.unfinished` if a job is unfinished and `resuming` is false,
    ///   `.otherJob` if it has another description, else `.unwritable`.
    public convenience init(
        path: String, layout: Layout, dimension: Int, job: String, model: ModelRecord? = nil,
        resuming: Bool = false
    ) throws(EmbeddingFileError) {
        try self.init(
            path: FilePath(path), layout: layout, dimension: dimension, job: job, model: model,
            resuming: resuming)
    }

    /// Returns true if an earlier writer wrote a row of this name that no previous call has taken.
    ///
    /// Call it once for each input, in order, and append a row only if it returns false. If n rows
    /// of a name were written, the first n calls with that name return true.
    ///
    /// - Parameters:
    ///   - kind: "image" or "text".
    ///   - name: The name of the row.
    /// - Returns: True if the row exists already; false if it must be appended.
    public func takeRow(_ kind: String, _ name: String) -> Bool { takeRow(kind, FilePath(name)) }

    /// Returns true if an earlier writer wrote a row of this name, given as bytes, that no previous
    /// call has taken.
    public func takeRow(_ kind: String, _ name: [UInt8]) -> Bool { takeRow(kind, FilePath(name)) }

    /// Appends a row.
    ///
    /// - Parameters:
    ///   - kind: "image" or "text".
    ///   - name: The name of the row.
    ///   - vector: The vector of the row.
    /// - Throws: `EmbeddingFileError.wrongDimension` or `.unwritable`.
    public func append(
        _ kind: String, _ name: String, vector: [Float]
    ) throws(EmbeddingFileError) {
        try append(kind, FilePath(name), vector: vector)
    }

    /// Appends a row whose name is given as bytes.
    ///
    /// - Throws: `EmbeddingFileError.wrongDimension` or `.unwritable`.
    public func append(
        _ kind: String, _ name: [UInt8], vector: [Float]
    ) throws(EmbeddingFileError) {
        try append(kind, FilePath(name), vector: vector)
    }
}

extension NamedEmbeddings {
    /// Appends a vector, which may have any norm, under a name.
    ///
    /// - Parameters:
    ///   - name: The name of the row.
    ///   - vector: The vector.
    /// - Throws: `VectorError.wrongDimension`.
    public mutating func append(_ name: String, _ vector: [Float]) throws(VectorError) {
        try append(FilePath(name), vector)
    }

    /// Writes the vectors to a `.npy` file, float32 [rows, dimension], and the names beside it.
    ///
    /// The names of `x.npy` are in `x.names.jsonl`.
    ///
    /// - Throws: `EmbeddingFileError.unwritable`, or `.unfinished` if an earlier job has not
    ///   finished the file.
    public func write(npy path: String) throws(EmbeddingFileError) {
        try write(npy: FilePath(path))
    }

    /// Reads vectors that NumPy or `EmbeddingWriter` wrote, float32 [rows, dimension], and the
    /// names beside them.
    ///
    /// Without a file of names, the rows are named by their numbers, from 0.
    ///
    /// - Throws: `CLIPError.unreadableFile`, also for an array of another type or shape, for NaN or
    ///   infinity, if there is not one name for each row, and if the model record is damaged or has
    ///   another dimension.
    public init(npy path: String) throws(CLIPError) { try self.init(npy: FilePath(path)) }
}
