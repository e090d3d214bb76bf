// Numbers of the Parquet format.
// Source: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift

/// The physical type of a column.
enum ParquetType: Int {
    case boolean, int32, int64, int96, float, double, byteArray, fixedLengthByteArray
}

/// The number of values of a column in its parent: exactly one, at most one, or any number.
enum ParquetRepetition: Int {
    case required, optional, repeated
}

/// The encodings that are written or read.
enum ParquetEncoding {
    static let plain = 0
    static let plainDictionary = 2
    static let runLength = 3
    static let dictionaryIndices = 8

    /// Returns the name of an encoding in the format's definition.
    static func name(_ encoding: Int) -> String {
        let names = [
            "PLAIN", "GROUP_VAR_INT", "PLAIN_DICTIONARY", "RLE", "BIT_PACKED",
            "DELTA_BINARY_PACKED", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY", "RLE_DICTIONARY",
            "BYTE_STREAM_SPLIT",
        ]
        return names.indices.contains(encoding) ? names[encoding] : "encoding \(encoding)"
    }
}

/// The compressions that are read.
enum ParquetCodec {
    static let none = 0
    static let snappy = 1

    /// Returns the name of a compression in the format's definition.
    static func name(_ codec: Int) -> String {
        let names = [
            "UNCOMPRESSED", "SNAPPY", "GZIP", "LZO", "BROTLI", "LZ4", "ZSTD", "LZ4_RAW",
        ]
        return names.indices.contains(codec) ? names[codec] : "codec \(codec)"
    }
}

/// The kinds of pages.
enum ParquetPageType {
    static let data = 0
    static let index = 1
    static let dictionary = 2
    static let dataV2 = 3
}

/// The largest number of dimensions of a vector in a table that is read or written.
let mostDimensions = 1 << 28

/// The bytes at the beginning and at the end of a Parquet file.
let parquetMagic = Array("PAR1".utf8)
