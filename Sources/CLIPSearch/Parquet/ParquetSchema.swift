internal import Files

/// A column of values in the schema of a Parquet file that can be read.
struct ParquetLeaf {
    /// The structure of the column.
    enum Shape {
        /// At most one value in each row.
        case flat(ParquetColumn)
        /// A list of numbers in each row. Values and null elements have a definition level of at
        /// least `listLevel`.
        case vector(listLevel: Int, isOptional: Bool)
    }

    let name: String
    /// The number of the column among all columns of values.
    let index: Int
    let type: ParquetType
    /// False for an integer without a sign.
    let isSigned: Bool
    let shape: Shape
    /// The definition level of a value that is not null.
    let maxDefinition: Int

    /// True if each row may have several values.
    var isVector: Bool {
        if case .vector = shape { true } else { false }
    }

    /// True for a column of lists that may be null.
    var hasNullLists: Bool {
        if case .vector(_, let isOptional) = shape { isOptional } else { false }
    }
}

extension ParquetMetadata {
    /// The largest depth of groups within each other.
    private static let depthLimit = 64

    /// Returns the columns that can be read, the names of the others, and the number of all columns
    /// of values.
    func leaves() throws(FileError) -> (leaves: [ParquetLeaf], others: [String], count: Int) {
        guard let root = schema.first, root.type == nil else {
            throw parquetDamage("it has no schema")
        }
        var leaves: [ParquetLeaf] = []
        var others: [String] = []
        var (place, count) = (1, 0)
        for _ in 0..<root.childCount {
            let start = place
            let index = count
            try skip(&place, &count, depth: 0)
            if let leaf = leaf(Array(schema[start..<min(place, start + 4)]), index: index),
                count == index + 1
            {
                leaves.append(leaf)
            } else {
                others.append(schema[start].name)
            }
        }
        guard place == schema.count else {
            throw parquetDamage("expected \(place) elements in its schema, found \(schema.count)")
        }
        return (leaves, others, count)
    }

    /// Advances over a subtree of the schema, and counts its columns.
    private func skip(_ place: inout Int, _ count: inout Int, depth: Int) throws(FileError) {
        guard place < schema.count, depth < Self.depthLimit else {
            throw parquetDamage("its schema is truncated or too deep")
        }
        let element = schema[place]
        place += 1
        guard element.type == nil else {
            guard element.childCount == 0 else {
                throw parquetDamage("its schema has a column of values with children")
            }
            count += 1
            return
        }
        for _ in 0..<element.childCount { try skip(&place, &count, depth: depth + 1) }
    }

    /// Returns the column of a subtree of the schema; nil if it has another structure or type than
    /// those that can be read.
    private func leaf(_ tree: [SchemaElement], index: Int) -> ParquetLeaf? {
        guard let top = tree.first, let last = tree.last, let type = last.type else { return nil }
        func vector(listLevel: Int, maxDefinition: Int) -> ParquetLeaf? {
            guard last.isNumber else { return nil }
            let shape = ParquetLeaf.Shape.vector(
                listLevel: listLevel, isOptional: top.repetition == .optional)
            return ParquetLeaf(
                name: top.name, index: index, type: type, isSigned: true, shape: shape,
                maxDefinition: maxDefinition)
        }
        if tree.count == 1, top.repetition == .repeated {
            return vector(listLevel: 1, maxDefinition: 1)
        }
        if tree.count == 1 {
            guard let kind = top.kind else { return nil }
            let isOptional = top.repetition == .optional
            let column = ParquetColumn(name: top.name, kind: kind, isOptional: isOptional)
            return ParquetLeaf(
                name: top.name, index: index, type: type, isSigned: top.isSigned,
                shape: .flat(column), maxDefinition: isOptional ? 1 : 0)
        }
        guard top.converted == 3 || top.logical == 3, top.repetition != .repeated,
            tree[1].repetition == .repeated
        else { return nil }
        let listLevel = top.repetition == .optional ? 2 : 1
        if tree.count == 2 { return vector(listLevel: listLevel, maxDefinition: listLevel) }
        guard tree.count == 3, last.repetition != .repeated else { return nil }
        let isOptional = last.repetition == .optional
        return vector(listLevel: listLevel, maxDefinition: listLevel + (isOptional ? 1 : 0))
    }
}

extension ParquetMetadata.SchemaElement {
    /// True for numbers of 16, 32 or 64 bits in floating point.
    fileprivate var isNumber: Bool {
        switch type {
        case .float, .double: true
        case .fixedLengthByteArray: typeLength == 2 && logical == 15
        default: false
        }
    }

    /// The kind of the values; nil for another one than those that can be read, such as dates.
    fileprivate var kind: ParquetColumn.Kind? {
        switch type {
        case .boolean: return .boolean
        case .float, .double: return .double
        case .int32, .int64:
            // Without an annotation, or an integer of some size.
            let isPlain = logical == nil && converted.map { 11...18 ~= $0 } ?? true
            return isPlain || logical == 10 ? .integer : nil
        case .byteArray:
            switch (logical, converted) {
            case (1, _), (4, _), (12, _), (nil, 0), (nil, 4), (nil, 19): return .string
            case (nil, nil), (13, _), (nil, 20): return .bytes
            default: return nil
            }
        default: return nil
        }
    }
}
