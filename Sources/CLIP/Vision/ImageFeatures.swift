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

    /// Runs the image tower once, [images, 3, resolution, resolution] -> [images, embedding
    /// dimension].
    ///
    /// - Throws: `CLIPError.nonFiniteResult` if the result contains NaN or infinity.
    func imageFeatures(
        _ pixels: ArraySlice<Float>, _ workspace: Workspace
    ) throws(CLIPError) -> [Float] {
        let encoder = visual.value
        let batch = pixels.count / (3 * configuration.resolution * configuration.resolution)
        let y = encoder(pixels, batch: batch, workspace: workspace, observer: nil)
        return try finiteValues(of: y) {
            encoder(pixels, batch: batch, workspace: workspace, observer: $0)
        }
    }
}
