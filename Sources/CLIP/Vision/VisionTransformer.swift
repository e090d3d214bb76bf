internal import Tensors

/// A transformer over the patches of an image, whose result is its output at the class token.
///
/// Source: `VisionTransformer` in `model.py` of openai/CLIP.
struct VisionTransformer: VisionEncoder {
    private let conv1: Linear
    private let classEmbedding: Tensor  // [width]
    private let positionalEmbedding: Tensor  // [1 + grid², width]
    private let lnPre: LayerNorm
    private let transformer: Transformer
    private let lnPost: LayerNorm
    private let proj: Linear
    private let vision: CLIPConfiguration.VisionTransformer

    let batchSize: Int

    init(
        _ parameters: Parameters, _ vision: CLIPConfiguration.VisionTransformer,
        _ configuration: CLIPConfiguration, _ precision: Precision
    ) {
        let epsilon = configuration.layerNormEpsilon
        let patch = parameters.tensor("conv1.weight")  // [width, 3, patch, patch]
        conv1 = Linear(
            patch.reshaped([vision.width, 3 * vision.patchSize * vision.patchSize]),
            format: precision.firstFormat)
        classEmbedding = parameters.tensor("class_embedding")
        positionalEmbedding = parameters.tensor("positional_embedding").interpolated(
            toGrid: vision.grid)
        lnPre = LayerNorm(parameters.scoped("ln_pre"), epsilon: epsilon)
        transformer = Transformer(
            parameters.scoped("transformer"), name: "visual.transformer", layers: vision.layers,
            heads: vision.heads, isCausal: false, format: precision.format,
            configuration: configuration)
        lnPost = LayerNorm(parameters.scoped("ln_post"), epsilon: epsilon)
        proj = Linear(parameters.projection("proj"))
        self.vision = vision
        batchSize = max(1, 256 / (1 + vision.grid * vision.grid))
    }

    func callAsFunction(
        _ pixels: ArraySlice<Float>, batch: Int, workspace: Workspace, observer: StageObserver?
    ) -> Matrix {
        let area = vision.grid * vision.grid
        let patches = conv1(
            Tensors.patches(
                of: pixels, batch: batch, resolution: vision.resolution, size: vision.patchSize,
                workspace: workspace))  // [batch * area, width]

        let x = workspace.matrix(rows: batch * (1 + area), columns: vision.width)
        let sequences = Sequences(count: batch, length: 1 + area)
        for (image, sequence) in sequences.own.enumerated() {
            x.setRow(sequence.lowerBound, to: classEmbedding)
            x.setRows(
                from: sequence.lowerBound + 1, to: image * area..<(image + 1) * area, of: patches)
        }
        x.add(rowsOf: positionalEmbedding, at: sequences.own.flatMap { _ in 0...area })
        observer?("visual.embeddings", x)

        let normed = lnPre(x)  // [batch * (1 + area), width]
        observer?("visual.ln_pre", normed)
        let classRows = sequences.own.map(\.lowerBound)
        var y = transformer(
            normed, sequences: sequences, pooledAt: classRows, observer: observer)
        y = lnPost(y)  // [batch, width]
        observer?("visual.ln_post", y)
        y = proj(y)  // [batch, embedding dimension]
        observer?("image_embedding", y)
        return y
    }
}

extension Tensor {
    /// Interpolates positional embeddings, [1 + grid², width] -> [1 + newGrid², width].
    ///
    /// The first embedding, which is the class token's, is unchanged.
    ///
    /// Source: `resize_pos_embed` of open_clip.
    fileprivate func interpolated(toGrid newGrid: Int) -> Tensor {
        let grid = Int(Double(shape[0] - 1).squareRoot().rounded())
        guard grid != newGrid else { return self }
        let positions = rows(1..<shape[0]).resampled(fromGrid: grid, toGrid: newGrid)
        return .stacked([rows(0..<1), positions])
    }
}
