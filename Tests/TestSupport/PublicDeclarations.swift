/// The public declarations of a module, read from its sources.
///
/// The parser covers formatted sources: scopes, attributes and signatures, not expressions.
public struct PublicDeclarations {
    /// The declarations, sorted, one per line with the type that they belong to.
    public var lines: [String] {
        let hidden = Set(types.filter { !$0.isPublic }.map(\.path))
        let shown = Set(types.filter(\.isPublic).map(\.path))
        let found = entries.filter { entry in
            let path = entry.type.split(separator: ".")
            let isHidden = path.indices.contains {
                hidden.contains(path[...$0].joined(separator: "."))
            }
            return !isHidden && (!entry.isConformance || shown.contains(entry.type))
        }
        return found.map { $0.type.isEmpty ? $0.text : "\($0.type): \($0.text)" }.sorted()
    }

    private var entries: [(type: String, text: String, isConformance: Bool)] = []
    private var types: [(path: String, isPublic: Bool)] = []

    /// Creates an empty list.
    public init() {}

    /// Reads a source file.
    public mutating func read(_ source: String) {
        var text = Self.plain(source)[...]
        read(&text, type: "", kind: "", isPublic: true)
    }

    /// Reads declarations up to the brace that closes their scope.
    private mutating func read(
        _ text: inout ArraySlice<Character>, type: String, kind: String, isPublic: Bool
    ) {
        while let declaration = Self.declaration(&text) {
            var words = declaration.split(whereSeparator: \.isWhitespace).map(String.init)
            while words.first?.hasPrefix("@") == true { words.removeFirst() }
            let keywords: Set = [
                "struct", "enum", "class", "actor", "protocol", "extension", "func", "init", "var",
                "let", "subscript", "case", "typealias", "associatedtype", "import", "static",
            ]
            // `class func`, `static let`, `init(`, `init?(`, `subscript(`
            func name(_ word: String) -> String {
                String(word.prefix { $0.isLetter })
            }
            let place = words.firstIndex { keywords.contains(name($0)) && name($0) != "static" }
            let keyword = place.map { name(words[$0]) } ?? ""
            let access = words[..<(place ?? 0)]
            let isShown =
                isPublic
                && (access.contains("public") || access.contains("open")
                    || (kind == "enum" && keyword == "case") || kind == "protocol")
            let isType = ["struct", "enum", "class", "actor", "protocol"].contains(keyword)
            let line = Self.signature(declaration, keyword)
            if keyword == "extension" || isType, let place, words.count > place + 1 {
                let own = String(words[place + 1].prefix { $0 != "<" && $0 != ":" })
                let path = type.isEmpty ? own : "\(type).\(own)"
                if isType { types.append((path, isShown)) }
                if isType && isShown { entries.append((type, line, false)) }
                if keyword == "extension", line.contains(":") {
                    entries.append((path, line, true))
                }
                if text.first == "{" {
                    text.removeFirst()
                    let isOpen = keyword == "extension" || isShown
                    read(&text, type: path, kind: keyword, isPublic: isOpen)
                }
                continue
            }
            var suffix = ""
            if text.first == "{" {
                let body = Self.skipBraces(&text)
                let isSettable = body.firstMatch(of: /\bset\s*(\(\w+\)\s*)?\{/) != nil
                if keyword == "var" && isSettable && !line.contains("=") { suffix = " { get set }" }
            }
            if isShown && keyword != "import" && !keyword.isEmpty {
                entries.append((type, line + suffix, false))
            }
        }
    }

    /// A declaration on one line, without the value of a property whose type is stated.
    private static func signature(_ declaration: String, _ keyword: String) -> String {
        var text = declaration
        if keyword == "var" || keyword == "let", let equals = text.firstRange(of: " =") {
            let lines = text[equals.upperBound...].split(separator: "\n")
            let isTyped = text[..<equals.lowerBound].contains(":")
            let value = isTyped ? "" : " =\(lines.first ?? "")\(lines.count > 1 ? " …" : "")"
            text = text[..<equals.lowerBound] + value
        }
        return text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
            .replacing("( ", with: "(").replacing(" )", with: ")").restored
    }

    /// The text of the next declaration, up to its body.
    ///
    /// At the end of the scope, behind its brace, the result is nil.
    private static func declaration(_ text: inout ArraySlice<Character>) -> String? {
        while let next = text.first, next.isWhitespace || next == ";" { text.removeFirst() }
        guard let first = text.first else { return nil }
        guard first != "}" else {
            text.removeFirst()
            return nil
        }
        if first == "{" { _ = skipBraces(&text) }
        if first == "#" {
            text = text.drop { !$0.isNewline }
            return ""
        }
        var result = ""
        var depth = 0
        while let next = text.first {
            if depth == 0 && (next == "{" || next == "}" || next == ";") { break }
            if depth == 0 && next.isNewline && !goesOn(result, text.drop(while: \.isWhitespace)) {
                break
            }
            if "([{".contains(next) { depth += 1 }
            if ")]}".contains(next) { depth -= 1 }
            result.append(next)
            text.removeFirst()
        }
        return result
    }

    /// True if a declaration is not complete at the end of a line.
    private static func goesOn(_ line: String, _ next: ArraySlice<Character>) -> Bool {
        let words = line.split(whereSeparator: \.isWhitespace)
        if words.allSatisfy({ $0.hasPrefix("@") }) { return true }
        if let last = words.last, ["=", ",", ":", "->", "&&", "||"].contains(last) { return true }
        let beginning = String(next.prefix(8))
        return ["where ", "->", "throws", "{", ":", "=", ".", "?", "&&", "||"]
            .contains { beginning.hasPrefix($0) }
    }

    /// Skips a body in braces.
    ///
    /// - Returns: The text between them.
    private static func skipBraces(_ text: inout ArraySlice<Character>) -> String {
        var depth = 0
        var body = ""
        while let next = text.popFirst() {
            if next == "{" { depth += 1 }
            if next == "}" { depth -= 1 }
            if depth == 0 { break }
            body.append(next)
        }
        return body
    }

    /// The source without comments, and with other characters in place of brackets within strings.
    private static func plain(_ source: String) -> [Character] {
        var result: [Character] = []
        var rest = Array(source)[...]
        func begins(_ text: String) -> Bool { rest.starts(with: text) }
        while let next = rest.first {
            if begins("//") {
                rest = rest.drop { !$0.isNewline }
            } else if begins("/*") {
                while !rest.isEmpty && !begins("*/") { rest.removeFirst() }
                rest = rest.dropFirst(2)
            } else if next == "\"" || begins("#\"") {
                let hashes = String(repeating: "#", count: next == "#" ? 1 : 0)
                rest = rest.dropFirst(hashes.count)
                let quotes = begins("\"\"\"") ? "\"\"\"" : "\""
                rest = rest.dropFirst(quotes.count)
                result += hashes + quotes
                while !rest.isEmpty && !begins(quotes + hashes) {
                    let isEscape = rest.first == "\\" && hashes.isEmpty
                    for _ in 0..<(isEscape ? 2 : 1) {
                        if let character = rest.popFirst() { result.append(character.hidden) }
                    }
                }
                rest = rest.dropFirst(quotes.count + hashes.count)
                result += quotes + hashes
            } else {
                result.append(next)
                rest.removeFirst()
            }
        }
        return result
    }
}

private let brackets: [Character] = ["(", ")", "[", "]", "{", "}", ";", "="]
private let standIns: [Character] = (0..<8).compactMap { Unicode.Scalar(0xE000 + $0) }
    .map(Character.init)

extension Character {
    fileprivate var hidden: Character {
        brackets.firstIndex(of: self).map { standIns[$0] } ?? self
    }
}

extension String {
    fileprivate var restored: String {
        String(
            map { character in standIns.firstIndex(of: character).map { brackets[$0] } ?? character
            })
    }
}
