internal import Images
internal import Tensors

/// From an image to what the image tower sees: resized, cropped at the centre, normalised.
///
/// The pixels are those of Pillow and torchvision to the bit: an image is resized and cropped as what
/// it is (a palette's entries, ink, with its alpha) and becomes RGB then.
///
/// Source: `_transform` in `clip.py` of openai/CLIP.
public struct ImagePreprocessor: Sendable, Hashable {
    /// The filter of the resizing.
    public enum Interpolation: String, Sendable, CaseIterable, Codable {
        case bicubic
        case bilinear
    }

    /// What becomes of an image that is not square.
    public enum ResizeMode: String, Sendable, CaseIterable, Codable {
        /// Its short side is brought to the resolution, and its centre is kept.
        case shortest
        /// Both sides are brought to the resolution.
        case squash
    }

    /// Whose order and crop are followed.
    public enum Rules: String, Sendable, CaseIterable, Codable {
        /// Resize, crop, then RGB; half a pixel at the crop is rounded to even.
        case openAI = "openai"
        /// Of transformers' `CLIPImageProcessorPil` (5.24): RGB first, transparency on white; half a
        /// pixel is rounded down. What is done with EXIF and 16 bits, `RGBImage.DecodingOptions` say.
        case huggingFace = "hf"
    }

    /// The side of the result, in pixels; at least 1.
    public var resolution: Int {
        didSet { precondition(resolution > 0, "a resolution of \(resolution)") }
    }
    /// Of red, green and blue in 0...1, subtracted; three.
    public var mean: [Float] = [0.48145466, 0.4578275, 0.40821073] {
        didSet { precondition(mean.count == 3, "\(mean.count) means") }
    }
    /// Of red, green and blue in 0...1, divided by; three.
    public var standardDeviation: [Float] = [0.26862954, 0.26130258, 0.27577711] {
        didSet {
            precondition(standardDeviation.count == 3, "\(standardDeviation.count) deviations")
        }
    }
    /// OpenAI's is bicubic.
    public var interpolation = Interpolation.bicubic
    /// OpenAI's is the shortest side.
    public var resizeMode = ResizeMode.shortest
    /// OpenAI's unless asked for.
    public var rules = Rules.openAI

    /// What `RGBImage.DecodingOptions.smallestSide` may be so that embeddings hardly change.
    public var fastDecodingSide: Int { 2 * resolution }

    /// OpenAI's preprocessing for a tower of that resolution.
    public init(resolution: Int = 224) {
        precondition(resolution > 0, "a resolution of \(resolution)")
        self.resolution = resolution
    }

    /// The image resized and cropped: RGB, `3 * resolution²` bytes.
    public func resizedAndCropped(_ image: RGBImage) -> [UInt8] {
        var size = (width: resolution, height: resolution)
        if resizeMode == .shortest {
            // The long side as Python has it: int(resolution * long / short).
            let short = min(image.width, image.height)
            let long = max(image.width, image.height)
            let scaled = Int(Double(resolution * long) / Double(short))
            size = image.width <= image.height ? (resolution, scaled) : (scaled, resolution)
        }
        let (columns, rows) = (centre(of: size.width), centre(of: size.height))
        let filter: ResamplingFilter = interpolation == .bicubic ? .bicubic : .bilinear
        func resized(_ view: DecodedImage.View) -> [UInt8] {
            resampled(
                PixelView(image.decoded, view), newWidth: size.width, newHeight: size.height,
                columns: columns, rows: rows, filter: filter)
        }
        guard rules == .openAI else { return resized(.onWhite) }
        switch image.decoded.kind {
        case .rgb: return resized(.colours)
        case .indexed:
            return nearest(
                PixelView(image.decoded, .colours), newWidth: size.width, newHeight: size.height,
                columns: columns, rows: rows)
        case .cmyk:
            let (inks, blacks) = (resized(.inks), resized(.black))
            return stride(from: 0, to: inks.count, by: 3).flatMap { i in
                let light = withoutInk(inks[i], inks[i + 1], inks[i + 2], blacks[i])
                return [light.0, light.1, light.2]
            }
        case .grey16:
            return clipped(
                resampled(
                    width: image.width, height: image.height, newWidth: size.width,
                    newHeight: size.height, columns: columns, rows: rows, filter: filter,
                    copy: { image.decoded.copy16(rows: $0, columns: $1, into: &$2) }))
        case .rgba:
            guard size != (image.width, image.height) else { return resized(.colours) }
            // As Pillow: colours are resized weighed by their alpha, and then divided by its mean.
            return zip(resized(.premultiplied), resized(.alpha)).map(unpremultiplied)
        }
    }

    /// The part of a side that is kept.
    private func centre(of side: Int) -> Range<Int> {
        let half = Double(side - resolution) / 2
        let start = Int(half.rounded(rules == .openAI ? .toNearestOrEven : .down))
        return start..<(start + resolution)
    }

    /// The image as the image tower sees it: float32 [3, resolution, resolution], planes of red,
    /// green and blue.
    public func callAsFunction(_ image: RGBImage) -> [Float] {
        // torchvision's arithmetic for each of the 256 levels: v / 255, then (v - mean) / std.
        let levels = (0..<3).map { channel in
            (0...255).map { (Float($0) / 255 - mean[channel]) / standardDeviation[channel] }
        }
        return planes(of: resizedAndCropped(image), levels: levels)
    }
}

/// colour * 255 / alpha, at most 255; where nothing is seen, the colour as it is.
private func unpremultiplied(_ colour: UInt8, _ alpha: UInt8) -> UInt8 {
    alpha == 0 || alpha == 255 ? colour : UInt8(min(255, 255 * UInt32(colour) / UInt32(alpha)))
}
