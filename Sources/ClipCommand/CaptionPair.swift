import CLIP
import CLIPSearch

/// A picture, a caption of it, and captions that people wrote.
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
        func column(_ name: String) throws -> [String] {
            guard let format = TextCollection.Format(column: name, of: path) else { return [] }
            var texts = try TextCollection(path, format: format)
            var all: [String] = []
            while let text = try texts.next() { all.append(text) }
            return all
        }
        let (images, texts) = (try column("image"), try column("text"))
        let references = try? column("reference")
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
            guard let image = object?["image"]?.string, let text = object?["text"]?.string else {
                throw Failure(
                    "line \(number + 1) of \(path) is no JSON object with texts \"image\" and \"text\""
                )
            }
            let references = object?["references"]?.array?.compactMap(\.string) ?? []
            pairs.append(CaptionPair(image: FilePath(image), text: text, references: references))
        }
        return pairs
    }
}
