internal import Tensors

/// An image tower, which turns pixels into embeddings.
protocol VisionEncoder: Sendable {
    /// Encodes preprocessed images: [images, embedding dimension].
    func callAsFunction(
        _ images: ImagePlanes, workspace: Workspace, observer: StageObserver?
    ) -> Matrix
}
