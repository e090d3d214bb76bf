import Files
import CLIP
import CLIPSearch

/// An image, a caption of it, and captions that people wrote.
struct CaptionPair {
    let image: FilePath
    let text: String
    let references: [String]

    /// Pairs from the columns of a table or from JSON Lines.
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
        // A table may do without the column, but not a record of one that has it.
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
                    line \(number + 1) of \(path) is no JSON object with texts "image" and "text" and, if \
                    there are any, a list of texts "references"
                    """)
            }
            pairs.append(
                CaptionPair(
                    image: FilePath(image), text: text, references: texts.compactMap(\.self)))
        }
        return pairs
    }
}
