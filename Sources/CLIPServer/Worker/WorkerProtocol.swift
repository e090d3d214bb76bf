internal import Files

/// The messages of the protocol of `clip worker`; the article WorkerProtocol describes them.
///
/// All numbers are little-endian.
enum WorkerProtocol {
    /// The first bytes of either side.
    static let magic = Array("CLIPWORK".utf8)
    static let version: UInt32 = 1
    /// The size of a client's hello in bytes.
    static let helloSize = 12
    /// The size of a request's id and kind in bytes.
    static let idAndKindSize = 9
    /// The largest number of bytes after a request's id and kind that its length can express.
    static let payloadLimit = Int(UInt32.max) - idAndKindSize

    /// The kind of an input.
    enum Kind: UInt8, Sendable { case image = 1, text = 2 }

    /// Returns the hello of a client, 12 bytes.
    static func clientHello() -> [UInt8] { magic + bytes(of: version) }

    /// Returns the hello of a worker, 48 bytes; the fingerprint must have 32.
    static func workerHello(dimension: Int, fingerprint: [UInt8]) -> [UInt8] {
        precondition(
            fingerprint.count == 32, "expected a SHA-256, found \(fingerprint.count) bytes")
        return magic + bytes(of: version) + bytes(of: UInt32(dimension)) + fingerprint
    }

    /// Returns a request; the payload must have at most `payloadLimit` bytes.
    static func request(id: UInt64, _ kind: Kind, _ payload: some Collection<UInt8>) -> [UInt8] {
        bytes(of: UInt32(idAndKindSize + payload.count)) + bytes(of: id) + [kind.rawValue] + payload
    }

    /// Returns the reply with a vector, 16 + 4 d bytes.
    static func reply(id: UInt64, vector: [Float]) -> [UInt8] {
        let values = littleEndianBytes(of: vector)
        return head(id: id, status: 0, count: values.count) + values
    }

    /// Returns the reply with the reason why an input has no vector, 16 + 4 d bytes.
    ///
    /// A message of more than 4 d bytes is cut at the end of a character.
    static func reply(id: UInt64, message: String, dimension: Int) -> [UInt8] {
        let text = Array(message.utf8)
        var count = min(text.count, 4 * dimension)
        // Continuation bytes of UTF-8 are 10xxxxxx.
        while count > 0, count < text.count, text[count] & 0xC0 == 0x80 { count -= 1 }
        return head(id: id, status: 1, count: count) + text[..<count]
            + [UInt8](repeating: 0, count: 4 * dimension - count)
    }

    private static func head(id: UInt64, status: UInt32, count: Int) -> [UInt8] {
        bytes(of: id) + bytes(of: status) + bytes(of: UInt32(count))
    }

    /// Returns the bytes of a number, the lowest first.
    static func bytes<Number: FixedWidthInteger>(of number: Number) -> [UInt8] {
        (0..<(Number.bitWidth / 8)).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) }
    }

    /// Returns the number whose bytes are given, the lowest first.
    static func number<Number: FixedWidthInteger>(of bytes: some Collection<UInt8>) -> Number {
        var number: Number = 0
        for (place, byte) in bytes.enumerated() { number |= Number(byte) << (place * 8) }
        return number
    }
}
