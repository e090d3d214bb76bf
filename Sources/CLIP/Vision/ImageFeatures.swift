internal import Tensors

extension CLIPModel {
    /// The number of images that one thread encodes at once.
    ///
    /// More images use the loaded weights better; fewer keep the activations in the cache.
    var imageBatchSize: Int {
        switch configuration.vision {
        case .visionTransformer(let vision):
            max(1, 256 / (vision.prefixCount + vision.grid * vision.grid))
        case .modifiedResNet: 1
        }
    }

    /// The number of images that all threads together encode at once.
    var imagesOfAllThreads: Int { threads * imageBatchSize }

    /// Divides images into groups.
    func imageGroups(_ count: Int) -> EncodingGroups {
        EncodingGroups(count: count, threads: threads, largest: imageBatchSize)
    }

    /// Returns the preprocessed pixels of images.
    func planes(of images: some Sequence<RGBImage>) -> ImagePlanes {
        var planes = ImagePlanes()
        for image in images { append(image, to: &planes) }
        return planes
    }

    /// Adds the preprocessed pixels of an image to a batch.
    func append(_ image: RGBImage, to planes: inout ImagePlanes) {
        let size = preprocessor.size(of: image)
        planes.append(preprocessor(image), .init(width: size.width, height: size.height))
    }

    /// Runs the image tower once; returns [images, embedding dimension].
    ///
    /// - Throws: `CLIPError.nonFiniteResult` if the result contains NaN or infinity.
    func imageFeatures(
        _ images: ImagePlanes, _ workspace: Workspace
    ) throws(CLIPError) -> [Float] {
        let encoder = visual.value
        let y = encoder(images, workspace: workspace, observer: nil)
        return try finiteValues(of: y) {
            encoder(images, workspace: workspace, observer: $0)
        }
    }
}
