internal import Tensors

/// An image tower: pixels to embeddings.
protocol VisionEncoder: Sendable {
    /// How many images go through the tower together.
    ///
    /// As many as use the weights well while the activations stay in the cache.
    var batchSize: Int { get }

    /// Pixels [batch, 3, resolution, resolution] -> [batch, embedding dimension].
    func callAsFunction(
        _ pixels: ArraySlice<Float>, batch: Int, workspace: Workspace, observer: StageObserver?
    ) -> Matrix
}
