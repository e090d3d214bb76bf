/// An error in reading the file of a tokenizer.
@nonexhaustive
public enum TokenizerFileError: Error, Equatable, Sendable {
    /// The file is missing, unreadable, a folder, or too large.
    case unreadable(path: String, reason: String)
    /// The content of the file violates its format.
    ///
    /// `part` is the part of the file at fault, such as "the score of piece 7"; `expected` and
    /// `found` are noun phrases.
    case malformed(path: String, part: String, expected: String, found: String)
    /// The file asks for something that this library does not do.
    ///
    /// `part` is the part of the file at fault, such as "the normalizer"; `expected` and `found`
    /// are noun phrases.
    case unsupported(path: String, part: String, expected: String, found: String)
}

extension TokenizerFileError: CustomStringConvertible {
    /// The error as one line.
    public var description: String {
        switch self {
        case .unreadable(let path, let reason): "cannot read \(path): \(reason)"
        case .malformed(let path, let part, let expected, let found):
            "\(path) is malformed: \(part): expected \(expected), found \(found)"
        case .unsupported(let path, let part, let expected, let found):
            "\(path) is unsupported: \(part): expected \(expected), found \(found)"
        }
    }
}

/// A defect of a tokenizer file, found by a parser that does not know the path.
struct TokenizerDefect: Error, Equatable {
    var isUnsupported = false
    let part: String
    let expected: String
    let found: String

    init(_ part: String, expected: String, found: String) {
        (self.part, self.expected, self.found) = (part, expected, found)
    }

    static func unsupported(_ part: String, expected: String, found: String) -> TokenizerDefect {
        var defect = TokenizerDefect(part, expected: expected, found: found)
        defect.isUnsupported = true
        return defect
    }

    func of(path: String) -> TokenizerFileError {
        isUnsupported
            ? .unsupported(path: path, part: part, expected: expected, found: found)
            : .malformed(path: path, part: part, expected: expected, found: found)
    }
}
