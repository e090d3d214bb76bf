import Files
import CLIPSearch

/// Shortens texts of more than `longest` characters so that different texts remain different.
///
/// A text is shortened in its middle. If that makes different texts equal, the beginning that they
/// share is cut out instead, or their numbers are put in front.
///
/// - Parameters:
///   - texts: The texts.
///   - longest: The maximum number of characters of a result; at least 16.
/// - Returns: The shortened texts, in the same order.
func shortened(_ texts: [String], to longest: Int) -> [String] {
    var results = texts.map { shortened($0, to: longest) }
    for group in groups(of: results, texts) {
        // Shortening made these texts equal: omit their common prefix except for 8 characters.
        let characters = group.map { Array(texts[$0]) }
        let least = characters.map(\.count).min() ?? 0
        let common =
            (0..<least).first { i in characters.contains { $0[i] != characters[0][i] } } ?? least
        for (row, text) in zip(group, characters) {
            let rest = text[max(8, min(common, text.count) - 4)...]
            let room = longest - 9
            results[row] =
                String(text[..<8]) + "…"
                + (rest.count <= room ? String(rest) : String(rest.prefix(room - 1)) + "…")
        }
    }
    for group in groups(of: results, texts) {
        for row in group {
            results[row] = shortened("\(row + 1): " + texts[row], to: longest)
        }
    }
    return results
}

/// Returns groups of indices whose shortened texts are equal although their texts differ.
private func groups(of results: [String], _ texts: [String]) -> [[Int]] {
    Dictionary(grouping: results.indices) { results[$0] }.values
        .filter { rows in Set(rows.map { texts[$0] }).count > 1 }
        .sorted { $0[0] < $1[0] }
}

/// Returns a text of at most `longest` characters, with an ellipsis in the middle if it is
/// shortened.
func shortened(_ text: String, to longest: Int) -> String {
    guard text.count > longest else { return text }
    let head = longest / 2
    return text.prefix(head) + "…" + text.suffix(longest - 1 - head)
}

/// Returns a path of at most `longest` characters.
///
/// The beginning of the folder is cut off. If the file name alone is too long, the folder is
/// omitted and the name is shortened in its middle.
func shortened(_ path: FilePath, to longest: Int) -> String {
    let whole = path.description
    guard whole.count > longest else { return whole }
    let name = String(decoding: path.lastComponent, as: UTF8.self)
    guard name.count + 2 < longest else { return shortened(name, to: longest) }
    return "…" + whole.suffix(longest - 1)
}
