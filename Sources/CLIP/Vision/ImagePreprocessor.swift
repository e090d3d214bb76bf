internal import Images
internal import Tensors

/// The preprocessing of images: resizing, centre crop and normalisation.
///
/// ```swift
/// let preprocessor = ImagePreprocessor(resolution: 224)
/// let pixels = preprocessor(try RGBImage(contentsOfFile: "bike.jpg"))  // [3, 224, 224]
/// ```
///
/// The pixels equal those of Pillow and torchvision to the bit. By OpenAI's rules, an image is
/// resized and cropped in its own mode (palette, CMYK, with alpha) and then converted to RGB.
///
/// Source: `_transform` in `clip.py` of openai/CLIP.
public struct ImagePreprocessor: Sendable, Hashable {
    /// The resampling filter.
    public enum Interpolation: String, Sendable, CaseIterable, Codable {
        case bicubic
        case bilinear
    }

    /// The treatment of images that are not square.
    public enum ResizeMode: String, Sendable, CaseIterable, Codable {
        /// The short side is resized to the resolution, and the centre is cropped.
        case shortest
        /// Both sides are resized to the resolution, which distorts the image.
        case squash
        /// Both sides are resized by nearly the same factor, to multiples of `patchSize`, so that
        /// the image has at most as many patches as a square of the resolution (NaFlex).
        case patches
    }

    /// The reference implementation whose order of steps and rounding the preprocessing follows.
    ///
    /// EXIF orientation and 16-bit grey are options of decoding: `RGBImage.DecodingOptions`.
    public enum Rules: String, Sendable, CaseIterable, Codable {
        /// OpenAI's rules: resize, crop, then convert to RGB.
        ///
        /// A crop offset of half a pixel is rounded to even.
        case openAI = "openai"
        /// The rules of `CLIPImageProcessorPil` of transformers 5.24: convert to RGB on a white
        /// background, then resize and crop.
        ///
        /// A crop offset of half a pixel is rounded down.
        case huggingFace = "hf"
    }

    /// The side of the square result, in pixels, at least 1.
    ///
    /// If `resizeMode` is `patches`, a result has at most as many patches as a square of this side.
    public var resolution: Int {
        didSet {
            precondition(resolution > 0, "expected a positive resolution, found \(resolution)")
        }
    }
    /// The means of red, green and blue in 0...1, which are subtracted.
    public var mean: [Float] = [0.48145466, 0.4578275, 0.40821073] {
        didSet { precondition(mean.count == 3, "expected 3 means, found \(mean.count)") }
    }
    /// The standard deviations of red, green and blue in 0...1, by which channels are divided.
    public var standardDeviation: [Float] = [0.26862954, 0.26130258, 0.27577711] {
        didSet {
            precondition(
                standardDeviation.count == 3,
                "expected 3 standard deviations, found \(standardDeviation.count)")
        }
    }
    /// The resampling filter; bicubic for OpenAI's models.
    public var interpolation = Interpolation.bicubic
    /// The treatment of images that are not square; `shortest` for OpenAI's models.
    public var resizeMode = ResizeMode.shortest
    /// The side of a patch in pixels, used only if `resizeMode` is `patches`; 16 in SigLIP 2.
    public var patchSize = 16 {
        didSet { precondition(patchSize > 0, "expected a positive patch size, found \(patchSize)") }
    }
    /// The reference implementation that is followed; OpenAI's by default.
    public var rules = Rules.openAI

    /// The largest number of patches of a result, used only if `resizeMode` is `patches`.
    package var patchLimit: Int { (resolution / patchSize) * (resolution / patchSize) }

    /// A value for `RGBImage.DecodingOptions.smallestSide` that speeds up the decoding of JPEGs and
    /// hardly changes embeddings.
    public var fastDecodingSide: Int { 2 * resolution }

    /// Makes OpenAI's preprocessing for an image tower of the given resolution.
    public init(resolution: Int = 224) {
        precondition(resolution > 0, "expected a positive resolution, found \(resolution)")
        self.resolution = resolution
    }

    /// Returns the size of the preprocessed image, in pixels: a square of the resolution, or a size
    /// of the image's own if `resizeMode` is `patches`.
    public func size(of image: RGBImage) -> (width: Int, height: Int) {
        guard resizeMode == .patches else { return (resolution, resolution) }
        let (width, height) = fitted(image.width, image.height)
        return (width * patchSize, height * patchSize)
    }

    /// Returns the numbers of columns and rows of patches of an image of the given size.
    ///
    /// Source: `get_image_size_for_max_num_patches` of transformers, whose search this repeats.
    private func fitted(_ width: Int, _ height: Int) -> (columns: Int, rows: Int) {
        func patches(_ side: Int, _ scale: Double) -> Int {
            max(1, Int((Double(side) * scale / Double(patchSize)).rounded(.up)))
        }
        let precision = 1e-5
        var (low, high) = (precision / 10, 100.0)
        while high - low >= precision {
            let scale = (low + high) / 2
            let isSmall =
                Double(patches(width, scale)) * Double(patches(height, scale))
                <= Double(patchLimit)
            if isSmall { low = scale } else { high = scale }
        }
        return (patches(width, low), patches(height, low))
    }

    /// Returns the image resized and cropped, as interleaved RGB of 3 bytes for each pixel of
    /// `size(of:)`.
    public func resizedAndCropped(_ image: RGBImage) -> [UInt8] {
        let result = self.size(of: image)
        var size = result
        if resizeMode == .shortest {
            // The long side as in torchvision: int(resolution * long / short).
            let short = min(image.width, image.height)
            let long = max(image.width, image.height)
            let scaled = Int(Double(resolution * long) / Double(short))
            size = image.width <= image.height ? (resolution, scaled) : (scaled, resolution)
        }
        let columns = centre(of: size.width, keeping: result.width)
        let rows = centre(of: size.height, keeping: result.height)
        let filter = interpolation.filter
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
            // As in Pillow: colours are weighted by their alpha, resized, and divided by the
            // resized alpha.
            return zip(resized(.premultiplied), resized(.alpha)).map(unpremultiplied)
        }
    }

    /// Returns the range of pixels along a resized side that the centre crop keeps.
    private func centre(of side: Int, keeping count: Int) -> Range<Int> {
        let half = Double(side - count) / 2
        let start = Int(half.rounded(rules == .openAI ? .toNearestOrEven : .down))
        return start..<(start + count)
    }

    /// Returns the input of the image tower for an image, as planes of red, green and blue.
    ///
    /// The result is float32 [3, height, width] with the height and width of `size(of:)`; for most
    /// models [3, resolution, resolution].
    public func callAsFunction(_ image: RGBImage) -> [Float] {
        normalized(resizedAndCropped(image))
    }

    /// Returns the input of the image tower for the pixels that `resizedAndCropped` returns.
    func normalized(_ pixels: [UInt8]) -> [Float] {
        // torchvision's arithmetic for each of the 256 levels: v / 255, then (v - mean) / std.
        let levels = (0..<3).map { channel in
            (0...255).map { (Float($0) / 255 - mean[channel]) / standardDeviation[channel] }
        }
        return planes(of: pixels, levels: levels)
    }
}

/// Returns min(255, colour * 255 / alpha), or the colour itself if alpha is 0.
private func unpremultiplied(_ colour: UInt8, _ alpha: UInt8) -> UInt8 {
    alpha == 0 || alpha == 255 ? colour : UInt8(min(255, 255 * UInt32(colour) / UInt32(alpha)))
}
