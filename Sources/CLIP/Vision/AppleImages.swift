#if canImport(CoreGraphics)
    public import CoreGraphics

    extension RGBImage {
        /// Makes an image from a `CGImage`, converted to sRGB, with a white background.
        ///
        /// - Throws: `CLIPError.unreadableImage` if the image cannot be drawn.
        public init(_ image: CGImage) throws(CLIPError) {
            let (width, height) = (image.width, image.height)
            var bytes = [UInt8](repeating: 255, count: 4 * width * height)
            let isDrawn = bytes.withUnsafeMutableBytes { buffer in
                guard let space = CGColorSpace(name: CGColorSpace.sRGB),
                    let context = CGContext(
                        data: buffer.baseAddress, width: width, height: height, bitsPerComponent: 8,
                        bytesPerRow: 4 * width, space: space,
                        bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
                else { return false }
                context.draw(image, in: CGRect(x: 0, y: 0, width: width, height: height))
                return true
            }
            guard isDrawn else {
                throw .unreadableImage(
                    path: "", reason: "a CGImage of \(width) x \(height) pixels cannot be drawn")
            }
            try self.init(width: width, height: height, bytes: bytes, order: .rgba)
        }
    }
#endif

#if canImport(CoreVideo)
    public import CoreVideo

    extension RGBImage {
        /// Makes an image from a pixel buffer of 8-bit grey or RGB, in any order of channels.
        ///
        /// Alpha is dropped.
        ///
        /// - Throws: `CLIPError.unreadableImage` for any other pixel format, such as YCbCr, or if
        ///   the buffer cannot be read.
        public init(_ buffer: CVPixelBuffer) throws(CLIPError) {
            let format = CVPixelBufferGetPixelFormatType(buffer)
            let order: ChannelOrder
            switch format {
            case kCVPixelFormatType_24RGB: order = .rgb
            case kCVPixelFormatType_24BGR: order = .bgr
            case kCVPixelFormatType_32RGBA: order = .rgba
            case kCVPixelFormatType_32BGRA: order = .bgra
            case kCVPixelFormatType_32ARGB: order = .argb
            case kCVPixelFormatType_32ABGR: order = .abgr
            case kCVPixelFormatType_OneComponent8: order = .grey
            default:
                throw .unreadableImage(path: "", reason: "unsupported: the pixel format \(format)")
            }
            guard CVPixelBufferLockBaseAddress(buffer, .readOnly) == kCVReturnSuccess else {
                throw .unreadableImage(path: "", reason: "the pixel buffer cannot be locked")
            }
            defer { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
            guard let address = CVPixelBufferGetBaseAddress(buffer) else {
                throw .unreadableImage(path: "", reason: "the pixel buffer has no memory")
            }
            let height = CVPixelBufferGetHeight(buffer)
            let stride = CVPixelBufferGetBytesPerRow(buffer)
            try self.init(
                width: CVPixelBufferGetWidth(buffer), height: height,
                bytes: UnsafeRawBufferPointer(start: address, count: stride * height),
                bytesPerRow: stride, order: order)
        }
    }
#endif
