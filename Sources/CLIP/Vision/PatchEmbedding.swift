internal import Tensors

/// The layer that turns the pixels of images into the vectors of their patches.
struct PatchEmbedding: Sendable {
    /// The side of the square that the first layer turns into a vector, in pixels: a patch, or 4 if
    /// the stem has convolutions.
    private let cell: Int
    private let first: Linear
    /// The convolutions after the first layer, which join 2 x 2 vectors.
    private let rest: [Conv2D]

    init(
        _ parameters: Parameters, _ vision: CLIPConfiguration.VisionTransformer,
        _ precision: Precision
    ) {
        let format = precision.firstFormat
        switch vision.stem {
        case .linear, .linearWithBias:
            cell = vision.patchSize
            let weight = parameters.tensor("conv1.weight")  // [width, 3, patch, patch]
            let rows = weight.reshaped([vision.width, 3 * cell * cell])
            first = Linear(
                vision.positions == .resized ? rows.channelsFirst(ofArea: cell * cell) : rows,
                bias: vision.stem == .linearWithBias ? parameters.tensor("conv1.bias") : nil,
                format: format)
            rest = []
        case .convolutions:
            cell = 4
            let stem = parameters.scoped("stem")
            let norm = FoldedNorm(stem.scoped("0.bn"))
            let weight = stem.tensor("0.conv.weight")  // [width / 4, 3, 4, 4]
            first = Linear(
                weight.reshaped([weight.shape[0], 3 * cell * cell]).scaled(rowsBy: norm.factors),
                bias: norm.offsets, activation: .gelu, format: format)
            rest = [
                Conv2D(
                    stem, "1.conv", "1.bn", stride: 2, padding: 0, activation: .gelu,
                    format: format),
                Conv2D(
                    stem.tensor("2.conv.weight"), bias: stem.tensor("2.conv.bias"), stride: 2,
                    padding: 0, format: format),
            ]
        }
    }

    /// Returns the vectors of the patches of all images, row by row, [patches, width].
    func callAsFunction(_ images: ImagePlanes, workspace: Workspace) -> Matrix {
        let cells = first(images.patches(of: cell, workspace: workspace))
        guard let size = images.sizes.first, !rest.isEmpty else { return cells }
        var map = FeatureMap(
            cells, batch: images.count, height: size.height / cell, width: size.width / cell)
        for convolution in rest { map = convolution(map) }
        return map.matrix
    }
}
