internal import CLIP
internal import Files
internal import Synchronization

/// The endpoint that classifies an image with labels of the client's choice.
enum ZeroShotEndpoints {
    static let all = [
        Endpoint(method: "POST", path: "/zeroshot") { request, services in
            let question = try await services.offloaded(request.body.count) {
                try ZeroShotRequest(body: request, services.options)
            }
            return try await classify(question, services)
        }
    ]

    /// The inputs on which the embeddings of labels depend.
    private struct Key: Hashable {
        let model: String
        let labels: [String]
        let templates: [String]
    }

    /// The embeddings of labels, and the model that made them.
    private struct Entry: Sendable {
        let embeddings: Embeddings
        /// The identity of the model; a later model of the same name may have other weights.
        let model: WeakModel
    }

    /// The label embeddings that were last used, 16 MB.
    private static let cache = RecentCache<Key, Entry>(limit: 16 << 20)
    /// The thread that averages the embeddings of prompts, for which it tokenizes them.
    private static let threads = CallThreads(atMost: 1)

    private static func classify(
        _ request: ZeroShotRequest, _ services: Services
    ) async throws -> ServerResponse {
        let model = try await services.models.model(named: request.model, for: .answer)
        // Read first, so that an unreadable image is reported at once.
        let fetched = try await services.images.files(of: [request.image])
        let image = try await model.embeddings(ofImages: fetched.files, normalized: false)
        let (labels, encoded) = try await labelEmbeddings(request, model)
        let predictions: [Prediction]
        do {
            let vector = image.first?.vector ?? []
            predictions =
                try ZeroShotClassifier(
                    model: model.model, labels: request.labels, labelEmbeddings: labels
                ).predictions(
                    of: Embeddings(values: vector, dimension: max(1, vector.count)),
                    top: request.top
                ).first ?? []
        } catch {
            throw RequestError(500, "internal", "the image cannot be classified")
        }
        var response = ServerResponse.json(
            .object([
                "model": .string(model.name), "predictions": .array(predictions.map(json)),
            ]))
        response.work = (model.name, 1 + encoded)
        return response
    }

    /// Returns the normalised embeddings of the labels, from the cache if they are there, and the
    /// number of texts that were encoded.
    ///
    /// - Throws: The errors of `ServedModel`; that of a text that is too long names the label.
    private static func labelEmbeddings(
        _ request: ZeroShotRequest, _ model: ServedModel
    ) async throws -> (embeddings: Embeddings, encoded: Int) {
        let key = Key(model: model.name, labels: request.labels, templates: request.templates)
        if let entry = cache[key], entry.model.refers(to: model) {
            return (entry.embeddings, 0)
        }
        let prompts = ZeroShotClassifier.prompts(
            labels: request.labels, templates: request.templates)
        let vectors: [[Float]]
        do {
            vectors = try await model.embeddings(
                ofTexts: prompts, truncating: false, normalized: false
            ).vectors
        } catch let error as RequestError where error.status == 400 {
            throw try await tooLong(prompts, request, model) ?? error
        }
        let embeddings: Embeddings
        do {
            embeddings = try await threads.run { _ in
                try ZeroShotClassifier.labelEmbeddings(
                    ofPrompts: vectors, model.model, labels: request.labels,
                    templates: request.templates)
            }
        } catch let error as CLIPError where error != .noThread {
            throw RequestError.invalid("the labels cannot be encoded: \(error)")
        }
        let texts = (request.labels + request.templates).reduce(0) { $0 + $1.utf8.count + 32 }
        cache.store(
            Entry(embeddings: embeddings, model: WeakModel(model)), for: key,
            cost: 4 * embeddings.values.count + texts)
        return (embeddings, prompts.count)
    }

    /// Returns the error of the first prompt that has too many tokens.
    ///
    /// - Parameters:
    ///   - prompts: The prompts of the request, in the order of the labels.
    ///   - request: The request, which has the labels and templates of the prompts.
    ///   - served: The model, whose tokenizer counts the tokens.
    /// - Returns: An error that names the label; nil if no prompt has too many tokens.
    /// - Throws: `CLIPError` if there is no thread or no usable tokenizer; `CancellationError`.
    private static func tooLong(
        _ prompts: [String], _ request: ZeroShotRequest, _ served: ServedModel
    ) async throws -> RequestError? {
        let model = served.model
        return try await threads.run { _ in
            for (index, prompt) in prompts.enumerated() {
                guard let excess = try excess(of: prompt, model) else { continue }
                let label = request.labels[index / request.templates.count]
                return RequestError.invalid(
                    """
                    the label \(JSONBody.quoted(label)) is too long: with its template it has \
                    \(excess.tokens) tokens, but the model takes at most \(excess.limit)
                    """, parameter: "labels")
            }
            return nil
        }
    }

    /// Returns the number of tokens of a prompt that is too long, and the limit; nil for others.
    private static func excess(
        of prompt: String, _ model: CLIPModel
    ) throws(CLIPError) -> (tokens: Int, limit: Int)? {
        do throws(CLIPError) {
            _ = try model.tokenizer.tokenize(
                prompt, contextLength: model.configuration.text.contextLength, truncating: false)
            return nil
        } catch {
            guard case .textTooLong(_, let tokens, let limit) = error else { throw error }
            return (tokens, limit)
        }
    }

    /// Returns a prediction with the members that `clip zeroshot --json` prints.
    private static func json(_ prediction: Prediction) -> JSONValue {
        var members: [JSONValue.Member] = [
            ("label", .string(prediction.label)), ("probability", .float(prediction.probability)),
        ]
        if let sigmoid = prediction.sigmoid { members.append(("sigmoid", .float(sigmoid))) }
        members += [("logit", .float(prediction.logit)), ("cosine", .float(prediction.cosine))]
        return .object(members)
    }
}

/// A weak reference to a served model.
final class WeakModel: Sendable {
    private struct Reference { weak var model: ServedModel? }

    private let reference: Mutex<Reference>

    init(_ model: ServedModel) { reference = Mutex(Reference(model: model)) }

    /// True if this refers to a model that is still in memory and is the given one.
    func refers(to model: ServedModel) -> Bool {
        reference.withLock { $0.model === model }
    }
}
