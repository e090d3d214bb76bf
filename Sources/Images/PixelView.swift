/// A view of an image as RGB pixels, the input of `resampled` and `nearest`.
package struct PixelView: PixelSource {
    /// The image to read.
    package let image: DecodedImage
    /// The view, which defines the three bytes of each pixel.
    package let view: DecodedImage.View

    /// Creates a view of an image.
    package init(_ image: DecodedImage, _ view: DecodedImage.View) {
        self.image = image
        self.view = view
    }

    /// The width of the image, in pixels.
    package var width: Int { image.width }
    /// The height of the image, in pixels.
    package var height: Int { image.height }

    /// Writes a part of the view, three bytes per pixel, row by row, to the beginning of an array.
    package func copy(rows: Range<Int>, columns: Range<Int>, into target: inout [UInt8]) {
        image.copy(view, rows: rows, columns: columns, into: &target)
    }

    /// Calls `body` with all bytes if they are in memory as RGB rows; otherwise returns nil.
    package func withRGB<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result? {
        image.withRGB(view, body)
    }
}
