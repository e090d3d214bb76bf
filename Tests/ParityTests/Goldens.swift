import Files
import Tensors
import TestSupport
import Testing

@testable import CLIP
@testable import TensorFiles

/// A file of arrays computed by PyTorch or Pillow.
struct Goldens {
    private let file: SafetensorsFile
    private let bytes: [UInt8]

    init(_ name: String) throws {
        let path = Fixtures.path(name)
        file = try SafetensorsFile(MappedFile(path: path))
        bytes = try TestSupport.bytes(ofFile: path)
    }

    func shape(_ name: String) throws -> [Int] { try #require(file.entries[name], "\(name)").shape }

    func floats(_ name: String) throws -> [Float] {
        let entry = try #require(file.entries[name], "\(name)")
        return try #require(file.storedTensor(entry), "\(name)").load().values
    }

    func bytes(_ name: String) throws -> [UInt8] {
        let entry = try #require(file.entries[name], "\(name)")
        try #require(entry.type == "U8")
        return Array(bytes[entry.byteRange])
    }

    func integers(_ name: String) throws -> [Int] {
        let entry = try #require(file.entries[name], "\(name)")
        try #require(entry.type == "I64")
        return stride(from: entry.byteRange.lowerBound, to: entry.byteRange.upperBound, by: 8).map {
            Int(bytes[$0..<($0 + 8)].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
        }
    }

    /// The names of arrays, in alphabetical order.
    var names: [String] { file.entries.keys.sorted() }
}

/// The worst element; nil if max |found - expected| is at most `limit` times max |expected|.
func relativeDifference(_ found: [Float], _ expected: [Float], limit: Double) -> String? {
    let largest = Double(expected.map(abs).max() ?? 0)
    return worstDifference(found, expected, limit: limit * (largest > 0 ? largest : 1))
}
