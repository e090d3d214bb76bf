extension CLIPConfiguration {
    /// The shapes of all tensors that a file must contain, by their names in OpenAI's layout.
    var tensorShapes: [String: [Int]] {
        var shapes: [String: [Int]] = [
            "token_embedding.weight": [text.vocabularySize, text.width],
            "positional_embedding": [text.contextLength, text.width],
            "logit_scale": [],
        ]
        if hasLogitBias { shapes["logit_bias"] = [] }
        shapes.addProjection(
            "text_projection", text.projection, from: text.width, to: embeddingDimension)
        shapes.addNorm("ln_final", text.width)
        shapes.addBlocks("transformer", text.layers, width: text.width, mlpWidth: text.mlpWidth)

        switch vision {
        case .visionTransformer(let vision):
            shapes.addVisionTransformer(vision, embeddingDimension: embeddingDimension)
        case .modifiedResNet(let vision):
            shapes.addResNet(vision, embeddingDimension: embeddingDimension)
        }
        return shapes
    }
}

extension [String: [Int]] {
    fileprivate mutating func addNorm(_ name: String, _ width: Int) {
        self["\(name).weight"] = [width]
        self["\(name).bias"] = [width]
    }

    fileprivate mutating func addLinear(_ name: String, from inputs: Int, to outputs: Int) {
        self["\(name).weight"] = [outputs, inputs]
        self["\(name).bias"] = [outputs]
    }

    fileprivate mutating func addProjection(
        _ name: String, _ kind: CLIPConfiguration.Projection, from inputs: Int, to outputs: Int
    ) {
        if kind != .none { self[name] = [inputs, outputs] }
        if kind == .linearWithBias { self["\(name).bias"] = [outputs] }
    }

    fileprivate mutating func addVisionTransformer(
        _ vision: CLIPConfiguration.VisionTransformer, embeddingDimension: Int
    ) {
        let (width, patch) = (vision.width, vision.patchSize)
        switch vision.stem {
        case .linear, .linearWithBias:
            self["visual.conv1.weight"] =
                vision.positions == .resized
                ? [width, 3 * patch * patch] : [width, 3, patch, patch]
            if vision.stem == .linearWithBias { self["visual.conv1.bias"] = [width] }
        case .convolutions(let channels):
            addConvolution(
                "visual.stem.0.conv", "visual.stem.0.bn", from: 3, to: channels, kernel: 4)
            addConvolution(
                "visual.stem.1.conv", "visual.stem.1.bn", from: channels, to: channels, kernel: 2)
            self["visual.stem.2.conv.weight"] = [width, channels, 2, 2]
            self["visual.stem.2.conv.bias"] = [width]
        }
        if vision.hasClassToken { self["visual.class_embedding"] = [width] }
        let hasOwnPosition = vision.hasClassToken && vision.positions != .learnedForPatches
        let grid = vision.positionGrid ?? vision.grid
        self["visual.positional_embedding"] = [grid * grid + (hasOwnPosition ? 1 : 0), width]
        if vision.hasPreNorm { addNorm("visual.ln_pre", width) }
        addBlocks("visual.transformer", vision.layers, width: width, mlpWidth: vision.mlpWidth)
        addNorm("visual.ln_post", width)
        if case .attention(_, let mlpWidth) = vision.pooling {
            self["visual.attn_pool.latent"] = [width]
            addNorm("visual.attn_pool.ln", width)
            addAttention("visual.attn_pool", width: width)
            addLinear("visual.attn_pool.mlp.c_fc", from: width, to: mlpWidth)
            addLinear("visual.attn_pool.mlp.c_proj", from: mlpWidth, to: width)
        }
        addProjection("visual.proj", vision.projection, from: width, to: embeddingDimension)
    }

    fileprivate mutating func addAttention(_ attention: String, width: Int) {
        self["\(attention).in_proj_weight"] = [3 * width, width]
        self["\(attention).in_proj_bias"] = [3 * width]
        addLinear("\(attention).out_proj", from: width, to: width)
    }

    fileprivate mutating func addBlocks(
        _ tower: String, _ layers: Int, width: Int, mlpWidth: Int
    ) {
        for layer in 0..<layers {
            let block = "\(tower).resblocks.\(layer)"
            addNorm("\(block).ln_1", width)
            addNorm("\(block).ln_2", width)
            addAttention("\(block).attn", width: width)
            addLinear("\(block).mlp.c_fc", from: width, to: mlpWidth)
            addLinear("\(block).mlp.c_proj", from: mlpWidth, to: width)
        }
    }

    fileprivate mutating func addConvolution(
        _ convolution: String, _ norm: String, from inputs: Int, to outputs: Int, kernel: Int
    ) {
        self["\(convolution).weight"] = [outputs, inputs, kernel, kernel]
        addNorm(norm, outputs)
        self["\(norm).running_mean"] = [outputs]
        self["\(norm).running_var"] = [outputs]
    }

    fileprivate mutating func addResNet(
        _ vision: CLIPConfiguration.ModifiedResNet, embeddingDimension: Int
    ) {
        let half = vision.width / 2
        addConvolution("visual.conv1", "visual.bn1", from: 3, to: half, kernel: 3)
        addConvolution("visual.conv2", "visual.bn2", from: half, to: half, kernel: 3)
        addConvolution("visual.conv3", "visual.bn3", from: half, to: vision.width, kernel: 3)

        var inputs = vision.width
        for (stage, count) in vision.layers.enumerated() {
            let planes = vision.width << stage
            for block in 0..<count {
                let name = "visual.layer\(stage + 1).\(block)"
                addConvolution("\(name).conv1", "\(name).bn1", from: inputs, to: planes, kernel: 1)
                addConvolution("\(name).conv2", "\(name).bn2", from: planes, to: planes, kernel: 3)
                addConvolution(
                    "\(name).conv3", "\(name).bn3", from: planes, to: 4 * planes, kernel: 1)
                if block == 0 {
                    addConvolution(
                        "\(name).downsample.0", "\(name).downsample.1", from: inputs,
                        to: 4 * planes, kernel: 1)
                }
                inputs = 4 * planes
            }
        }
        let pool = "visual.attnpool"
        let width = vision.outputWidth
        self["\(pool).positional_embedding"] = [1 + vision.grid * vision.grid, width]
        for projection in ["q_proj", "k_proj", "v_proj"] {
            addLinear("\(pool).\(projection)", from: width, to: width)
        }
        addLinear("\(pool).c_proj", from: width, to: embeddingDimension)
    }
}
