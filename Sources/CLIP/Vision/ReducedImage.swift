internal import Tensors

/// An image that is resized and cropped for a model, 3 bytes a pixel.
///
/// It takes a quarter of the memory of the tower's input, which is made when it is encoded.
package struct ReducedImage: Sendable {
    /// The interleaved red, green and blue, row by row from the top.
    let pixels: [UInt8]
    /// The size in pixels: the model's resolution, or one of the image's own (NaFlex).
    let width, height: Int
}

extension CLIPModel {
    /// Returns an image resized and cropped for this model.
    package func reduced(_ image: RGBImage) -> ReducedImage {
        let size = preprocessor.size(of: image)
        return ReducedImage(
            pixels: preprocessor.resizedAndCropped(image), width: size.width, height: size.height)
    }

    /// Returns the embeddings of images, which equal those of `encode(images:)` to the bit.
    ///
    /// - Parameter images: The images as `reduced` of this model returns them.
    /// - Returns: One embedding for each image, in the same order.
    /// - Throws: `CLIPError.nonFiniteResult` if the weights produce NaN or infinity.
    package func encode(reduced images: [ReducedImage]) throws(CLIPError) -> Embeddings {
        let rows = try imageGroups(images.count).map(on: workspaces) {
            group, workspace throws(CLIPError) in
            var planes = ImagePlanes()
            for image in images[group] {
                planes.append(
                    preprocessor.normalized(image.pixels),
                    .init(width: image.width, height: image.height))
            }
            return try imageFeatures(planes, workspace)
        }
        return Embeddings(rows: rows.flatMap(\.self), dimension: configuration.embeddingDimension)
    }
}
