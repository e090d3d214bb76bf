import Files
import ArgumentParser
import CLIP
import CLIPSearch

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Vectors of an index or a file.
struct VectorOptions: ParsableArguments {
    @Argument(
        help: ArgumentHelp(
            "A folder that clip index has indexed, or the .npy of clip encode.",
            valueName: "vectors"),
        completion: .file(extensions: ["npy"]))
    var source: String

    /// Refuses what is neither a folder nor a file, as if it were an index.
    static func checkExists(_ source: String) throws {
        // A name that is not UTF-8 is left to the index itself.
        guard !source.unicodeScalars.contains("\u{FFFD}"),
            !FileManager.default.fileExists(atPath: source)
        else { return }
        throw Failure(
            """
            cannot read \(source): No such file or directory; give a folder that clip index has \
            indexed, or the .npy of clip encode
            """)
    }

    func load(_ threading: ThreadOptions) throws -> Vectors { try Self.load(source, threading) }

    static func load(_ source: String, _ threading: ThreadOptions) throws -> Vectors {
        try checkExists(source)
        let path = FilePath(argument: source)
        if path.pathExtension == "npy" {
            let stored = try NamedEmbeddings(npy: path)
            return Vectors(
                names: stored.files, embeddings: stored.embeddings,
                made: stored.model.map { ($0, .npy(path)) })
        }
        let index = try FolderIndex(folder: path, threads: threading.wanted())
        let contents = try index.contents()
        guard !contents.images.isEmpty else { throw Failure("the index of \(path) has no images") }
        return Vectors(
            names: contents.images.map(\.file), embeddings: contents.embeddings,
            images: contents.images, index: index,
            made: (index.model, .index(of: path)))
    }
}

/// Vectors with the names of what they are of.
struct Vectors {
    let names: [FilePath]
    let embeddings: Embeddings
    /// What an index knows of them.
    var images: [IndexedImage]?
    var index: FolderIndex?
    /// The model that made them, where that is known.
    var made: (by: ModelRecord, vectors: StoredVectors)?

    /// Returns the vectors without some rows.
    func without(_ rows: Set<Int>) -> Vectors {
        guard !rows.isEmpty else { return self }
        let kept = names.indices.filter { !rows.contains($0) }
        return Vectors(
            names: kept.map { names[$0] },
            embeddings: Embeddings(
                rows: kept.flatMap { embeddings[$0] }, dimension: embeddings.dimension),
            images: images.map { images in kept.map { images[$0] } }, index: index,
            made: made)
    }

    /// The words of a page for the model that made the vectors; none if it is not known.
    func modelWords(given options: ModelOptions) -> [String] {
        if let model = made?.by { return [ClipCommand.modelWords(model.name, model.precision)] }
        return options.isGiven
            ? ((try? options.name()).map {
                [ClipCommand.modelWords($0, options.precision ?? .fp32)]
            } ?? [])
            : []
    }

    /// The model that labels are encoded with, and the classifier of them.
    func classifier(
        _ labels: [String], _ prompts: PromptOptions, _ texts: TextOptions, _ model: ModelOptions,
        _ common: CommonOptions
    ) throws -> ZeroShotClassifier {
        let loaded =
            try made.map { try model.load($0.by, of: $0.vectors, common).model }
            ?? model.load(forVectorsOf: embeddings.dimension, common)
        return try prompts.classifier(
            loaded.following(tokenizer: texts.tokenizer.rules), labels, texts)
    }
}

extension ModelOptions {
    /// The model that the user names for a file of vectors, which does not say what made them.
    ///
    /// - Throws: `Failure` if no model is named, or one of another dimension.
    func load(forVectorsOf dimension: Int, _ common: CommonOptions) throws -> CLIPModel {
        guard isGiven else {
            throw Failure(
                "no model: a file of vectors does not say what made it; give that with --model",
                status: 2)
        }
        let model = try load(common)
        guard model.configuration.embeddingDimension == dimension else {
            throw Failure(
                """
                the vectors have \(dimension) numbers, those of \(try name()) \
                \(model.configuration.embeddingDimension): give the model that made them
                """)
        }
        return model
    }
}
