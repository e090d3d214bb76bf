internal import Images

extension RGBImage {
    /// The order of a pixel's channels in memory, with one byte per channel.
    ///
    /// ```swift
    /// let image = try RGBImage(width: 640, height: 480, bytes: frame, order: .bgra)
    /// ```
    public enum ChannelOrder: String, Sendable, CaseIterable, Codable {
        case rgb, bgr
        case rgba, bgra, argb, abgr
        /// A single channel of brightness.
        case grey

        /// The offsets of red, green and blue in a pixel, in bytes.
        fileprivate var colours: [Int] {
            switch self {
            case .rgb, .rgba: [0, 1, 2]
            case .bgr, .bgra: [2, 1, 0]
            case .argb: [1, 2, 3]
            case .abgr: [3, 2, 1]
            case .grey: [0]
            }
        }

        /// The number of bytes of a pixel.
        public var bytesPerPixel: Int {
            switch self {
            case .grey: 1
            case .rgb, .bgr: 3
            case .rgba, .bgra, .argb, .abgr: 4
            }
        }
    }

    /// Makes an image from raw pixels, such as a frame of a camera.
    ///
    /// ```swift
    /// let image = try RGBImage(
    ///     width: 640, height: 480, bytes: frame, bytesPerRow: 2624, order: .bgra)
    /// ```
    ///
    /// Alpha is dropped, as by Pillow's `convert("RGB")`: a transparent pixel keeps its colour. To
    /// keep alpha, use `init(width:height:pixels:alpha:)`.
    ///
    /// - Parameters:
    ///   - width: The number of columns, at least 1.
    ///   - height: The number of rows, at least 1.
    ///   - bytes: The rows from the top, `height * bytesPerRow` bytes. The last row may lack its
    ///     padding.
    ///   - bytesPerRow: The distance between the starts of two rows (stride), in bytes; rows have
    ///     no padding if nil.
    ///   - order: The order of the channels of a pixel.
    /// - Throws: `CLIPError.unreadableImage` if a side is not positive, `.wrongBytesPerRow` if a
    ///   row does not fit in `bytesPerRow`, `.wrongPixelCount` if there are too few or too many
    ///   bytes.
    public init(
        width: Int, height: Int, bytes: some Collection<UInt8>, bytesPerRow: Int? = nil,
        order: ChannelOrder
    ) throws(CLIPError) {
        guard width > 0, height > 0 else {
            throw .unreadableImage(
                path: "", reason: "expected at least 1 x 1 pixels, found \(width) x \(height)")
        }
        let size = order.bytesPerPixel
        let (used, isTooWide) = width.multipliedReportingOverflow(by: size)
        let stride = bytesPerRow ?? used
        guard !isTooWide, stride >= used else {
            throw .wrongBytesPerRow(expected: isTooWide ? .max : used, found: stride)
        }
        let (whole, isTooLarge) = stride.multipliedReportingOverflow(by: height)
        let bytes = Array(bytes)
        guard !isTooLarge, bytes.count <= whole, bytes.count >= whole - (stride - used) else {
            throw .wrongPixelCount(expected: isTooLarge ? .max : whole, found: bytes.count)
        }

        let colours = order.colours
        var samples: [UInt8] = []
        if stride == used && (order == .rgb || order == .grey) {
            samples = bytes
        } else {
            samples.reserveCapacity(width * height * colours.count)
            for start in Swift.stride(from: 0, to: bytes.count, by: stride) {
                for pixel in Swift.stride(from: start, to: start + used, by: size) {
                    for colour in colours { samples.append(bytes[pixel + colour]) }
                }
            }
        }
        self.init(
            DecodedImage(
                width: width, height: height, kind: .rgb, bytesPerPixel: colours.count,
                samples: samples))
    }
}
