internal import Images

extension ImagePreprocessor.Interpolation {
    /// The resampling filter, which is the same as Pillow's.
    var filter: ResamplingFilter {
        switch self {
        case .bicubic: .bicubic
        case .bilinear: .bilinear
        }
    }

    /// Resamples RGB pixels, exactly as Pillow does.
    ///
    /// - Parameters:
    ///   - bytes: The pixels, row by row: `3 * width * height`.
    ///   - width: The width of the image in pixels.
    ///   - height: The height of the image in pixels.
    ///   - newWidth: The width of the result in pixels.
    ///   - newHeight: The height of the whole result in pixels.
    ///   - rows: The rows of the result to compute; all if nil.
    /// - Returns: The rows, `3 * newWidth` bytes each.
    package func resampled(
        _ bytes: [UInt8], width: Int, height: Int, newWidth: Int, newHeight: Int,
        rows: Range<Int>? = nil
    ) -> [UInt8] {
        Images.resampled(
            RGBRows(bytes: bytes, width: width, height: height), newWidth: newWidth,
            newHeight: newHeight, columns: 0..<newWidth, rows: rows ?? 0..<newHeight, filter: filter
        )
    }
}

extension RGBImage {
    /// Calls a function that decodes images, and keeps the memory for them reserved until it
    /// returns.
    ///
    /// The images must not be used after the function returns.
    package static func whileHoldingMemory<Result, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try ImageMemory.whileHolding(body)
    }
}
