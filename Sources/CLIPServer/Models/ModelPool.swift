internal import CLIP
internal import CLIPSearch

/// The models of a server, which are loaded when they are first used.
final class ModelPool: Sendable {
    /// The purpose for which a request needs a model.
    enum Use: Sendable {
        /// Embeddings, which the client may keep: the demonstration model only if it was named.
        case embedding
        /// An answer that is only shown, such as the scores of labels.
        case answer
    }

    /// Returns a model by the name in a request; the first one of `ServerOptions.models` if nil.
    ///
    /// Loads it, or waits while another request does.
    ///
    /// - Parameters:
    ///   - name: The name in the request, or the one in `record`.
    ///   - use: The purpose, which decides about the demonstration model.
    ///   - record: The record of stored vectors; the model then has the record's precision,
    ///     activation and resolution, and `name` may be a path, because no client chose it.
    /// - Throws: `RequestError` with status 404 for unknown or missing models, 503 for models that
    ///   cannot be loaded; `CancellationError`.
    func model(
        named name: String?, for use: Use, matching record: ModelRecord? = nil
    ) async throws -> ServedModel {
        throw RequestError.unknownModel("")
    }

    /// The names of the models that requests may use at once: those of `ServerOptions.models` and
    /// the installed ones.
    var names: [String] { [] }
}

/// A loaded model with the queues of its two towers.
final class ServedModel: Sendable {
    let name: String
    let model: CLIPModel

    init(name: String, model: CLIPModel) { (self.name, self.model) = (name, model) }

    /// Embeddings of texts and the number of their tokens.
    struct TextEmbeddings: Sendable {
        /// One L2-normalised vector for each text, or unnormalised if asked for.
        let vectors: [[Float]]
        /// The number of token ids of all texts, start and end included.
        let tokenCount: Int
    }

    /// Encodes texts in the order given, together with those of other requests.
    ///
    /// - Throws: `RequestError` with status 400 for a text that is too long if `truncating` is
    ///   false, 429 if the queue is full; `CancellationError`.
    func embeddings(
        ofTexts texts: [String], truncating: Bool, normalized: Bool = true
    ) async throws -> TextEmbeddings { throw RequestError.busy }

    /// Decodes and encodes the bytes of image files in the order given, together with those of
    /// other requests.
    ///
    /// - Throws: `RequestError` with status 400 for an image that cannot be read (the message names
    ///   its index), 429 if the queue is full; `CancellationError`.
    func embeddings(
        ofImages images: [[UInt8]], normalized: Bool = true
    ) async throws -> [EncodedImage] { throw RequestError.busy }

    /// The vector and the size of an image.
    struct EncodedImage: Sendable {
        let vector: [Float]
        /// The width and height after the EXIF orientation is applied, in pixels.
        let width: Int
        let height: Int
    }
}
