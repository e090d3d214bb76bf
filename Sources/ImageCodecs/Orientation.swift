extension DecodedImage {
    /// The picture the way its camera was held: EXIF's orientation applied.
    ///
    /// Orientations 2, 4, 5 and 7 mirror; 3 turns by 180°, 6 by 90° clockwise, 8 counter-clockwise.
    package func upright() -> DecodedImage {
        guard (2...8).contains(orientation) else { return self }
        let isSideways = orientation >= 5
        let newWidth = isSideways ? height : width
        let newHeight = isSideways ? width : height

        // Where the first pixel comes from, and how far apart its neighbours to the right and below
        // lie in the source, in pixels.
        let right = width - 1
        let below = (height - 1) * width
        let (start, stepX, stepY) =
            switch orientation {
            case 2: (right, -1, width)
            case 3: (below + right, -1, -width)
            case 4: (below, 1, -width)
            case 5: (0, width, 1)
            case 6: (below, -width, 1)
            case 7: (below + right, -width, -1)
            default: (right, width, -1)
            }
        let size = bytesPerPixel
        let turned = [UInt8](unsafeUninitializedCapacity: samples.count) { buffer, initialized in
            var target = 0
            for y in 0..<newHeight {
                var source = size * (start + y * stepY)
                for _ in 0..<newWidth {
                    for i in 0..<size { buffer[target + i] = samples[source + i] }
                    target += size
                    source += size * stepX
                }
            }
            initialized = samples.count
        }
        return DecodedImage(
            width: newWidth, height: newHeight, kind: kind, hasMask: hasMask,
            bytesPerPixel: size, samples: turned, orientation: 1)
    }
}
