/// An error that ends an ``EncodingWorker``: a violation of its protocol, or a broken pipe.
///
/// Offsets are in bytes from the beginning of the input.
@nonexhaustive
public enum WorkerError: Error, Equatable, Sendable {
    /// The input does not begin with the hello of a client; `found` has its first bytes.
    case wrongHello(found: [UInt8])
    /// The client speaks another version of the protocol.
    case unsupportedVersion(expected: UInt32, found: UInt32)
    /// The length of a request is out of range.
    case invalidLength(offset: Int, expected: ClosedRange<Int>, found: Int)
    /// The kind of a request is neither that of an image nor that of a text.
    case unknownKind(offset: Int, found: UInt8)
    /// The input ends within the hello or within a request, which begins at `offset`.
    ///
    /// `expected` and `found` are numbers of bytes; `part` is "the hello" or "a request".
    case truncated(part: String, offset: Int, expected: Int, found: Int)
    /// The input cannot be read.
    case unreadableInput(reason: String)
    /// A reply cannot be written.
    case unwritableOutput(reason: String)
}

extension WorkerError: CustomStringConvertible {
    /// The error as one line.
    public var description: String {
        switch self {
        case .wrongHello(let found):
            """
            expected the hello CLIPWORK at byte 0 of standard input, found \(Self.shown(found))
            """
        case .unsupportedVersion(let expected, let found):
            """
            expected version \(expected) of the protocol at byte 8 of standard input, found \
            \(found)
            """
        case .invalidLength(let offset, let expected, let found):
            """
            expected the length of a request, \(expected.lowerBound) to \(expected.upperBound), \
            at byte \(offset) of standard input, found \(found)
            """
        case .unknownKind(let offset, let found):
            """
            expected the kind of a request, 1 (image) or 2 (text), at byte \(offset) of standard \
            input, found \(found)
            """
        case .truncated(let part, let offset, let expected, let found):
            """
            standard input ends within \(part): expected \(expected) bytes at byte \(offset), \
            found \(found)
            """
        case .unreadableInput(let reason): "cannot read standard input: \(reason)"
        case .unwritableOutput(let reason): "cannot write to standard output: \(reason)"
        }
    }

    /// Returns bytes as quoted text if all are printable ASCII, else as hexadecimal digits.
    private static func shown(_ bytes: [UInt8]) -> String {
        guard bytes.allSatisfy({ (0x20...0x7E).contains($0) }) else {
            return bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }
                .joined(separator: " ")
        }
        return "\"\(String(decoding: bytes, as: UTF8.self))\""
    }
}
