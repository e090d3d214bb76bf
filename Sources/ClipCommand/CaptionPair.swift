import Files
import CLIP
import CLIPSearch

/// An image, its caption, and reference captions.
struct CaptionPair {
    let image: FilePath
    let text: String
    let references: [String]

    /// Reads pairs from a CSV or TSV table or from JSON Lines.
    ///
    /// - Throws: `Failure` if a record is incomplete or the file has no records; `CLIPError` if the
    ///   file cannot be read.
    static func read(_ path: FilePath) throws -> [CaptionPair] {
        let pairs =
            path.pathExtension == "csv" || path.pathExtension == "tsv"
            ? try readTable(path) : try readObjects(path)
        guard !pairs.isEmpty else { throw Failure("\(path) has no pairs") }
        return pairs
    }

    private static func readTable(_ path: FilePath) throws -> [CaptionPair] {
        func open(_ name: String) throws -> TextCollection? {
            try TextCollection.Format(column: name, of: path)
                .map { try TextCollection(path, format: $0) }
        }
        func all(_ texts: TextCollection?) throws -> [String] {
            guard var texts else { return [] }
            var all: [String] = []
            while let text = try texts.next() { all.append(text) }
            return all
        }
        let (images, texts) = (try all(open("image")), try all(open("text")))
        // The column is optional; if it exists, every record has a field for it, which may be
        // empty.
        let references = try (try? open("reference")).map { try all($0) }
        if let row = images.firstIndex(where: \.isEmpty) {
            throw Failure("record \(row + 1) of \(path) has no image")
        }
        return zip(images, texts).enumerated().map { row, pair in
            CaptionPair(
                image: FilePath(pair.0), text: pair.1,
                references: references.map { [$0[row]] }?.filter { !$0.isEmpty } ?? [])
        }
    }

    private static func readObjects(_ path: FilePath) throws -> [CaptionPair] {
        var pairs: [CaptionPair] = []
        for (number, line) in try readLines(path.description).enumerated()
        where !line.allSatisfy(\.isWhitespace) {
            let object = try? JSONValue(parsing: Array(line.utf8))
            let references = object?["references"] ?? .array([])
            guard let image = object?["image"]?.string, !image.isEmpty,
                let text = object?["text"]?.string,
                let texts = references.array?.map(\.string), !texts.contains(nil)
            else {
                throw Failure(
                    """
                    invalid line \(number + 1) of \(path): expected a JSON object with strings \
                    "image" and "text", and optionally "references", a list of strings
                    """)
            }
            pairs.append(
                CaptionPair(
                    image: FilePath(image), text: text, references: texts.compactMap(\.self)))
        }
        return pairs
    }
}
