internal import Tensors

extension CLIPModel {
    /// The number of images that one thread encodes at once.
    var imageBatchSize: Int { visual.value.batchSize }

    /// The number of images that all threads together encode at once.
    var imagesOfAllThreads: Int { threads * imageBatchSize }

    /// Divides images into groups.
    ///
    /// If there are no images, the weights of the tower are not read.
    func imageGroups(_ count: Int) -> EncodingGroups {
        EncodingGroups(count: count, threads: threads, largest: count > 0 ? imageBatchSize : 1)
    }

    /// Returns the preprocessed pixels of images.
    func planes(of images: some Sequence<RGBImage>) -> ImagePlanes {
        var planes = ImagePlanes()
        for image in images {
            let size = preprocessor.size(of: image)
            planes.append(preprocessor(image), .init(width: size.width, height: size.height))
        }
        return planes
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
