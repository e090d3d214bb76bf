/// Splits interleaved RGB into three planes of floats, by one lookup table per channel.
///
/// - Parameters:
///   - pixels: RGB bytes; their number is a multiple of 3.
///   - levels: For each channel, the normalised values of the bytes 0 to 255.
/// - Returns: The planes, channel-first: all red values, then green, then blue.
package func planes(of pixels: [UInt8], levels: [[Float]]) -> [Float] {
    precondition(
        pixels.count % 3 == 0 && levels.map(\.count) == [256, 256, 256],
        """
        expected whole RGB pixels and three tables of 256 values, found \(pixels.count) bytes and \
        tables of \(levels.map(\.count)) values
        """)
    let area = pixels.count / 3
    return [Float](unsafeUninitializedCapacity: pixels.count) { target, count in
        count = pixels.count
        guard let target = target.baseAddress else { return }
        pixels.withUnsafeBufferPointer { pixels in
            for (channel, values) in levels.enumerated() {
                let plane = target + channel * area
                values.withUnsafeBufferPointer { values in
                    for i in 0..<area { plane[i] = values[Int(pixels[3 * i + channel])] }
                }
            }
        }
    }
}
