/// An error in reading or writing a file of tensors.
package enum TensorFileError: Error, Equatable, Sendable {
    /// The file is missing, a directory or not readable.
    case unreadable(path: String, reason: String)
    /// The content of the file violates its format, or the format is unsupported.
    case malformed(path: String, FormatError)
    /// The SHA-256 of the file is not the expected one.
    case damaged(path: String, expected: String, found: String)
    /// The file cannot be written.
    case unwritable(path: String, reason: String)
    /// A number is too large for the format in which it is to be written.
    case unrepresentable(tensor: String, number: Float, format: String)
}

extension TensorFileError: CustomStringConvertible {
    /// The error as one line.
    package var description: String {
        switch self {
        case .unreadable(let path, let reason): "cannot read \(path): \(reason)"
        case .malformed(let path, let error): "cannot read \(path): \(error)"
        case .damaged(let path, let expected, let found):
            "\(path) is damaged: expected the SHA-256 \(expected), found \(found)"
        case .unwritable(let path, let reason): "cannot write \(path): \(reason)"
        case .unrepresentable(let tensor, let number, let format):
            "the tensor \(tensor) has the number \(number), which is too large for \(format)"
        }
    }
}

/// A violation of a file format.
package struct FormatError: Error, Equatable, Sendable {
    /// The defect of the file, as a clause such as "the header is too long".
    package let problem: String
    /// The required content, such as "at most 8 bytes"; nil if `problem` states it.
    package let expected: String?
    /// The actual content, such as "9 bytes"; nil if `problem` states it.
    package let found: String?

    init(_ problem: String, expected: String? = nil, found: String? = nil) {
        (self.problem, self.expected, self.found) = (problem, expected, found)
    }

    /// Returns the error with a tensor as the subject of `problem`, which must be a predicate such
    /// as "has no storage".
    func of(tensor name: String) -> FormatError {
        FormatError("the tensor \(name) \(problem)", expected: expected, found: found)
    }
}

extension FormatError: CustomStringConvertible {
    /// The error as one line: "the header is too long: expected at most 8 bytes, found 9 bytes".
    package var description: String {
        let facts = [expected.map { "expected \($0)" }, found.map { "found \($0)" }]
            .compactMap { $0 }
        return facts.isEmpty ? problem : "\(problem): \(facts.joined(separator: ", "))"
    }
}
