/// One view of an image's pixels, as the source of a resizing.
package struct PixelView: PixelSource {
    package let image: DecodedImage
    package let view: DecodedImage.View

    package init(_ image: DecodedImage, _ view: DecodedImage.View) {
        self.image = image
        self.view = view
    }

    package var width: Int { image.width }
    package var height: Int { image.height }

    /// Writes a part as three bytes a pixel, row by row, to the beginning of an array.
    package func copy(rows: Range<Int>, columns: Range<Int>, into target: inout [UInt8]) {
        image.copy(view, rows: rows, columns: columns, into: &target)
    }

    /// Calls a function with all bytes if they already are RGB, row by row; else returns nil.
    package func withRGB<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result? {
        image.withRGB(view, body)
    }
}
