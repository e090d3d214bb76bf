internal import CLIP
internal import CLIPSearch
internal import Files

/// The endpoints that search the indexes.
enum SearchEndpoints {
    static let all = [
        Endpoint(method: "GET", path: "/search") { request, services in
            try await search(SearchRequest(query: request.query), services)
        },
        Endpoint(method: "POST", path: "/search") { request, services in
            let query = try await services.offloaded(request.body.count) {
                try SearchRequest(body: request, services.options)
            }
            return try await search(query, services)
        },
    ]

    /// An index of a search in its current state.
    private struct Opened: Sendable {
        let served: ServedIndex
        let index: FolderIndex
    }

    private struct Result: Sendable {
        let number: Int
        let item: FolderIndex.Item
        let cosine: Float
    }

    /// Searches the indexes of a request and merges their results by cosine.
    ///
    /// If the request names no index, indexes that cannot be used now are left out, unless none can
    /// be used.
    static func search(
        _ request: SearchRequest, _ services: Services
    ) async throws -> ServerResponse {
        let start = ContinuousClock.now
        let pool = services.indexes
        let selected = try pool.selected(request.indexes)
        let mayOmit = request.indexes.isEmpty && selected.count > 1
        // Once, although each model encodes them.
        let fetched = try await services.images.files(of: request.images)
        var vectors: [(model: ModelRecord, vector: [Float])] = []
        var results: [Result] = []
        var models: [String] = []
        var encoded = 0
        var (searched, omitted, refusal): (Int, [Int], RequestError?) = (0, [], nil)
        for served in selected {
            do {
                let opened = try await pool.threads.run { _ in
                    Opened(served: served, index: try served.current())
                }
                let record = opened.index.model
                let vector: [Float]
                if let known = vectors.first(where: { $0.model == record }) {
                    vector = known.vector
                } else {
                    let sum = try await self.vector(
                        request.terms, fetched.files, for: opened, services)
                    vector = sum.vector
                    encoded += sum.encoded
                    vectors.append((record, vector))
                    models.append(record.publicName)
                }
                results += try await pool.threads.run { _ in
                    try served.nearest(
                        request.top, to: vector, threshold: request.threshold, in: opened.index
                    ).map { Result(number: served.number, item: $0.item, cosine: $0.cosine) }
                }
                searched += opened.index.count
            } catch let error as RequestError where mayOmit && error.isOfIndex {
                omitted.append(served.number)
                refusal = refusal ?? error
            }
        }
        if let refusal, omitted.count == selected.count { throw refusal }
        let (found, names, missing, count) = (results, models, omitted, searched)
        let basePath = services.options.basePath
        // A result has up to 600 bytes, and more if its path is long.
        var response = try await services.offloaded(600 * min(found.count, request.top)) {
            // Results of one index are in order; of equal ones, the lower index comes first.
            let order = found.indices.sorted { (found[$1].cosine, $0) < (found[$0].cosine, $1) }
            let shown = order.prefix(request.top).map { json(found[$0], below: basePath) }
            var members: [JSONValue.Member] = [
                ("query", .string(request.line)), ("results", .array(shown)),
                ("searched", .integer(count)), ("model", .string(names.joined(separator: ", "))),
                ("seconds", .float(Float(start.duration(to: .now).inSeconds))),
            ]
            if !missing.isEmpty {
                members.append(("unavailable", .array(missing.map { .integer($0) })))
            }
            return ServerResponse.json(.object(members))
        }
        response.work = (names.joined(separator: ","), encoded)
        return response
    }

    /// Returns a result whose addresses are those of the server, with its base path.
    private static func json(_ result: Result, below basePath: String) -> JSONValue {
        let id = ImageID(result.item)
        let address = "\(basePath)/image/\(result.number)/\(id)"
        return .object([
            "index": .integer(result.number), "id": .string("\(id)"),
            "path": .string(result.item.path.description), "cosine": .float(result.cosine),
            "width": .integer(result.item.width), "height": .integer(result.item.height),
            "thumbnail": .string("\(address)?size=320"), "original": .string(address),
        ])
    }

    // MARK: the vector of a query

    /// Returns the weighted sum of the normalised vectors of terms, by the model of an index, and
    /// the number of texts and images that were encoded for it.
    ///
    /// `files` are those of the images among the terms, in order.
    ///
    /// - Throws: `RequestError` with status 400 if the terms cancel each other out, 404 for an
    ///   unknown image, 503 if the server has another model than the index; the errors of
    ///   `ServedModel`; `CancellationError`.
    private static func vector(
        _ terms: [SearchRequest.Term], _ files: [[UInt8]], for opened: Opened,
        _ services: Services
    ) async throws -> (vector: [Float], encoded: Int) {
        let record = opened.index.model
        var texts: [String] = []
        var images: [[UInt8]] = []
        var nextFile = files.makeIterator()
        var stored: [Int: [Float]] = [:]
        for (place, term) in terms.enumerated() {
            switch term.operand {
            case .text(let text): texts.append(text)
            case .image: if let file = nextFile.next() { images.append(file) }
            case .like(let id, let number):
                let found = try await services.indexes.threads.run { _ in
                    try like(id, number, record, services.indexes)
                }
                switch found {
                case .vector(let vector): stored[place] = vector
                case .file(let bytes): images.append(bytes)
                }
            }
        }
        var textVectors: [[Float]] = []
        var imageVectors: [[Float]] = []
        if !texts.isEmpty || !images.isEmpty {
            let model: ServedModel
            do {
                model = try await services.models.model(matching: record)
            } catch let error as RequestError where error.code == "unknown_model" {
                // The name in the index may be a path of the server.
                throw RequestError(
                    503, "model_unavailable",
                    "\(opened.served.title) needs a model that is missing: \(record.publicName)")
            }
            try opened.served.check(model, for: opened.index)
            if !texts.isEmpty {
                textVectors = try await model.embeddings(ofTexts: texts, truncating: false).vectors
            }
            if !images.isEmpty {
                imageVectors = try await model.embeddings(ofImages: images).map(\.vector)
            }
        }
        var vectors: [(weight: Float, vector: [Float])] = []
        var (nextText, nextImage) = (textVectors.makeIterator(), imageVectors.makeIterator())
        for (place, term) in terms.enumerated() {
            let vector: [Float]?
            if let known = stored[place] {
                vector = known
            } else if case .text = term.operand {
                vector = nextText.next()
            } else {
                vector = nextImage.next()
            }
            if let vector { vectors.append((term.weight, vector)) }
        }
        guard let sum = SearchQuery.sum(vectors) else {
            throw RequestError.invalid("the terms of the query cancel each other out")
        }
        return (sum, texts.count + images.count)
    }

    /// The vector of an indexed image, or the bytes of its file for another model.
    private enum Like: Sendable {
        case vector([Float])
        case file([UInt8])
    }

    /// Looks up an image in one index, or in all of them.
    private static func like(
        _ id: ImageID, _ number: Int?, _ record: ModelRecord, _ pool: IndexPool
    ) throws(RequestError) -> Like {
        let indexes = if let number { [try pool.index(number)] } else { pool.indexes }
        var file: [UInt8]?
        var failure: RequestError?
        for served in indexes {
            do throws(RequestError) {
                let (index, item) = try served.item(id)
                if index.model.isComparable(to: record), let vector = index.vector(of: item) {
                    return .vector(vector)
                }
                if file == nil { file = try served.contents(of: item, in: index) }
            } catch {
                if failure == nil || failure?.status == 404 { failure = error }
            }
        }
        if let file { return .file(file) }
        throw failure ?? IndexPool.unknownImage
    }
}

extension RequestError {
    /// True if only the index is at fault, or its model, so that other indexes can be searched.
    fileprivate var isOfIndex: Bool {
        ["index_unavailable", "other_model", "model_unavailable"].contains(code)
    }
}
