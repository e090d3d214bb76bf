internal import Tensors

/// An image tower, which turns pixels into embeddings.
protocol VisionEncoder: Sendable {
    /// The number of images that go through the tower in one pass of a thread.
    ///
    /// More images use the loaded weights better; fewer keep the activations in the cache.
    var batchSize: Int { get }

    /// Encodes preprocessed images: [images, embedding dimension].
    func callAsFunction(
        _ images: ImagePlanes, workspace: Workspace, observer: StageObserver?
    ) -> Matrix
}
