import Files
import ArgumentParser
import CLIP
import CLIPSearch

/// The vectors that a search compares with a query, and the model that made them.
struct SearchTarget {
    /// The source of the vectors.
    private enum Source {
        case index(FolderIndex)
        case file(NamedEmbeddings)
    }

    private let source: Source
    let model: CLIPModel
    let modelName: String
    /// The filter of the images; empty for a file of vectors.
    let filter: IndexFilter
    /// The folder of the index, or the file of vectors.
    let place: SearchPlace

    /// The precision of the vectors, if an index records it, or of the model.
    var precision: Precision {
        if case .index(let index) = source { index.precision } else { model.precision }
    }

    /// The number of images that are searched.
    var count: Int {
        get throws {
            switch source {
            case .index(let index): try index.count(where: filter)
            case .file(let stored): stored.files.count
            }
        }
    }

    init(_ index: FolderIndex, _ model: CLIPModel, filter: IndexFilter, at place: SearchPlace) {
        (source, self.model, modelName) = (.index(index), model, index.modelName)
        (self.filter, self.place) = (filter, place)
    }

    init(_ stored: NamedEmbeddings, _ model: CLIPModel, name: String, at file: FilePath) {
        var prepared = stored
        prepared.prepareSearches()
        (source, self.model, modelName) = (.file(prepared), model, name)
        (filter, place) = (IndexFilter(), SearchPlace(file))
    }

    /// Returns the images most similar to a vector, best first.
    func search(_ vector: [Float], top: Int, threshold: Float) throws -> [FolderIndex.Match] {
        switch source {
        case .index(let index):
            try index.search(vector, top: top, threshold: threshold, where: filter).map {
                FolderIndex.Match(file: place.shown($0.file), cosine: $0.cosine)
            }
        case .file(let stored):
            try stored.search(vector, top: top, threshold: threshold, threads: model.threads)
        }
    }

    /// Returns the weighted sum of the L2-normalised embeddings of the terms.
    ///
    /// - Parameters:
    ///   - terms: The texts and image files of the query.
    ///   - options: The options of the command.
    /// - Returns: The vector of the query.
    /// - Throws: `Failure` if the terms cancel each other out; `CLIPError` if a term cannot be
    ///   encoded.
    func vector(of terms: [SearchQuery.Term], _ options: Search) throws -> [Float] {
        var vectors: [(weight: Float, vector: [Float])] = []
        for term in terms {
            let path = FilePath(argument: term.operand)
            let embedding: Embeddings
            if ImageCollection.meansImage(path) {
                embedding = try model.encode(
                    images: [options.images.read(term.operand, for: model.preprocessor)])
            } else {
                if !options.common.quiet && path.isLikeImageName {
                    note("clip: search: file not found: \(path); searching for it as a text")
                }
                embedding = try model.encode(
                    texts: [term.operand], truncating: options.textOptions.truncate)
            }
            vectors.append((term.weight, embedding.normalized()[0]))
        }
        guard let sum = SearchQuery.sum(vectors) else {
            throw Failure("the terms of the query cancel each other out", status: 2)
        }
        return sum
    }
}

extension Search {
    /// Returns the texts and files of the query, with their signed weights.
    func terms() throws -> [SearchQuery.Term] { try Self.terms(of: query) }

    /// Returns the terms of the words of a query.
    ///
    /// - Throws: `ValidationError` if operands and signs do not take turns, or a weight is invalid.
    static func terms(
        of words: @autoclosure () throws(SearchQuery.SyntaxError) -> [String]
    ) throws -> [SearchQuery.Term] {
        do throws(SearchQuery.SyntaxError) {
            return try SearchQuery.terms(of: words())
        } catch .twoSigns {
            throw ValidationError(
                "the query has two signs (+ or -) without a text or file between them")
        } catch .missingSign(let word) {
            throw ValidationError(
                "a + or - is missing before \"\(word)\"; quote a text of several words")
        } catch .emptyOperand {
            throw ValidationError("a text of the query is empty; is a shell variable unset?")
        } catch .missingQuote {
            throw ValidationError("a quotation mark of the query has no partner")
        } catch .missingOperand {
            throw ValidationError("the query ends with + or -; a text or file is missing after it")
        } catch .invalidWeight(let weight, let operand) {
            let bounds = SearchQuery.weights
            throw ValidationError(
                """
                "\(operand)" begins with the weight \(weight): expected a number from \
                \(bounds.lowerBound) to \(bounds.upperBound); \(Self.hint(weight, operand))
                """)
        }
    }

    /// Returns the way to write an operand whose weight is invalid.
    private static func hint(_ weight: String, _ operand: String) -> String {
        if weight.hasPrefix("-"), let size = Float(weight.dropFirst()),
            SearchQuery.weights.contains(size)
        {
            return "to subtract, write - \"\(operand.dropFirst())\""
        }
        return "for this text, write \"1:\(operand)\""
    }

    /// Opens the index or the file of vectors, and loads its model.
    ///
    /// For a folder without an index, that of a parent folder is used, if it has files of the
    /// folder. Without such a parent, the index is created first if the user agrees.
    ///
    /// - Parameter old: The target whose model is used again if the index has the same one.
    /// - Returns: The target of the search.
    /// - Throws: `Failure`, `IndexError`, or the errors of loading the model.
    func openTarget(reusing old: SearchTarget? = nil) throws -> SearchTarget {
        let path = FilePath(argument: index)
        try VectorOptions.checkExists(index)
        if let stored = try VectorOptions.storedVectors(at: path, quiet: common.quiet) {
            let loaded =
                try stored.model.map { try model.load($0, of: .file(path), common).model }
                ?? model.load(forVectorsOf: stored.dimension, common)
            let name = try stored.model?.name ?? model.name()
            return SearchTarget(stored, following(loaded), name: name, at: path)
        }
        let place = place()
        if place.subfolder != nil && place.root != old?.place.root && !common.quiet {
            note("clip: search: \(path) has no index; searching it in the index of \(place.root)")
        }
        let found = try openIndex(place.root)
        let filter = try filters.filter(of: found, below: place.subfolder)
        if let old, old.model.fingerprint == found.fingerprint, old.precision == found.precision {
            return SearchTarget(found, old.model, filter: filter, at: place)
        }
        let loaded = try model.load(found.model, of: .index(of: place.root), common).model
        return SearchTarget(found, following(loaded), filter: filter, at: place)
    }

    /// Returns the index that `--index` leads to, or the file of vectors.
    func place() -> SearchPlace {
        let path = FilePath(argument: index)
        guard EmbeddingTable.layout(of: path) == nil else { return SearchPlace(path) }
        return SearchPlace.ofParent(of: path, quiet: common.quiet) ?? SearchPlace(path)
    }

    /// Returns a model with the tokenizer and the preprocessing of the options.
    private func following(_ model: CLIPModel) -> CLIPModel {
        model.following(tokenizer: textOptions.rules, preprocessing: images.preprocess)
    }
}

extension FilePath {
    /// True for a single word with the suffix of an image file.
    fileprivate var isLikeImageName: Bool {
        FolderWalk.imageExtensions.contains(pathExtension)
            && !bytes.contains(UInt8(ascii: " "))
    }
}
