extension CLIPConfiguration {
    /// The shapes of all tensors that a file must contain, by their names in OpenAI's layout.
    var tensorShapes: [String: [Int]] {
        var shapes: [String: [Int]] = [
            "token_embedding.weight": [text.vocabularySize, text.width],
            "positional_embedding": [text.contextLength, text.width],
            "text_projection": [text.width, embeddingDimension],
            "logit_scale": [],
        ]
        shapes.addNorm("ln_final", text.width)
        shapes.addBlocks("transformer", text.layers, width: text.width, mlpWidth: text.mlpWidth)

        switch vision {
        case .visionTransformer(let vision):
            let patch = vision.patchSize
            shapes["visual.class_embedding"] = [vision.width]
            shapes["visual.positional_embedding"] = [1 + vision.grid * vision.grid, vision.width]
            shapes["visual.conv1.weight"] = [vision.width, 3, patch, patch]
            shapes["visual.proj"] = [vision.width, embeddingDimension]
            shapes.addNorm("visual.ln_pre", vision.width)
            shapes.addNorm("visual.ln_post", vision.width)
            shapes.addBlocks(
                "visual.transformer", vision.layers, width: vision.width, mlpWidth: vision.mlpWidth)
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

    fileprivate mutating func addBlocks(
        _ tower: String, _ layers: Int, width: Int, mlpWidth: Int
    ) {
        for layer in 0..<layers {
            let block = "\(tower).resblocks.\(layer)"
            addNorm("\(block).ln_1", width)
            addNorm("\(block).ln_2", width)
            self["\(block).attn.in_proj_weight"] = [3 * width, width]
            self["\(block).attn.in_proj_bias"] = [3 * width]
            addLinear("\(block).attn.out_proj", from: width, to: width)
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
