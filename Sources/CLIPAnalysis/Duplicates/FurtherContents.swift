/// Returns true for a file of a format that may contain more than the image that is decoded.
///
/// RAW files have the pixels of the sensor. TIFF, HEIF, AVIF and JPEG XL may have further pages,
/// frames or deeper samples, which are not examined.
func isOfRicherFormat(_ file: [UInt8]) -> Bool {
    let signatures: [[UInt8]] = [
        Array("II*\0".utf8), Array("MM\0*".utf8), Array("II+\0".utf8), Array("MM\0+".utf8),
        Array("IIU\0".utf8), Array("IIRO".utf8), Array("IIRS".utf8), Array("MMOR".utf8),
        Array("FUJIFILMCCD-RAW".utf8), [0xFF, 0x0A], [0, 0, 0, 0x0C] + Array("JXL ".utf8),
    ]
    return signatures.contains { file.starts(with: $0) }
        || file.dropFirst(4).starts(with: "ftyp".utf8)
}

/// Returns true for a GIF with a second frame.
func isAnimated(gif file: [UInt8]) -> Bool {
    guard file.starts(with: "GIF8".utf8), file.count > 13 else { return false }
    /// The size of the palette whose description is in the flags at an offset.
    func paletteSize(_ offset: Int) -> Int {
        guard offset < file.count, file[offset] & 0x80 != 0 else { return 0 }
        return 6 << Int(file[offset] & 7)
    }
    var offset = 13 + paletteSize(10)
    var frames = 0
    while offset < file.count {
        switch file[offset] {
        case 0x2C:
            frames += 1
            if frames == 2 { return true }
            // The rectangle, the palette, and the size of the codes.
            offset += 10 + paletteSize(offset + 9) + 1
        case 0x21: offset += 2
        case 0x3B: return false
        default:
            offset += 1
            continue
        }
        while offset < file.count, file[offset] > 0 { offset += 1 + Int(file[offset]) }
        offset += 1
    }
    return false
}
