/// Converts CMYK to RGB as Pillow does, without a colour profile; 0 is no ink.
package func withoutInk(_ cyan: UInt8, _ magenta: UInt8, _ yellow: UInt8, _ black: UInt8) -> (
    UInt8, UInt8, UInt8
) {
    let white = 255 - black
    func light(_ ink: UInt8) -> UInt8 { white - min(white, product(ink, white)) }
    return (light(cyan), light(magenta), light(yellow))
}

/// Returns a · b / 255, rounded as Pillow does.
private func product(_ a: UInt8, _ b: UInt8) -> UInt8 {
    let product = UInt32(a) * UInt32(b) + 128
    return UInt8((product + product >> 8) >> 8)
}

/// Converts 16-bit grey to 8-bit RGB; values above 255 become 255, as in Pillow.
package func clipped(_ values: [UInt16]) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(3 * values.count)
    for value in values {
        let grey = UInt8(min(255, value))
        result.append(grey)
        result.append(grey)
        result.append(grey)
    }
    return result
}
