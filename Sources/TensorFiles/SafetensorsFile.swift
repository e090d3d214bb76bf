package import Files
package import Tensors

/// A safetensors file: the length of the header, the header in JSON, and the bytes of the tensors.
///
/// The header is checked before it is used: each tensor lies within the file and has the size that
/// its shape and type require, and all tensors together fill the file without gap or overlap.
///
/// Source: https://github.com/huggingface/safetensors, "Format".
package struct SafetensorsFile {
    /// The header's description of a tensor.
    package struct Entry {
        package let type: String
        package let shape: [Int]
        package let byteRange: Range<Int>  // in the file
    }

    package let entries: [String: Entry]
    /// The strings of the header's `__metadata__`, by their keys.
    package let metadata: [String: String]
    private let file: MappedFile

    /// The largest size of the header, in bytes.
    ///
    /// The headers of models take a few hundred kilobytes. The reference implementation permits
    /// 100 MB, which would take gigabytes once parsed.
    static let headerLimit = 8_000_000

    static let byteWidths = [
        "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2,
        "BF16": 2, "I32": 4, "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8,
    ]

    /// Reads and checks the header of a file.
    package init(_ file: MappedFile) throws(FormatError) {
        guard file.count > 0 else { throw FormatError("the file is empty") }
        guard file.count >= 8 else {
            throw FormatError(
                "the file is too short", expected: "at least 8 bytes", found: "\(file.count) bytes")
        }

        let length = file.number(0, 8)
        guard length <= Self.headerLimit else {
            throw FormatError(
                "the header is too long", expected: "at most \(Self.headerLimit) bytes",
                found: "\(length) bytes")
        }
        let dataStart = 8 + Int(length)
        guard dataStart <= file.count else {
            throw FormatError(
                "the header is truncated", expected: "\(length) bytes",
                found: "\(file.count - 8) bytes")
        }
        let header: JSONValue
        do {
            header = try JSONValue(parsing: file.bytes(8..<dataStart))
        } catch {
            throw FormatError("the header cannot be read: \(error.reason)")
        }
        guard let members = header.members, file.bytes(8..<9) == [UInt8(ascii: "{")] else {
            throw FormatError("the header is not a JSON object")
        }

        var entries: [String: Entry] = [:]
        var metadata: [String: String] = [:]
        for (name, value) in members {
            if name == "__metadata__" {
                guard let texts = value.members else {
                    throw FormatError("__metadata__ is not an object of strings")
                }
                for (key, text) in texts {
                    guard let text = text.string else {
                        throw FormatError("__metadata__ is not an object of strings")
                    }
                    metadata[key] = text
                }
                continue
            }
            do {
                entries[name] = try Self.entry(value, dataStart: dataStart, fileEnd: file.count)
            } catch {
                throw error.of(tensor: name)
            }
        }
        if let reason = Self.gap(in: entries, dataStart: dataStart, fileEnd: file.count) {
            throw FormatError(reason)
        }
        self.file = file
        self.entries = entries
        self.metadata = metadata
    }

    /// Returns the tensor of an entry, without reading its numbers.
    ///
    /// - Parameter entry: One of `entries`.
    /// - Returns: The tensor; nil if its type is not one of `StoredType`, or if it is empty.
    package func storedTensor(_ entry: Entry) -> StoredTensor? {
        guard let type = StoredType(rawValue: entry.type), !entry.shape.contains(0) else {
            return nil
        }
        return StoredTensor(
            type: type, shape: entry.shape, file: file, byteRange: entry.byteRange)
    }

    private static func entry(
        _ value: JSONValue, dataStart: Int, fileEnd: Int
    ) throws(FormatError) -> Entry {
        guard let type = value["dtype"]?.string,
            let shape = value["shape"]?.array?.map(\.integer),
            let offsets = value["data_offsets"]?.array?.map(\.integer), offsets.count == 2,
            value.members?.count == 3
        else { throw FormatError("is not described by exactly dtype, shape and data_offsets") }
        guard let width = byteWidths[type] else {
            throw FormatError("has the unknown type \(type)")
        }
        guard let begin = offsets[0], let end = offsets[1], begin >= 0, begin <= end else {
            throw FormatError("has data_offsets that are not a range")
        }
        guard end <= fileEnd - dataStart else {
            throw FormatError(
                "ends at byte \(end) of the data", expected: "at most \(fileEnd - dataStart)")
        }
        var size = width
        var sides: [Int] = []
        for side in shape {
            guard let side, side >= 0 else {
                throw FormatError("has a shape that is not a list of non-negative integers")
            }
            let (product, overflow) = size.multipliedReportingOverflow(by: side)
            guard !overflow else { throw FormatError("has a shape whose size overflows 64 bits") }
            size = product
            sides.append(side)
        }
        guard size == end - begin else {
            throw FormatError(
                "has a size that does not fit its type and shape",
                expected: "\(size) bytes for \(type) \(sides)", found: "\(end - begin) bytes")
        }
        return Entry(type: type, shape: sides, byteRange: dataStart + begin..<dataStart + end)
    }

    private static func gap(
        in entries: [String: Entry], dataStart: Int, fileEnd: Int
    ) -> String? {
        var position = dataStart
        let inOrder = entries.sorted {
            ($0.value.byteRange.lowerBound, $0.value.byteRange.upperBound)
                < ($1.value.byteRange.lowerBound, $1.value.byteRange.upperBound)
        }
        for (name, entry) in inOrder {
            if entry.byteRange.lowerBound < position {
                return "the tensor \(name) overlaps another"
            }
            if entry.byteRange.lowerBound > position {
                return
                    """
                    \(entry.byteRange.lowerBound - position) bytes before the tensor \(name) \
                    belong to no tensor
                    """
            }
            position = entry.byteRange.upperBound
        }
        return position == fileEnd
            ? nil : "\(fileEnd - position) bytes at the end belong to no tensor"
    }
}
