internal import Files
internal import Tensors

/// Returns the bytes of a file in NumPy's `.npy` format: float32 in row-major order.
package func npy(_ values: [Float], shape: [Int]) -> [UInt8] {
    npyHeader(shape: shape) + littleEndianBytes(of: values)
}

/// Returns the header of a `.npy` file, version 1.0, for numbers in row-major order.
///
/// It has 128 bytes for a matrix of any size. `type` is NumPy's name of the number format, such as
/// `<f2` for float16.
///
/// Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
func npyHeader(shape: [Int], type: String = "<f4") -> [UInt8] {
    let sides = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
    var header = "{'descr': '\(type)', 'fortran_order': False, 'shape': (\(sides)), }"
    // The numbers start at a multiple of 64 bytes.
    let length = max(118, (header.utf8.count + 1 + 10 + 63) / 64 * 64 - 10)
    header += String(repeating: " ", count: length - 1 - header.utf8.count) + "\n"
    return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(length & 0xFF), UInt8(length >> 8)]
        + Array(header.utf8)
}
