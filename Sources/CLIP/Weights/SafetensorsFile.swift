internal import Files
internal import Tensors

/// A safetensors file: a length, a header of JSON that names tensors, and their bytes.
///
/// Nothing of the header is believed before it is checked: every tensor lies where it says, has the
/// size its shape and type make, and together they fill the file without gap or overlap.
///
/// Source: https://github.com/huggingface/safetensors, "Format".
struct SafetensorsFile {
    struct Entry {
        let type: String
        let shape: [Int]
        let byteRange: Range<Int>  // in the file
    }

    let path: String
    let entries: [String: Entry]
    /// Free text that the writer left.
    let metadata: [String: String]
    private let file: MappedFile

    /// The reference implementation permits 100 MB, which take gigabytes once they are parsed.
    /// Headers of models have some hundred kilobytes.
    static let headerLimit = 8_000_000

    static let byteWidths = [
        "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2,
        "BF16": 2, "I32": 4, "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8,
    ]

    /// - Parameter path: what messages call the file.
    init(_ file: MappedFile, path: String) throws(CLIPError) {
        func malformed(_ reason: String) -> CLIPError {
            .malformedWeights(path: path, reason: reason)
        }
        guard file.count > 0 else { throw malformed("it is empty") }
        guard file.count >= 8 else { throw malformed("it is only \(file.count) bytes long") }

        let length = file.number(0, 8)
        guard length <= Self.headerLimit else {
            throw malformed("its header would be \(length) bytes long")
        }
        let dataStart = 8 + Int(length)
        guard dataStart <= file.count else {
            throw malformed("its header should be \(length) bytes long, but it ends before that")
        }
        let header: JSONValue
        do {
            header = try JSONValue(parsing: file.bytes(8..<dataStart))
        } catch {
            throw malformed("its header cannot be read: \(error.reason)")
        }
        guard let members = header.members, file.bytes(8..<9) == [UInt8(ascii: "{")] else {
            throw malformed("its header is not a JSON object")
        }

        var entries: [String: Entry] = [:]
        var metadata: [String: String] = [:]
        for (name, value) in members {
            if name == "__metadata__" {
                guard let texts = value.members else {
                    throw malformed("its metadata is not an object of strings")
                }
                for (key, text) in texts {
                    guard let text = text.string else {
                        throw malformed("its metadata is not an object of strings")
                    }
                    metadata[key] = text
                }
                continue
            }
            do {
                entries[name] = try Self.entry(value, dataStart: dataStart, fileEnd: file.count)
            } catch {
                throw malformed("the tensor \(name) \(error.reason)")
            }
        }
        if let reason = Self.gap(in: entries, dataStart: dataStart, fileEnd: file.count) {
            throw malformed(reason)
        }
        self.path = path
        self.file = file
        self.entries = entries
        self.metadata = metadata
    }

    /// A tensor to be read later; the name must be one of the entries.
    ///
    /// - Returns: nil if its numbers are not of a type that weights have, or if it has none.
    func storedTensor(_ entry: Entry) -> StoredTensor? {
        guard let type = StoredType(rawValue: entry.type), !entry.shape.contains(0) else {
            return nil
        }
        return StoredTensor(
            type: type, shape: entry.shape, file: file, byteRange: entry.byteRange)
    }

    private struct EntryError: Error {
        let reason: String
    }

    private static func entry(
        _ value: JSONValue, dataStart: Int, fileEnd: Int
    ) throws(EntryError) -> Entry {
        guard let type = value["dtype"]?.string,
            let shape = value["shape"]?.array?.map(\.integer),
            let offsets = value["data_offsets"]?.array?.map(\.integer), offsets.count == 2,
            value.members?.count == 3
        else { throw EntryError(reason: "is not described by dtype, shape and data_offsets") }
        guard let width = byteWidths[type] else {
            throw EntryError(reason: "is of the unknown type \(type)")
        }
        guard let begin = offsets[0], let end = offsets[1], begin >= 0, begin <= end else {
            throw EntryError(reason: "has offsets that are no range")
        }
        guard end <= fileEnd - dataStart else {
            throw EntryError(
                reason: "ends at byte \(end) of the data, but there are \(fileEnd - dataStart)")
        }
        var size = width
        var sides: [Int] = []
        for side in shape {
            guard let side, side >= 0 else {
                throw EntryError(reason: "has a shape that is not of whole numbers")
            }
            let (product, overflow) = size.multipliedReportingOverflow(by: side)
            guard !overflow else { throw EntryError(reason: "has a shape too large to count") }
            size = product
            sides.append(side)
        }
        guard size == end - begin else {
            throw EntryError(
                reason: "is \(type) \(sides), \(size) bytes, but takes \(end - begin)")
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
                    "\(entry.byteRange.lowerBound - position) bytes before the tensor \(name) belong to none"
            }
            position = entry.byteRange.upperBound
        }
        return position == fileEnd
            ? nil : "\(fileEnd - position) bytes at its end belong to no tensor"
    }
}
