internal import CLIPSearch
internal import Files

/// A query for images of the indexes, from the URL or the body of a request.
struct SearchRequest: Sendable {
    /// A part of the query, before it is encoded.
    enum Operand: Sendable, Equatable {
        case text(String)
        case image(ImageReference)
        /// An image of an index; of any index if `index` is nil.
        case like(ImageID, index: Int?)
    }

    struct Term: Sendable, Equatable {
        let weight: Float
        let operand: Operand
    }

    let terms: [Term]
    /// The largest number of results.
    let top: Int
    /// The numbers or names of the indexes to search; all if empty.
    let indexes: [String]
    /// The least cosine of a result.
    let threshold: Float

    /// The images among the operands, in order.
    var images: [ImageReference] {
        terms.compactMap { term in
            if case .image(let image) = term.operand { image } else { nil }
        }
    }

    static let topRange = 1...1000
    static let defaultTop = 10
    static let termLimit = 16
    /// The largest number of UTF-8 bytes of a query or a text.
    static let longestText = 16384
    static let largestWeight: Float = 1e6
    private static let fieldNames: Set<String> = ["q", "like", "top", "index", "threshold"]

    /// Reads the query of `GET /search`.
    ///
    /// - Throws: `RequestError` with status 400 or 413.
    init(query: [(name: String, value: String)]) throws(RequestError) {
        try self.init(RequestFields(texts: query), files: [], ServerOptions())
    }

    /// Reads the body of `POST /search`: JSON, or a form with the query and image files.
    ///
    /// - Throws: `RequestError` with status 400, 413 or 415.
    init(body request: ServerRequest, _ options: ServerOptions) throws(RequestError) {
        let (fields, files) = try request.fieldsOfBody(Self.fieldNames, file: "image")
        try self.init(fields, files: files, options)
        guard images.count <= options.imagesPerRequest else {
            throw .tooLarge(
                """
                too many images in a request: found \(images.count), the limit is \
                \(options.imagesPerRequest)
                """)
        }
    }

    private init(
        _ fields: RequestFields, files: [[UInt8]], _ options: ServerOptions
    ) throws(RequestError) {
        var terms: [Term] = []
        if let query = try fields.string("q", limit: Self.longestText) {
            terms += try Self.terms(of: query)
        }
        for text in try fields.strings("like", limit: 200) { terms.append(try Self.like(text)) }
        terms += files.map { Term(weight: 1, operand: .image(.bytes($0))) }
        if let value = fields.value("terms") {
            guard let array = value.array else {
                throw .invalid("terms must be an array", parameter: "terms")
            }
            try Self.check(count: terms.count + array.count)
            for (place, term) in array.enumerated() {
                terms.append(try Self.term(term, "terms[\(place)]", options))
            }
        }
        try Self.check(count: terms.count)
        guard !terms.isEmpty else {
            throw .invalid("the query is empty: expected a text or an image", parameter: "q")
        }
        guard terms.allSatisfy({ abs($0.weight) <= Self.largestWeight }) else {
            throw .invalid("a weight exceeds \(Self.largestWeight)")
        }
        self.terms = terms
        top = try fields.integer("top", in: Self.topRange) ?? Self.defaultTop
        threshold = try fields.number("threshold", in: -1...1) ?? -1
        indexes = try fields.strings("index", allowsIntegers: true, limit: 300)
    }

    private static func check(count: Int) throws(RequestError) {
        guard count <= termLimit else {
            throw .invalid("the query has \(count) terms; the limit is \(termLimit)")
        }
    }

    /// Returns the terms of a query in the grammar of `clip search`.
    static func terms(of query: String) throws(RequestError) -> [Term] {
        // An empty query is the query of a search box that was not filled in.
        let words = SearchQuery.words(ofLine: query)
        guard !words.isEmpty else { return [] }
        do {
            return try SearchQuery.terms(of: words).map {
                Term(weight: $0.weight, operand: .text($0.operand))
            }
        } catch {
            let reason =
                switch error {
                case .twoSigns: "it has two signs (+ or -) without a text between them"
                case .missingSign: "a sign (+ or -) is missing between two texts"
                case .emptyOperand: "a text is empty"
                case .missingQuote: "a quotation mark has no partner"
                case .missingOperand: "a text is missing after its last sign (+ or -)"
                case .invalidWeight(let weight, _):
                    "expected a weight above 0 and at most \(largestWeight), found \(weight)"
                }
            throw .invalid("the query cannot be parsed: \(reason)", parameter: "q")
        }
    }

    /// Returns the term of `like=ID`, `like=INDEX/ID` or, with a weight, `like=2:ID`.
    static func like(_ text: String) throws(RequestError) -> Term {
        var (weight, rest): (Float, Substring) = (1, text[...])
        if let colon = text.firstIndex(of: ":") {
            guard let number = Float(text[..<colon]), number.isFinite, number != 0 else {
                throw .invalid(
                    "the weight of like must be a number other than 0", parameter: "like")
            }
            (weight, rest) = (number, text[text.index(after: colon)...])
        }
        return Term(weight: weight, operand: try operand(like: rest))
    }

    private static func operand(like text: Substring) throws(RequestError) -> Operand {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        let number = parts.count == 2 ? Int(parts[0]) : nil
        guard parts.count == 1 || parts.count == 2 && number.map({ $0 >= 0 }) ?? false,
            let id = parts.last.flatMap({ ImageID(String($0)) })
        else {
            throw .invalid("like must be the id of an image in a search result", parameter: "like")
        }
        return .like(id, index: number)
    }

    private static func term(
        _ value: JSONValue, _ name: String, _ options: ServerOptions
    ) throws(RequestError) -> Term {
        let fields = try RequestFields(value, name)
        let weight =
            try fields.number("weight", in: -largestWeight...largestWeight) ?? 1
        guard weight != 0 else { throw .invalid("\(name) has the weight 0", parameter: name) }
        let kinds = ["text", "image", "like"].filter { fields.value($0) != nil }
        guard kinds.count == 1, let kind = kinds.first else {
            throw .invalid(
                "\(name) must have exactly one of text, image and like", parameter: name)
        }
        switch kind {
        case "text":
            guard let text = try fields.string("text", limit: longestText),
                !text.allSatisfy(\.isWhitespace)
            else { throw .invalid("\(name) has an empty text", parameter: name) }
            return Term(weight: weight, operand: .text(text))
        case "image":
            // The size of the body limits the image.
            let text = try fields.string("image", limit: .max) ?? ""
            return Term(
                weight: weight, operand: .image(try ImageReference(text, parameter: name, options)))
        default:
            let text = try fields.string("like", limit: 200) ?? ""
            return Term(weight: weight, operand: try operand(like: text[...]))
        }
    }

    /// The query on one line, in the grammar of `clip search`; images are `[image]`.
    var line: String {
        var line = ""
        for (place, term) in terms.enumerated() {
            let sign = term.weight < 0 ? "- " : place == 0 ? "" : "+ "
            let size = abs(term.weight)
            let shown = size == size.rounded() ? "\(Int(size))" : "\(size)"
            let operand =
                switch term.operand {
                case .text(let text): text
                case .image: "[image]"
                case .like(let id, let index): "like:" + (index.map { "\($0)/" } ?? "") + "\(id)"
                }
            line += (place == 0 ? "" : " ") + sign + (size == 1 ? "" : "\(shown):") + operand
        }
        return line
    }
}
