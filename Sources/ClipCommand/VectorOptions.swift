import Files
import ArgumentParser
import CLIP
import CLIPSearch

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The argument that names an index or a file of vectors.
struct VectorOptions: ParsableArguments {
    @Argument(
        help: ArgumentHelp(
            """
            Read the vectors of an indexed folder, of an .npy file from clip encode, of Parquet, \
            or of a folder of them (shards, Spark, clip-retrieval).
            """, valueName: "vectors"),
        completion: .file(extensions: ["npy", "parquet"]))
    var source: String

    /// Rejects a path at which nothing exists.
    ///
    /// - Throws: `Failure` if there is neither a folder nor a file.
    static func checkExists(_ source: String) throws {
        // Foundation cannot check a name that is not UTF-8; opening the index does.
        guard !source.unicodeScalars.contains("\u{FFFD}"),
            !FileManager.default.fileExists(atPath: source)
        else { return }
        throw Failure(
            """
            cannot read \(source): No such file or directory; give an indexed folder, or an .npy \
            or Parquet file from clip encode
            """)
    }

    /// Reads the vectors of a file, or of a folder of files; nil for a folder to be opened as an
    /// index.
    ///
    /// - Throws: `CLIPError.unreadableFile`.
    static func storedVectors(at path: FilePath, quiet: Bool) throws -> NamedEmbeddings? {
        // Reading a whole .npy at once takes less time.
        if EmbeddingTable.layout(of: path) == .npy { return try NamedEmbeddings(npy: path) }
        return try table(at: path, quiet: quiet).map { try NamedEmbeddings($0) }
    }

    /// Opens a file, or a folder of files, with vectors; nil for a folder to be opened as an index.
    ///
    /// A note counts the rows without a vector, unless `quiet` is true.
    ///
    /// - Throws: `CLIPError.unreadableFile`.
    static func table(at path: FilePath, quiet: Bool) throws -> EmbeddingTable? {
        guard EmbeddingTable.layout(of: path) != nil else { return nil }
        let table = try EmbeddingTable(path)
        if table.missingCount > 0 && !quiet {
            note("clip: left out \(counted(table.missingCount, "row")) of \(path) without a vector")
        }
        return table
    }

    func load(_ threading: ThreadOptions, quiet: Bool) throws -> Vectors {
        try Self.load(source, threading, quiet: quiet)
    }

    static func load(
        _ source: String, _ threading: ThreadOptions, quiet: Bool
    ) throws -> Vectors {
        try checkExists(source)
        let path = FilePath(argument: source)
        if let stored = try storedVectors(at: path, quiet: quiet) {
            return Vectors(
                names: stored.files, embeddings: stored.embeddings,
                origin: stored.model.map { ($0, .file(path)) })
        }
        let index = try FolderIndex(folder: path, threads: threading.wanted())
        let contents = try index.contents()
        guard !contents.images.isEmpty else { throw Failure("the index of \(path) is empty") }
        return Vectors(
            names: contents.images.map(\.file), embeddings: contents.embeddings,
            images: contents.images, index: index,
            origin: (index.model, .index(of: path)))
    }
}

/// Vectors of images, with their paths.
struct Vectors {
    let names: [FilePath]
    let embeddings: Embeddings
    /// The records of the index, one per vector; nil for a file of vectors.
    var images: [IndexedImage]?
    var index: FolderIndex?
    /// The model that made the vectors; nil if it is not recorded.
    var origin: (model: ModelRecord, vectors: StoredVectors)?

    /// Returns the vectors except those of the given rows.
    func without(_ rows: Set<Int>) -> Vectors {
        guard !rows.isEmpty else { return self }
        let kept = names.indices.filter { !rows.contains($0) }
        return Vectors(
            names: kept.map { names[$0] },
            embeddings: Embeddings(
                rows: kept.flatMap { embeddings[$0] }, dimension: embeddings.dimension),
            images: images.map { images in kept.map { images[$0] } }, index: index,
            origin: origin)
    }

    /// Returns the description of the model for a page; empty if the model is unknown.
    func modelDescription(given options: ModelOptions) -> [String] {
        if let model = origin?.model {
            return [ClipCommand.modelDescription(model.name, model.precision)]
        }
        return options.isGiven
            ? ((try? options.name()).map {
                [ClipCommand.modelDescription($0, options.precision ?? .fp32)]
            } ?? [])
            : []
    }

    /// Creates a classifier of labels with the model that made the vectors.
    ///
    /// - Throws: `Failure` if the model is neither recorded nor given, or if the given one differs
    ///   from the recorded one; `CLIPError` if it cannot be loaded.
    func classifier(
        _ labels: [String], _ prompts: PromptOptions, _ texts: TextOptions, _ model: ModelOptions,
        _ common: CommonOptions
    ) throws -> ZeroShotClassifier {
        let loaded =
            try origin.map { try model.load($0.model, of: $0.vectors, common).model }
            ?? model.load(forVectorsOf: embeddings.dimension, common)
        return try prompts.classifier(
            loaded.following(tokenizer: texts.rules), labels, texts)
    }
}

extension ModelOptions {
    /// Loads the model that `--model` or `CLIP_MODEL` names, for a file of vectors without a record
    /// of its model.
    ///
    /// - Throws: `Failure` if no model is named, or if its embeddings have another dimension; the
    ///   errors of loading the model.
    func load(forVectorsOf dimension: Int, _ common: CommonOptions) throws -> CLIPModel {
        guard isGiven else {
            throw Failure(
                "the file of vectors does not record its model; name the model with --model",
                status: 2)
        }
        let model = try load(common)
        guard model.configuration.embeddingDimension == dimension else {
            throw Failure(
                """
                expected \(dimension) dimensions, as the vectors have, found \
                \(model.configuration.embeddingDimension) in \(try name()): give the model that \
                made the vectors
                """)
        }
        return model
    }
}
