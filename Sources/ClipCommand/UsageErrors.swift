import ArgumentParser

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Messages for invalid command lines.
enum UsageErrors {
    private static var commands: [String] {
        Clip.configuration.subcommands.map { $0._commandName } + ["help"]
    }

    /// Rejects an unknown subcommand before the parser reads its options as options of `clip`.
    ///
    /// - Throws: `Failure` with status 2 and a suggestion.
    static func checkCommand(in arguments: [String]) throws {
        guard let first = arguments.first, !first.hasPrefix("-") else { return }
        let named = first == "help" ? arguments.dropFirst().first { !$0.hasPrefix("-") } : first
        guard let named, !commands.contains(named) else { return }
        throw Failure(unknown(named), status: 2)
    }

    private static func unknown(_ name: String) -> String {
        if let nearest = Spelling.nearest(to: name, among: commands) {
            return "unknown command '\(name)'; did you mean '\(nearest)'?"
        }
        if FileManager.default.fileExists(atPath: name) {
            return "unknown command '\(name)'; did you mean clip encode \(name)?"
        }
        return "unknown command '\(name)'; the commands are \(commands.joined(separator: ", "))"
    }

    /// Returns a message if an argument is a file whose name begins with `-`, as the shell may
    /// insert for `*.jpg`; nil otherwise.
    static func fileTakenForOption(in arguments: [String]) -> String? {
        let file = arguments.prefix { $0 != "--" }.first { argument in
            argument.count > 1 && argument.hasPrefix("-")
                && FileManager.default.fileExists(atPath: argument)
        }
        return file.map {
            "the file \($0) is taken for an option; write ./\($0), or ./*.jpg for *.jpg"
        }
    }

    /// Returns a message if an argument of `clip search` is a term with its minus sign in one word,
    /// such as "-2:a dog" or "- fruit"; nil otherwise.
    static func termTakenForOption(in arguments: [String]) -> String? {
        guard arguments.first == "search" else { return nil }
        let word = arguments.dropFirst().prefix { $0 != "--" }.first { argument in
            guard argument.hasPrefix("-"), !argument.hasPrefix("--") else { return false }
            let rest = argument.dropFirst()
            return rest.first?.isWhitespace == true
                || rest.prefix { $0 != ":" }.count < rest.count
                    && Float(rest.prefix { $0 != ":" }) != nil
        }
        return word.map { word in
            let term = word.dropFirst().drop(while: \.isWhitespace)
            return """
                "\(word)" is taken for an option: expected a minus sign as a word of its own \
                before the text that it subtracts, as in clip search - "\(term)"
                """
        }
    }

    /// Returns a message that points to the help of the subcommand in the arguments.
    static func line(_ message: String, _ arguments: [String]) -> String {
        var names: [String] = []
        var subcommands = Clip.configuration.subcommands
        for argument in arguments {
            guard let next = subcommands.first(where: { $0._commandName == argument }) else {
                break
            }
            names.append(argument)
            subcommands = next.configuration.subcommands
        }
        return "\(plain(message)) (see \((["clip"] + names).joined(separator: " ")) --help)"
    }

    /// Returns the first line of a message of the parser, with the values that it lists below.
    static func firstLine(of message: String) -> String {
        let lines = message.split(separator: "\n")
        let bullet = "  - "
        let values = lines.dropFirst().prefix { $0.hasPrefix(bullet) }
            .map { $0.dropFirst(bullet.count) }.joined(separator: ", ")
        let line = String(lines.first ?? "wrong usage")
        return values.isEmpty ? line : line + " " + values
    }

    /// Returns a message of the parser without its initial capital and its final full stop.
    private static func plain(_ message: String) -> String {
        var message = Substring(message)
        // A dot after a blank or another dot is a path.
        if message.last == ".", ![" .", ".."].contains(where: message.hasSuffix) {
            message = message.dropLast()
        }
        let word = message.prefix { $0 != " " }
        let isOrdinary =
            word.first?.isUppercase == true && word.dropFirst().allSatisfy(\.isLowercase)
        guard isOrdinary, let first = word.first else { return String(message) }
        return first.lowercased() + message.dropFirst()
    }
}

/// Suggestions for mistyped words.
enum Spelling {
    /// Returns the word closest to a mistyped one; nil if none is close.
    static func nearest(to word: String, among words: [String]) -> String? {
        let wanted = Array(word.lowercased())
        let limit = max(1, min(3, wanted.count / 3))
        return words.map { (distance(wanted, Array($0.lowercased())), $0) }
            .filter { $0.0 <= limit }.min { $0.0 < $1.0 }?.1
    }

    /// Returns the Damerau-Levenshtein distance (optimal string alignment) between two words.
    static func distance(_ a: [Character], _ b: [Character]) -> Int {
        var rows = [Array(0...b.count)]
        for i in 0..<a.count {
            var row = [i + 1]
            for j in 0..<b.count {
                var least = min(
                    rows[i][j] + (a[i] == b[j] ? 0 : 1), row[j] + 1, rows[i][j + 1] + 1)
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
                    least = min(least, rows[i - 1][j - 1] + 1)
                }
                row.append(least)
            }
            rows.append(row)
        }
        return rows[a.count][b.count]
    }
}
