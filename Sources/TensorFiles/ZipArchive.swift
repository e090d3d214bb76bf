internal import Files
internal import Tensors

/// A zip archive as PyTorch writes it: its records are not compressed.
///
/// The directory is checked before it is used. Each record is a byte range of the mapped file, so
/// tensors need not be copied.
///
/// Source: APPNOTE.TXT of PKWARE, 4.3 and 4.5.3 (Zip64).
struct ZipArchive {
    /// A file in the archive.
    struct Record: Equatable {
        /// The byte range of the record's content in the file.
        let range: Range<Int>
        /// True if the record is neither compressed nor encrypted.
        let isPlain: Bool
    }

    /// The records by their paths in the archive.
    private(set) var records: [String: Record] = [:]
    private let file: MappedFile

    private static let recordLimit = 1 << 20

    init(_ file: MappedFile) throws(FormatError) {
        self.file = file
        let directory = try Self.directory(of: file)
        var position = directory.range.lowerBound
        var taken: [(range: Range<Int>, name: String)] = []
        for _ in 0..<directory.count {
            let entry = try entry(at: &position, end: directory.range.upperBound)
            let (name, start) = (entry.name, entry.localHeader)
            let data = try data(of: entry, end: directory.range.lowerBound)
            guard
                records.updateValue(.init(range: data, isPlain: entry.isPlain), forKey: name) == nil
            else { throw FormatError("the record \(name) appears twice") }
            taken.append((start..<data.upperBound, name))
        }
        guard position == directory.range.upperBound else {
            throw FormatError("the zip directory has extra bytes after its last record")
        }
        taken.sort { $0.range.lowerBound < $1.range.lowerBound }
        for (one, next) in zip(taken, taken.dropFirst())
        where one.range.upperBound > next.range.lowerBound {
            throw FormatError("the records \(one.name) and \(next.name) overlap")
        }
    }

    /// Returns the bytes of an uncompressed record; nil if no record has this name.
    func bytes(_ name: String, limit: Int) throws(FormatError) -> [UInt8]? {
        guard let record = records[name] else { return nil }
        guard record.isPlain else {
            throw FormatError("the record \(name) is compressed or encrypted")
        }
        guard record.range.count <= limit else {
            throw FormatError(
                "the record \(name) is too large", expected: "at most \(limit) bytes",
                found: "\(record.range.count) bytes")
        }
        return file.bytes(record.range)
    }

    // MARK: the directory

    private struct Entry {
        let name: String
        let isPlain: Bool
        let size: Int
        let localHeader: Int
    }

    /// Reads a little-endian number of `width` bytes.
    private func number(_ offset: Int, _ width: Int) -> UInt64 { file.number(offset, width) }

    /// Returns the byte range of the zip directory and the number of its records.
    private static func directory(
        of file: MappedFile
    ) throws(FormatError) -> (range: Range<Int>, count: Int) {
        let cut = FormatError(
            "the zip directory at the end of the file is missing; the file may be truncated")
        // The end record has 22 bytes and a comment of at most 65,535.
        let tailStart = max(0, file.count - 22 - 0xFFFF)
        let tail = file.bytes(tailStart..<file.count)
        var place = tail.count - 22
        while place >= 0 {
            if tail[place] == 0x50, tail[place + 1] == 0x4B, tail[place + 2] == 5,
                tail[place + 3] == 6,
                file.number(tailStart + place + 20, 2) == UInt64(tail.count - 22 - place)
            {
                break
            }
            place -= 1
        }
        guard place >= 0 else { throw cut }
        let end = tailStart + place
        var (count, size, offset) = (
            file.number(end + 10, 2), file.number(end + 12, 4), file.number(end + 16, 4)
        )
        var limit = end
        let locator = end - 20
        if locator >= 0, file.number(locator, 4) == 0x0706_4B50 {
            let record = file.number(locator + 8, 8)
            guard record <= UInt64(max(locator - 56, 0)), locator >= 56,
                file.number(Int(record), 4) == 0x0606_4B50
            else { throw FormatError("the end of the zip directory is damaged") }
            limit = Int(record)
            count = file.number(limit + 32, 8)
            size = file.number(limit + 40, 8)
            offset = file.number(limit + 48, 8)
        }
        guard count <= UInt64(recordLimit) else {
            throw FormatError(
                "the zip directory is too long", expected: "at most \(recordLimit) records",
                found: "\(count) records")
        }
        guard offset <= UInt64(limit), size <= UInt64(limit) - offset, size >= 46 * count else {
            throw FormatError(
                "the zip directory is not at the offset that the end of the file states")
        }
        return (Int(offset)..<Int(offset + size), Int(count))
    }

    private func entry(at position: inout Int, end: Int) throws(FormatError) -> Entry {
        let start = position
        guard end - start >= 46, number(start, 4) == 0x0201_4B50 else {
            throw FormatError("the zip directory is damaged")
        }
        let (flags, method) = (number(start + 8, 2), number(start + 10, 2))
        var stored = number(start + 20, 4)
        var size = number(start + 24, 4)
        var offset = number(start + 42, 4)
        let (nameLength, extraLength, commentLength) = (
            Int(number(start + 28, 2)), Int(number(start + 30, 2)), Int(number(start + 32, 2))
        )
        let extra = start + 46 + nameLength
        position = extra + extraLength + commentLength
        guard position <= end else { throw FormatError("the zip directory is damaged") }
        guard let name = String(validating: file.bytes(start + 46..<extra), as: UTF8.self),
            Self.isSafe(name)
        else { throw FormatError("the name of a record is not a safe relative path in UTF-8") }

        // The extra field of Zip64 has the values that need more than 32 bits, in this order.
        var field = extra
        while field + 4 <= extra + extraLength {
            let fieldEnd = field + 4 + Int(number(field + 2, 2))
            guard fieldEnd <= extra + extraLength else { break }
            if number(field, 2) == 1 {
                var value = field + 4
                func wide(_ narrow: UInt64) throws(FormatError) -> UInt64 {
                    guard narrow == 0xFFFF_FFFF else { return narrow }
                    guard value + 8 <= fieldEnd else {
                        throw FormatError("the size or offset of the record \(name) is missing")
                    }
                    defer { value += 8 }
                    return number(value, 8)
                }
                size = try wide(size)
                stored = try wide(stored)
                offset = try wide(offset)
            }
            field = fieldEnd
        }
        guard stored <= UInt64(file.count), offset <= UInt64(file.count) else {
            throw FormatError("the record \(name) extends past the end of the file")
        }
        // The flags are encryption (0x1), patched data (0x20), strong encryption (0x40) and masked
        // headers (0x2000).
        let isPlain = method == 0 && flags & 0x2061 == 0 && stored == size
        return Entry(name: name, isPlain: isPlain, size: Int(stored), localHeader: Int(offset))
    }

    /// Returns the byte range of a record according to its local header, which must have the same
    /// name.
    private func data(of entry: Entry, end: Int) throws(FormatError) -> Range<Int> {
        let header = entry.localHeader
        guard header + 30 <= end, number(header, 4) == 0x0403_4B50 else {
            throw FormatError(
                "the record \(entry.name) does not begin where the zip directory says")
        }
        let name = header + 30..<header + 30 + Int(number(header + 26, 2))
        let start = name.upperBound + Int(number(header + 28, 2))
        guard start <= end, entry.size <= end - start else {
            throw FormatError("the record \(entry.name) extends past the end of the zip data")
        }
        guard file.bytes(name) == Array(entry.name.utf8) else {
            throw FormatError("the record \(entry.name) has another name in its local header")
        }
        return start..<start + entry.size
    }

    /// Returns true if a name is a relative path without `.`, `..`, backslash, zero byte or empty
    /// component; it may end with a slash.
    private static func isSafe(_ name: String) -> Bool {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        return !name.isEmpty && !name.contains("\\") && !name.unicodeScalars.contains("\0")
            && !parts.dropLast().contains { ["", ".", ".."].contains($0) }
            && ![".", ".."].contains(parts.last)
    }
}
