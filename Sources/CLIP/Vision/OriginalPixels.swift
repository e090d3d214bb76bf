internal import Tensors

/// The pixels of pictures that Pillow resizes before they are RGB.
enum OriginalPixels: Sendable, Equatable {
    /// RGB of which one colour is named as transparent: it is resized as if it were opaque.
    case opaque
    /// Entries of a palette, or black and white: Pillow takes the nearest pixel, and mixes none.
    case indexed
    /// Cyan, magenta, yellow and black, four bytes a pixel; 0 is no ink.
    case inks([UInt8])
    /// Grey of 16 bits, which is clipped to 255 after it is resized.
    case grey16([UInt16])
}

/// Ink to light, as Pillow has it: no colour profile is applied.
func withoutInk(_ cyan: UInt8, _ magenta: UInt8, _ yellow: UInt8, _ black: UInt8) -> (
    UInt8, UInt8, UInt8
) {
    let white = 255 - black
    func light(_ ink: UInt8) -> UInt8 { white - min(white, product(ink, white)) }
    return (light(cyan), light(magenta), light(yellow))
}

/// a * b / 255, rounded as Pillow rounds it.
func product(_ a: UInt8, _ b: UInt8) -> UInt8 {
    let product = UInt32(a) * UInt32(b) + 128
    return UInt8((product + product >> 8) >> 8)
}

/// RGB on a white ground, as Pillow's `alpha_composite` has it.
func onWhite(_ image: RGBImage) -> [UInt8] {
    guard let alpha = image.alpha else { return image.pixels }
    return image.pixels.indices.map { i in
        let (colour, opacity) = (UInt32(image.pixels[i]), UInt32(alpha[i / 3]))
        let sum = (colour * opacity + 255 * (255 - opacity) + 0x80) << 7
        return UInt8(((sum >> 8 + sum) >> 8) >> 7)
    }
}

/// Grey of 16 bits as RGB of 8, where all above 255 is white.
func clipped(_ values: [UInt16]) -> [UInt8] {
    values.flatMap { [UInt8](repeating: UInt8(min(255, $0)), count: 3) }
}

/// Numbers of two bytes, the high one first.
func numbers(of bytes: [UInt8]) -> [UInt16] {
    stride(from: 0, to: bytes.count, by: 2).map { UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]) }
}

extension [UInt8] {
    /// Three bytes made of every four.
    func everyFourth(
        _ make: (UInt8, UInt8, UInt8, UInt8) -> (UInt8, UInt8, UInt8)
    ) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(count / 4 * 3)
        for i in stride(from: 0, to: count, by: 4) {
            let (a, b, c) = make(self[i], self[i + 1], self[i + 2], self[i + 3])
            result.append(a)
            result.append(b)
            result.append(c)
        }
        return result
    }
}
