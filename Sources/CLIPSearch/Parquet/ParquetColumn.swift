/// A column of a Parquet file with one value in each row.
package struct ParquetColumn: Hashable, Sendable {
    /// The type of the values.
    package enum Kind: Sendable {
        /// UTF-8: BYTE_ARRAY, annotated as a string.
        case string
        /// Bytes without a meaning: BYTE_ARRAY.
        case bytes
        /// Integers of 64 bits: INT64.
        case integer
        /// Numbers of 64 bits: DOUBLE.
        case double
        /// Truth values: BOOLEAN.
        case boolean
    }

    package let name: String
    package let kind: Kind
    /// True if rows may have no value.
    package let isOptional: Bool

    package init(name: String, kind: Kind, isOptional: Bool) {
        self.name = name
        self.kind = kind
        self.isOptional = isOptional
    }
}

/// A value of a column of a Parquet file.
package enum ParquetValue: Hashable, Sendable {
    case null
    /// The UTF-8 of a string.
    case string([UInt8])
    case bytes([UInt8])
    case integer(Int64)
    case double(Double)
    case boolean(Bool)
}
