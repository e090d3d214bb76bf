internal import Files
internal import CLIP
internal import CModelRegistry

/// The tables that are compiled in.
enum Registry {
    static var models: [JSONValue] { entries(clip_registry_models()) }
    static var answers: [JSONValue] { entries(clip_registry_answers()) }

    private static func entries(_ bytes: clip_registry_bytes) -> [JSONValue] {
        do {
            let text = UnsafeBufferPointer(start: bytes.start, count: bytes.count)
            return try JSONValue(parsing: Array(text)).array ?? []
        } catch {
            preconditionFailure("the registry is damaged: \(error)")
        }
    }
}
