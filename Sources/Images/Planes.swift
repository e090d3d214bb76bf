/// The planes of interleaved RGB, each byte replaced by its channel's value for it.
///
/// - Parameter levels: 256 values for each of the three channels.
package func planes(of pixels: [UInt8], levels: [[Float]]) -> [Float] {
    precondition(pixels.count % 3 == 0 && levels.map(\.count) == [256, 256, 256])
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
