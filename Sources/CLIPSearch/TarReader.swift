internal import Files
internal import Tensors

/// A streaming reader of the regular files in a tar archive: POSIX ustar and pax, GNU long names.
///
/// Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block".
struct TarReader {
    /// A regular file in the archive.
    struct Member {
        let name: FilePath
        let size: Int
    }

    /// The reason why the rest of an archive cannot be read.
    struct Failure: Error {
        let reason: String
        /// True if all files before the error are complete.
        var isBetweenFiles = false
    }

    private let file: InputFile
    /// The number of unread bytes of the last member, including its padding.
    private var unread = 0
    private static let blockSize = 512

    init(_ file: InputFile) { self.file = file }

    /// Returns true if bytes are the beginning of a tar archive.
    static func recognizes(_ bytes: ArraySlice<UInt8>) -> Bool {
        bytes.count >= blockSize && Header(Array(bytes.prefix(blockSize))) != nil
    }

    /// Returns the next regular file; nil at the end of the archive.
    mutating func next() throws(Failure) -> Member? {
        var longName: [UInt8]?
        var extended: [String: [UInt8]] = [:]
        while true {
            try skip(unread)
            unread = 0
            let block = try read(Self.blockSize, whole: false)
            guard !block.isEmpty else {
                throw Failure(
                    reason: "it is truncated: its end marker is missing", isBetweenFiles: true)
            }
            guard block.count == Self.blockSize else {
                throw Failure(reason: "it is truncated within a header", isBetweenFiles: true)
            }
            if block.allSatisfy({ $0 == 0 }) { return nil }
            guard let header = Header(block) else {
                let place = file.position - Self.blockSize
                throw Failure(
                    reason: "expected the header of a tar archive at byte \(place)",
                    isBetweenFiles: true)
            }
            let stated = extended["size"].flatMap { Int(String(decoding: $0, as: UTF8.self)) }
            let size = stated ?? header.size
            guard (0...(1 << 60)).contains(size) else {
                throw Failure(
                    reason: "the header of a file in it states an impossible size, \(size) bytes",
                    isBetweenFiles: true)
            }
            unread = size.roundedUp(to: Self.blockSize)
            switch header.type {
            case UInt8(ascii: "L"): longName = Array(try metadata(header).prefix { $0 != 0 })
            case UInt8(ascii: "x"): extended = Self.records(try metadata(header))
            case UInt8(ascii: "0"), 0, UInt8(ascii: "7"):
                let name = extended["path"] ?? longName ?? header.name
                return Member(name: FilePath(name), size: size)
            default: (longName, extended) = (nil, [:])  // folders, links, devices
            }
        }
    }

    /// Reads the content of the member that `next` returned last.
    mutating func content(of member: Member) throws(Failure) -> [UInt8] {
        let bytes = try read(member.size, whole: true)
        unread -= bytes.count
        return bytes
    }

    /// Reads the content of an entry that describes the next one, such as a long name.
    private mutating func metadata(_ header: Header) throws(Failure) -> [UInt8] {
        guard header.size <= 1 << 20 else {
            throw Failure(reason: "a name in it is too long (\(header.size) bytes)")
        }
        let bytes = try read(header.size, whole: true)
        unread -= bytes.count
        return bytes
    }

    private func read(_ count: Int, whole: Bool) throws(Failure) -> [UInt8] {
        do throws(FileError) {
            let bytes = try file.read(count)
            if whole && bytes.count < count {
                throw FileError(reason: "it is truncated within a file")
            }
            return bytes
        } catch {
            throw Failure(reason: error.reason)
        }
    }

    private func skip(_ count: Int) throws(Failure) {
        do throws(FileError) {
            guard try file.skip(count) else {
                throw FileError(reason: "it is truncated within a file")
            }
        } catch {
            throw Failure(reason: error.reason, isBetweenFiles: count < Self.blockSize)
        }
    }

    /// Parses pax records such as "16 path=a/b.jpg\n": the length of the record in bytes, a keyword
    /// and a value.
    private static func records(_ bytes: [UInt8]) -> [String: [UInt8]] {
        var records: [String: [UInt8]] = [:]
        var rest = bytes[...]
        while let space = rest.firstIndex(of: UInt8(ascii: " ")),
            let length = Int(String(decoding: rest[..<space], as: UTF8.self)),
            length > space - rest.startIndex + 1, length <= rest.count
        {
            let record = rest.prefix(length).dropLast()[(space + 1)...]
            rest = rest.dropFirst(length)
            guard let equals = record.firstIndex(of: UInt8(ascii: "=")) else { continue }
            let key = String(decoding: record[..<equals], as: UTF8.self)
            records[key] = Array(record[(equals + 1)...])
        }
        return records
    }
}

/// The header of a tar entry, 512 bytes.
private struct Header {
    let name: [UInt8]
    let size: Int
    let type: UInt8

    /// Parses a header block; nil if its checksum is wrong or a number is malformed.
    init?(_ block: [UInt8]) {
        var sum = 0
        for (index, byte) in block.enumerated() {
            sum += (148..<156).contains(index) ? Int(UInt8(ascii: " ")) : Int(byte)
        }
        guard Self.number(block[148..<156]) == sum, let size = Self.number(block[124..<136]) else {
            return nil
        }
        self.size = size
        type = block[156]
        let name = Array(block[0..<100].prefix { $0 != 0 })
        // Old GNU headers have other fields where ustar has the prefix of a long name.
        let isUstar = Array(block[257..<263]) == Array("ustar\0".utf8)
        let prefix = isUstar ? Array(block[345..<500].prefix { $0 != 0 }) : []
        self.name = prefix.isEmpty ? name : prefix + [UInt8(ascii: "/")] + name
    }

    /// Parses a number: octal digits, or GNU's big-endian binary after a first byte of 0x80; nil if
    /// it is malformed.
    private static func number(_ field: ArraySlice<UInt8>) -> Int? {
        if field.first == 0x80 {
            guard field.dropFirst().dropLast(7).allSatisfy({ $0 == 0 }) else { return nil }
            return field.suffix(7).reduce(0) { $0 << 8 | Int($1) }
        }
        let text = field.drop { $0 == UInt8(ascii: " ") }
        let digits = text.prefix { (UInt8(ascii: "0")...UInt8(ascii: "7")).contains($0) }
        let after = text.dropFirst(digits.count)
        guard after.allSatisfy({ $0 == 0 || $0 == UInt8(ascii: " ") }) else { return nil }
        return digits.isEmpty ? 0 : Int(String(decoding: digits, as: UTF8.self), radix: 8)
    }
}

extension Int {
    fileprivate func roundedUp(to unit: Int) -> Int { (self + unit - 1) / unit * unit }
}
