package import Files

/// A pattern of names or paths below a folder, in the syntax of a line of `.gitignore`.
///
/// - `*` stands for any characters except a slash, `?` for one character, and `[a-z]` or `[!a-z]`
///   for one character of a set or of none of it.
/// - `**` as a whole component stands for any number of folders.
/// - `\` takes the special meaning from the next character.
/// - A pattern without a slash, except at its end, is compared with names at any depth. Another one
///   is compared with the path relative to the folder.
/// - A slash at the end restricts the pattern to folders.
///
/// Upper and lower case differ. Matching takes time in proportion to the product of the lengths of
/// the pattern and the path, whatever the pattern is.
package struct GlobPattern: Sendable, Hashable {
    /// The reason why a text is not a pattern.
    package enum SyntaxError: Error, Equatable {
        /// The pattern is empty, has only slashes, or contains `..`, so that it matches nothing.
        case empty
        /// The pattern begins with `!`, which would include files again.
        case negated
        /// The pattern has a line break, a NUL character, or bytes that are not UTF-8.
        case unsupportedCharacter
    }

    /// The pattern as it was given.
    package let text: String
    private let components: [Component]
    private let isForNames: Bool
    private let isForFolders: Bool

    private enum Component: Sendable, Hashable {
        /// The component `**`.
        case anyFolders
        case name([Part])
    }

    private enum Part: Sendable, Hashable {
        case star
        case anyCharacter
        case character(UInt32)
        case set([ClosedRange<UInt32>], isNegated: Bool)
    }

    /// Parses a pattern.
    ///
    /// - Throws: `SyntaxError`.
    package init(_ text: String) throws(SyntaxError) {
        guard !text.unicodeScalars.contains(where: { "\0\n\r\u{FFFD}".unicodeScalars.contains($0) })
        else { throw .unsupportedCharacter }
        guard !text.hasPrefix("!") else { throw .negated }
        let pieces = text.split(separator: "/", omittingEmptySubsequences: false)
        let names = pieces.filter { !$0.isEmpty && $0 != "." }
        guard !names.isEmpty, !names.contains("..") else { throw .empty }
        self.text = text
        isForFolders = pieces.last?.isEmpty == true
        isForNames = pieces.dropLast(isForFolders ? 1 : 0).count == 1
        components = names.map {
            $0 == "**" ? .anyFolders : .name(Self.parts(of: Array($0.unicodeScalars.map(\.value))))
        }
    }

    /// Returns true if the pattern matches a path, but not if it matches only a folder above it.
    ///
    /// - Parameters:
    ///   - path: The path relative to the folder, without a slash at its beginning or end.
    ///   - isFolder: True if the path is that of a folder.
    /// - Returns: True for a match.
    package func matches(_ path: FilePath, isFolder: Bool) -> Bool {
        guard isFolder || !isForFolders else { return false }
        if isForNames {
            guard case .name(let parts)? = components.first else { return true }
            return Self.match(parts, Self.characters(of: path.lastComponent))
        }
        let names = path.bytes.split(separator: UInt8(ascii: "/")).map(Self.characters)
        return Self.match(components, names)
    }

    /// Returns the characters of a name; a byte that is not UTF-8 becomes a number beyond Unicode.
    private static func characters(of name: ArraySlice<UInt8>) -> [UInt32] {
        if let text = String(validating: name, as: UTF8.self) {
            return text.unicodeScalars.map(\.value)
        }
        return name.map { $0 < 0x80 ? UInt32($0) : 0x11_0000 + UInt32($0) }
    }

    // MARK: parsing

    private static func parts(of pattern: [UInt32]) -> [Part] {
        var parts: [Part] = []
        var index = 0
        while index < pattern.count {
            let character = pattern[index]
            index += 1
            switch character {
            case 0x2A:  // *
                if parts.last != .star { parts.append(.star) }
            case 0x3F: parts.append(.anyCharacter)
            case 0x5C where index < pattern.count:  // \
                parts.append(.character(pattern[index]))
                index += 1
            case 0x5B:  // [
                if let (set, end) = set(in: pattern, from: index) {
                    parts.append(set)
                    index = end
                } else {
                    parts.append(.character(character))
                }
            default: parts.append(.character(character))
            }
        }
        return parts
    }

    /// Parses the set after a `[`; returns nil if it has no end, so that the `[` is a character.
    private static func set(in pattern: [UInt32], from start: Int) -> (Part, end: Int)? {
        var index = start
        let isNegated = index < pattern.count && (pattern[index] == 0x21 || pattern[index] == 0x5E)
        if isNegated { index += 1 }
        let first = index
        var ranges: [ClosedRange<UInt32>] = []
        while index < pattern.count {
            // A ] at the beginning of the set is one of its characters.
            if pattern[index] == 0x5D && index > first {
                return (.set(ranges, isNegated: isNegated), index + 1)
            }
            if pattern[index] == 0x5C && index + 1 < pattern.count { index += 1 }
            let low = pattern[index]
            let isRange =
                index + 2 < pattern.count && pattern[index + 1] == 0x2D
                && pattern[index + 2] != 0x5D
            let high = isRange ? pattern[index + 2] : low
            if low <= high { ranges.append(low...high) }
            index += isRange ? 3 : 1
        }
        return nil
    }

    // MARK: matching

    private static func match(_ parts: [Part], _ name: [UInt32]) -> Bool {
        match(parts, name, isStar: { $0 == .star }) { part, character in
            switch part {
            case .star: false
            case .anyCharacter: true
            case .character(let own): own == character
            case .set(let ranges, let isNegated):
                ranges.contains { $0.contains(character) } != isNegated
            }
        }
    }

    private static func match(_ components: [Component], _ names: [[UInt32]]) -> Bool {
        // A ** at the end stands for at least one name: a/** is everything in a, but not a.
        if components.last == .anyFolders && components.count > 1 {
            guard !names.isEmpty else { return false }
            let upper = names.dropLast()
            return match(components, Array(upper), isStar: { $0 == .anyFolders }, equals)
        }
        return match(components, names, isStar: { $0 == .anyFolders }, equals)
    }

    private static func equals(_ component: Component, _ name: [UInt32]) -> Bool {
        if case .name(let parts) = component { match(parts, name) } else { false }
    }

    /// Compares a sequence with a pattern in which stars stand for any number of elements.
    ///
    /// After a mismatch, only the last star takes one more element, because earlier stars could not
    /// allow more.
    private static func match<Part, Element>(
        _ pattern: [Part], _ elements: [Element], isStar: (Part) -> Bool,
        _ equals: (Part, Element) -> Bool
    ) -> Bool {
        var (place, element) = (0, 0)
        var star: (place: Int, element: Int)?
        while element < elements.count {
            if place < pattern.count, isStar(pattern[place]) {
                star = (place, element)
                place += 1
            } else if place < pattern.count, equals(pattern[place], elements[element]) {
                place += 1
                element += 1
            } else if let last = star {
                star = (last.place, last.element + 1)
                (place, element) = (last.place + 1, last.element + 1)
            } else {
                return false
            }
        }
        return pattern[place...].allSatisfy(isStar)
    }
}
