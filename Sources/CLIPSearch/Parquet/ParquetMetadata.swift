internal import Files

/// The footer of a Parquet file.
struct ParquetMetadata {
    /// An element of the schema, which lists the tree of columns from the top down.
    struct SchemaElement {
        var name = ""
        /// The physical type of a column; nil for a group.
        var type: ParquetType?
        /// The number of bytes of a value of fixed length.
        var typeLength = 0
        var repetition = ParquetRepetition.required
        var childCount = 0
        /// The number of the annotation in the older list of them.
        var converted: Int?
        /// The number of the annotation in the newer list of them.
        var logical: Int?
        /// False for an integer without a sign.
        var isSigned = true
    }

    /// The place of a column's pages.
    struct Chunk {
        var type = -1
        var codec = 0
        var valueCount = 0
        var size = 0
        var dataOffset = 0
        var dictionaryOffset: Int?
        var isElsewhere = false
    }

    struct RowGroup {
        var rowCount = 0
        var chunks: [Chunk] = []
    }

    private(set) var schema: [SchemaElement] = []
    private(set) var rowCount = 0
    private(set) var rowGroups: [RowGroup] = []
    private(set) var pairs: [(key: String, value: String)] = []

    /// Reads a footer.
    init(_ file: MappedFile, _ range: Range<Int>) throws(FileError) {
        var reader = ThriftReader(file, range)
        var number = 0
        while let type = try reader.field(&number) {
            switch number {
            case 2:
                for _ in 0..<(try reader.structures(type)) {
                    schema.append(try SchemaElement(&reader))
                }
            case 3: rowCount = try reader.count(type)
            case 4:
                for _ in 0..<(try reader.structures(type)) {
                    rowGroups.append(try RowGroup(&reader))
                }
            case 5:
                for _ in 0..<(try reader.structures(type)) {
                    pairs.append(try Self.pair(&reader))
                }
            default: try reader.skip(type)
            }
        }
    }

    private static func pair(
        _ reader: inout ThriftReader
    ) throws(FileError) -> (key: String, value: String) {
        var pair = (key: "", value: "")
        var number = 0
        while let type = try reader.field(&number) {
            switch number {
            case 1: pair.key = try reader.string(type)
            case 2: pair.value = try reader.string(type)
            default: try reader.skip(type)
            }
        }
        return pair
    }
}

extension ParquetMetadata.SchemaElement {
    fileprivate init(_ reader: inout ThriftReader) throws(FileError) {
        var number = 0
        while let type = try reader.field(&number) {
            switch number {
            case 1:
                let found = try reader.integer(type)
                guard let physical = ParquetType(rawValue: found) else {
                    throw parquetDamage("its schema has a column of unknown type \(found)")
                }
                self.type = physical
            case 2: typeLength = try reader.count(type)
            case 3:
                let found = try reader.integer(type)
                guard let repetition = ParquetRepetition(rawValue: found) else {
                    throw parquetDamage("its schema has an unknown repetition \(found)")
                }
                self.repetition = repetition
            case 4: name = try reader.string(type)
            case 5: childCount = try reader.count(type)
            case 6: converted = try reader.integer(type)
            case 10:
                try reader.structure(type)
                try readAnnotation(&reader)
            default: try reader.skip(type)
            }
        }
        if let converted, 11...14 ~= converted { isSigned = false }
    }

    /// Reads the annotation, a union: the number of its field is the kind.
    private mutating func readAnnotation(_ reader: inout ThriftReader) throws(FileError) {
        var number = 0
        while let type = try reader.field(&number) {
            logical = number
            guard number == 10, type == .structure else {
                try reader.skip(type)
                continue
            }
            var inner = 0
            while let type = try reader.field(&inner) {
                if inner == 2 { isSigned = try reader.boolean(type) } else { try reader.skip(type) }
            }
        }
    }
}

extension ParquetMetadata.RowGroup {
    fileprivate init(_ reader: inout ThriftReader) throws(FileError) {
        var number = 0
        while let type = try reader.field(&number) {
            switch number {
            case 1:
                for _ in 0..<(try reader.structures(type)) {
                    chunks.append(try ParquetMetadata.Chunk(&reader))
                }
            case 3: rowCount = try reader.count(type)
            default: try reader.skip(type)
            }
        }
    }
}

extension ParquetMetadata.Chunk {
    fileprivate init(_ reader: inout ThriftReader) throws(FileError) {
        var number = 0
        var hasMetadata = false
        while let type = try reader.field(&number) {
            switch number {
            case 1:
                _ = try reader.string(type)
                isElsewhere = true
            case 3:
                try reader.structure(type)
                try readMetadata(&reader)
                hasMetadata = true
            default: try reader.skip(type)
            }
        }
        guard hasMetadata else { throw parquetDamage("a column in a row group is not described") }
    }

    private mutating func readMetadata(_ reader: inout ThriftReader) throws(FileError) {
        var number = 0
        while let type = try reader.field(&number) {
            switch number {
            case 1: self.type = try reader.integer(type)
            case 4: codec = try reader.integer(type)
            case 5: valueCount = try reader.count(type)
            case 7: size = try reader.count(type)
            case 9: dataOffset = try reader.count(type)
            case 11: dictionaryOffset = try reader.count(type)
            default: try reader.skip(type)
            }
        }
    }
}
