@testable import Files

/// A writer of SentencePiece models for tests.
struct ProtobufWriter {
    var bytes: [UInt8] = []

    mutating func varint(_ number: UInt64) {
        var rest = number
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    mutating func number(_ field: Int, _ number: UInt64) {
        varint(UInt64(field) << 3)
        varint(number)
    }

    mutating func field(_ field: Int, _ content: some Collection<UInt8>) {
        varint(UInt64(field) << 3 | 2)
        varint(UInt64(content.count))
        bytes += content
    }

    mutating func field(_ field: Int, _ number: Float) {
        varint(UInt64(field) << 3 | 5)
        bytes.append(littleEndian: number.bitPattern)
    }

    mutating func piece(_ text: String, _ score: Float = 0, type: Int = 1) {
        var message = ProtobufWriter()
        message.field(1, Array(text.utf8))
        message.field(2, score)
        message.number(3, UInt64(type))
        field(1, message.bytes)
    }

    mutating func trainer(algorithm: Int, byteFallback: Bool = false) {
        var message = ProtobufWriter()
        message.number(3, UInt64(algorithm))
        message.number(35, byteFallback ? 1 : 0)
        field(2, message.bytes)
    }

    mutating func normalizer(map: [UInt8] = [], dummyPrefix: Bool = true) {
        var message = ProtobufWriter()
        if !map.isEmpty { message.field(2, map) }
        message.number(3, dummyPrefix ? 1 : 0)
        field(3, message.bytes)
    }

    /// A small valid Unigram model.
    static var small: ProtobufWriter {
        var file = ProtobufWriter()
        file.piece("<pad>", type: 3)
        file.piece("</s>", type: 3)
        file.piece("<unk>", type: 2)
        file.piece("a", -1)
        file.piece("b", -2)
        return file
    }
}
