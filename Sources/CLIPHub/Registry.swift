internal import Files
internal import CModelRegistry

/// The JSON tables of the registry, which are compiled into the library.
enum Registry {
    /// The entries of models; parsed at each access.
    static var models: [JSONValue] { entries(clip_registry_models()) }
    /// The entries of published outputs; parsed at each access.
    static var answers: [JSONValue] { entries(clip_registry_answers()) }

    private static func entries(_ bytes: clip_registry_bytes) -> [JSONValue] {
        do {
            let text = UnsafeBufferPointer(start: bytes.start, count: bytes.count)
            return try JSONValue(parsing: Array(text)).array ?? []
        } catch {
            preconditionFailure("the registry is not valid JSON: \(error)")
        }
    }
}
