internal import Tensors

/// A transformer over the patches of an image, whose outputs are pooled into one vector.
///
/// Sources: `VisionTransformer` in `model.py` of openai/CLIP and `vision_transformer.py` of timm.
struct VisionTransformer: VisionEncoder {
    private let patchEmbedding: PatchEmbedding
    private let classEmbedding: Tensor?  // [width]
    private let positions: ImagePositions
    private let lnPre: LayerNorm?
    private let transformer: Transformer
    private let lnPost: LayerNorm
    private let pool: LatentAttentionPool?
    private let proj: Linear?
    private let vision: CLIPConfiguration.VisionTransformer

    init(
        _ parameters: Parameters, _ vision: CLIPConfiguration.VisionTransformer,
        _ precision: Precision
    ) {
        let epsilon = vision.layerNormEpsilon
        patchEmbedding = PatchEmbedding(parameters, vision, precision)
        classEmbedding = vision.hasClassToken ? parameters.tensor("class_embedding") : nil
        positions = ImagePositions(parameters, vision)
        lnPre =
            vision.hasPreNorm ? LayerNorm(parameters.scoped("ln_pre"), epsilon: epsilon) : nil
        transformer = Transformer(
            parameters.scoped("transformer"), name: "visual.transformer", layers: vision.layers,
            .init(
                heads: vision.heads, activation: vision.activation, layerNormEpsilon: epsilon,
                rotation: positions.rotation),
            format: precision.format)
        lnPost = LayerNorm(parameters.scoped("ln_post"), epsilon: epsilon)
        if case .attention(let heads, _) = vision.pooling {
            pool = LatentAttentionPool(
                parameters.scoped("attn_pool"), heads: heads, activation: vision.activation,
                layerNormEpsilon: epsilon, format: precision.format)
        } else {
            pool = nil
        }
        switch vision.projection {
        case .none: proj = nil
        case .linear: proj = Linear(parameters.projection("proj"))
        case .linearWithBias:
            proj = Linear(parameters.projection("proj"), bias: parameters.tensor("proj.bias"))
        }
        self.vision = vision
    }

    func callAsFunction(
        _ images: ImagePlanes, workspace: Workspace, observer: StageObserver?
    ) -> Matrix {
        let patches = patchEmbedding(images, workspace: workspace)  // [patches, width]
        let grids = images.sizes.map {
            Grid(rows: $0.height / vision.patchSize, columns: $0.width / vision.patchSize)
        }
        let sequences = Sequences(lengths: grids.map { vision.prefixCount + $0.area })
        let x = embedded(patches, grids, sequences)  // [tokens of all images, width]
        observer?("visual.embeddings", x)

        var y = x
        if let lnPre {
            y = lnPre(x)
            observer?("visual.ln_pre", y)
        }
        y = pooled(y, sequences, observer)  // [images, width]
        if let proj { y = proj(y) }  // [images, embedding dimension]
        observer?("image_embedding", y)
        return y
    }

    /// Returns the patches, with the class token before those of each image, and positions added.
    private func embedded(
        _ patches: Matrix, _ grids: [Grid], _ sequences: Sequences
    ) -> Matrix {
        var x = patches
        if let classEmbedding {
            x = patches.workspace.matrix(
                rows: patches.rows + grids.count, columns: vision.width)
            var patch = 0
            for (grid, sequence) in zip(grids, sequences.own) {
                x.setRow(sequence.lowerBound, to: classEmbedding)
                x.setRows(
                    from: sequence.lowerBound + 1, to: patch..<(patch + grid.area), of: patches)
                patch += grid.area
            }
        }
        positions.add(to: x, grids, sequences)
        return x
    }

    /// Runs the blocks and pools their outputs, [tokens, width] -> [images, width].
    private func pooled(
        _ x: Matrix, _ sequences: Sequences, _ observer: StageObserver?
    ) -> Matrix {
        var y = x
        switch vision.pooling {
        case .classToken:
            y = transformer(
                x, sequences: sequences, pooledAt: sequences.own.map(\.lowerBound),
                observer: observer)
            y = lnPost(y)
            observer?("visual.ln_post", y)
        case .mean:
            transformer.run(x, sequences: sequences, leavingOut: 0, observer: observer)
            y = lnPost(
                x.means(ofRows: sequences.own.map { $0.dropFirst(vision.prefixCount) }))
            observer?("visual.ln_post", y)
        case .attention:
            transformer.run(x, sequences: sequences, leavingOut: 0, observer: observer)
            y = lnPost(x)  // [tokens, width]
            observer?("visual.ln_post", y)
            if let pool { y = pool(y, sequences: sequences) }
            observer?("visual.attn_pool", y)
        }
        return y
    }
}
