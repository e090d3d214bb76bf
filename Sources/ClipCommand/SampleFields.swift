import Files
import CLIP
import CLIPSearch

extension Sample {
    /// The fields of a WebDataset sample except its image, sorted by key, as JSON values.
    var fieldsForJSON: [(key: String, value: [UInt8])] {
        fields.sorted { $0.key < $1.key }.map { key, bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            let trimmed = String(text.trimming(while: \.isWhitespace))
            let value: JSONValue =
                switch key {
                case "cls": Int(trimmed).map { .integer($0) } ?? .string(trimmed)
                case "json":
                    (try? JSONValue(parsing: bytes)).map { .raw(Array("\($0)".utf8)) }
                        ?? .string(text)
                default: .string(text)
                }
            return (key, value.bytes)
        }
    }
}

extension Sample {
    /// Returns a field of a WebDataset sample without surrounding white space; empty if missing.
    func trimmedField(_ key: String) -> [UInt8] {
        let text = String(decoding: fields[key] ?? [], as: UTF8.self)
        return Array(text.trimming(while: \.isWhitespace).utf8)
    }
}

extension String {
    fileprivate func trimming(while isDropped: (Character) -> Bool) -> Substring {
        var part = drop(while: isDropped)
        while let last = part.last, isDropped(last) { part.removeLast() }
        return part
    }
}
