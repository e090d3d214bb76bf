import CLIPSearch

/// NumPy's .npy: float32 in row-major order.
func npy(_ values: [Float], shape: [Int]) -> [UInt8] {
    var bytes = npyHeader(shape: shape)
    bytes.reserveCapacity(bytes.count + 4 * values.count)
    for value in values {
        withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
    }
    return bytes
}
