internal import Files

/// Returns the value of the metadata key `ARROW:schema`: base64 of the Arrow schema of a table
/// whose first column has vectors.
///
/// With it, Arrow's readers return the vectors as lists of a fixed size.
///
/// Source: https://github.com/apache/arrow/blob/main/format/Schema.fbs and Message.fbs
func arrowSchema(_ columns: [ParquetColumn], vectorColumn: String?, dimension: Int) -> String {
    /// The numbers of the types in the union `Type`.
    enum TypeNumber {
        static let integer: UInt8 = 2, floatingPoint: UInt8 = 3, binary: UInt8 = 4
        static let utf8: UInt8 = 5, boolean: UInt8 = 6, fixedSizeList: UInt8 = 16
    }
    func field(
        _ name: String, isOptional: Bool, _ type: UInt8, _ fields: [FlatValue?],
        children: [FlatValue] = []
    ) -> FlatValue {
        .table([
            .string(name), .int8(isOptional ? 1 : 0), .int8(type), .table(fields), nil,
            .tables(children),
        ])
    }
    var fields = columns.map { column in
        let (type, parameters): (UInt8, [FlatValue?]) =
            switch column.kind {
            case .string: (TypeNumber.utf8, [])
            case .bytes: (TypeNumber.binary, [])
            case .integer: (TypeNumber.integer, [.int32(64), .int8(1)])
            case .double: (TypeNumber.floatingPoint, [.int16(2)])
            case .boolean: (TypeNumber.boolean, [])
            }
        return field(column.name, isOptional: column.isOptional, type, parameters)
    }
    if let vectorColumn {
        let element = field("element", isOptional: false, TypeNumber.floatingPoint, [.int16(1)])
        let vectors = field(
            vectorColumn, isOptional: false, TypeNumber.fixedSizeList, [.int32(Int32(dimension))],
            children: [element])
        fields.insert(vectors, at: 0)
    }

    let schema = FlatValue.table([.int16(0), .tables(fields)])
    let schemaNumber: UInt8 = 1
    let version5: Int16 = 4
    let message = flatBuffer(.table([.int16(version5), .int8(schemaNumber), schema, .int64(0)]))
    // The message, encapsulated: a mark and the length.
    var bytes: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF]
    bytes.append(littleEndian: UInt32(message.count))
    return Base64.encode(bytes + message)
}
