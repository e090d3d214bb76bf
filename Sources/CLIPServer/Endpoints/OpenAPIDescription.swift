internal import Files

/// The OpenAPI description of the server, adapted to its settings.
///
/// The compiled-in file describes a server with default settings and an API key. A list with the
/// member `x-limit` has the limit `ServerOptions.textsPerRequest` (`texts`) or `imagesPerRequest`
/// (`images`). In examples, the string `MODEL` stands for the name of a model.
struct OpenAPIDescription: Sendable {
    private let options: ServerOptions
    private let model: String

    /// Makes the description of a server.
    ///
    /// - Parameters:
    ///   - options: The settings of the server.
    ///   - model: The public name of the model in examples; the demonstration model if nil.
    init(_ options: ServerOptions, model: String? = nil) {
        self.options = options
        self.model = model ?? options.demonstrationModel ?? "ViT-B/32"
    }

    /// Returns the description with the base path, the limits and the security of the server.
    ///
    /// - Throws: `JSONValue.SyntaxError` if the compiled-in file is not JSON.
    func value() throws(JSONValue.SyntaxError) -> JSONValue {
        let file = try JSONValue(parsing: ServerFile.openAPI.bytes)
        return .object(
            (file.members ?? []).map { key, value in
                switch key {
                case "servers" where !options.basePath.isEmpty:
                    (key, .array([.object(["url": .string(options.basePath)])]))
                case "security" where options.apiKey == nil: (key, .array([]))
                default: (key, adapted(value))
                }
            })
    }

    private func adapted(_ value: JSONValue) -> JSONValue {
        switch value {
        case .array(let values): return .array(values.map(adapted))
        case .object(let members):
            let limit: Int? =
                switch value["x-limit"]?.string {
                case "texts": options.textsPerRequest
                case "images": options.imagesPerRequest
                default: nil
                }
            return .object(
                members.compactMap { key, value in
                    switch key {
                    case "x-limit": nil
                    case "maxItems": (key, limit.map { .integer($0) } ?? value)
                    default: (key, adapted(value))
                    }
                })
        case .string("MODEL"): return .string(model)
        default: return value
        }
    }
}
