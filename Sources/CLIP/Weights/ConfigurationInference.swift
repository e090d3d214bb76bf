extension CLIPConfiguration {
    /// Derives the hyperparameters from the names and shapes of the tensors, as `build_model` of
    /// openai/CLIP does, and from a configuration file.
    ///
    /// - Parameters:
    ///   - shapes: The shapes of the tensors by their names in OpenAI's layout.
    ///   - stated: The hyperparameters that a configuration file states.
    ///   - activation: The activation of the MLPs of which the file states none.
    ///   - path: The path of the weights, for errors.
    /// - Throws: `CLIPError.unknownArchitecture`.
    init(
        shapes: [String: [Int]], stated: ConfigurationFile, activation: Activation, path: String
    ) throws(CLIPError) {
        let tensors = NamedShapes(shapes: shapes, path: path)
        text = try Text(tensors, stated, activation: activation)
        // A tensor that the file states and lacks is reported as missing.
        hasLogitBias = shapes["logit_bias"] != nil || stated.hasLogitBias
        embeddingDimension =
            text.projection == .none
            ? text.width : try tensors.shape("text_projection", rank: 2)[1]

        if shapes["visual.attnpool.positional_embedding"] != nil {
            vision = .modifiedResNet(try ModifiedResNet(tensors, heads: stated.vision.heads))
        } else if shapes["visual.proj"] != nil || shapes["visual.attn_pool.latent"] != nil {
            let tower = try VisionTransformer(tensors, stated, activation: activation)
            guard tower.projection != .none || tower.width == embeddingDimension else {
                throw tensors.unsupported(
                    expected: """
                        the tensor visual.proj, because the image tower has the width \
                        \(tower.width) and embeddings \(embeddingDimension) numbers
                        """,
                    found: "none of that name")
            }
            vision = .visionTransformer(tower)
        } else {
            throw tensors.unsupported(
                expected: "the tensor visual.proj or visual.attnpool.positional_embedding",
                found: "neither")
        }
        guard resolution <= 8192 else {
            throw tensors.unsupported(
                expected: "images of at most 8192 pixels a side", found: "\(resolution)")
        }
    }
}

extension CLIPConfiguration.Text {
    fileprivate init(
        _ tensors: NamedShapes, _ stated: ConfigurationFile, activation: Activation
    ) throws(CLIPError) {
        let tokens = try tensors.shape("token_embedding.weight", rank: 2)
        let positions = try tensors.shape("positional_embedding", rank: 2)
        // The memory of attention grows with the square of the number of positions.
        guard tokens[0] >= 3, (2...8192).contains(positions[0]) else {
            throw tensors.unsupported(
                expected: "at least 3 token ids, and 2 to 8192 positions",
                found: "\(tokens[0]) and \(positions[0])")
        }
        let mlp = try tensors.shape("transformer.resblocks.0.mlp.c_fc.weight", rank: 2)
        contextLength = positions[0]
        vocabularySize = tokens[0]
        width = tokens[1]
        layers = tensors.blocks("transformer.resblocks.")
        heads = try tensors.heads(stated.text.heads, width: width, tower: "text", limit: 1024)
        mlpWidth = mlp[0]
        self.activation = stated.text.activation ?? activation
        layerNormEpsilon = try tensors.known(
            stated.text.layerNormEpsilon, or: 1e-5, "the epsilon of the text tower's LayerNorms")
        isCausal = try tensors.known(
            stated.isCausal, or: true, "whether the text tower is causal")
        vocabulary = stated.vocabulary ?? CLIPConfiguration.Vocabulary(size: tokens[0])
        pooling = try tensors.known(
            stated.textPooling, or: vocabulary == .metaCLIP2 ? .first(id: 2) : .largestID,
            "the position at which the text tower is pooled")
        if tensors.shapes["text_projection.bias"] != nil || stated.hasTextBias {
            projection = .linearWithBias
        } else {
            projection = stated.lacksTextProjection ? .none : .linear
        }
        if case .first(let id) = pooling, !(0..<vocabularySize).contains(id) {
            throw tensors.unsupported(
                expected: "an end token within the \(vocabularySize) ids of the vocabulary",
                found: "\(id)")
        }
    }
}

extension CLIPConfiguration.VisionTransformer {
    fileprivate init(
        _ tensors: NamedShapes, _ stated: ConfigurationFile, activation: Activation
    ) throws(CLIPError) {
        let positions = try tensors.shape("visual.positional_embedding", rank: 2)
        let mlp = try tensors.shape("visual.transformer.resblocks.0.mlp.c_fc.weight", rank: 2)
        width = positions[1]
        (patchSize, stem) = try tensors.stem(width: width, isFlat: stated.keepsAspectRatio)
        layers = tensors.blocks("visual.transformer.resblocks.")
        heads = try tensors.heads(
            stated.vision.heads, width: width, tower: "image", limit: 1024)
        mlpWidth = mlp[0]
        self.activation = stated.vision.activation ?? activation
        layerNormEpsilon = try tensors.known(
            stated.vision.layerNormEpsilon, or: 1e-5, "the epsilon of the image tower's LayerNorms")
        hasClassToken = tensors.isOpenAI || tensors.shapes["visual.class_embedding"] != nil
        hasPreNorm = tensors.isOpenAI || tensors.shapes["visual.ln_pre.weight"] != nil

        let (grid, hasOwnPosition) = try tensors.grid(
            of: positions[0], hasClassToken: hasClassToken)
        if stated.keepsAspectRatio {
            let isLinear = stem == .linear || stem == .linearWithBias
            guard isLinear, !hasClassToken, !stated.isRotary else {
                throw tensors.unsupported(
                    expected: """
                        a linear patch embedding without class token and rotary positions, for \
                        images that keep their aspect ratio
                        """,
                    found: "others")
            }
            self.positions = .resized
        } else if stated.isRotary {
            self.positions = .learnedAndRotary
        } else {
            self.positions = hasClassToken && !hasOwnPosition ? .learnedForPatches : .learned
        }
        resolution =
            self.positions == .resized
            ? (stated.patchGrid ?? grid) * patchSize : stated.resolution ?? grid * patchSize
        guard self.positions == .resized || resolution / patchSize == grid else {
            throw tensors.unsupported(
                expected: """
                    a resolution of \(grid * patchSize) pixels for \(positions[0]) positions and \
                    patches of \(patchSize)
                    """,
                found: "\(resolution) in the configuration")
        }
        positionGrid = resolution / patchSize == grid ? nil : grid
        if tensors.shapes["visual.attn_pool.latent"] != nil {
            pooling = .attention(
                heads: try tensors.heads(
                    stated.poolHeads ?? stated.vision.heads, width: width, tower: "image",
                    limit: 0),
                mlpWidth: try tensors.shape("visual.attn_pool.mlp.c_fc.weight", rank: 2)[0])
        } else if stated.poolsMean {
            pooling = .mean
        } else if !hasClassToken {
            throw tensors.unsupported(
                expected: "the tensor visual.class_embedding or visual.attn_pool.latent",
                found: "neither")
        }
        if tensors.shapes["visual.proj"] == nil {
            projection = .none
        } else if tensors.shapes["visual.proj.bias"] != nil {
            projection = .linearWithBias
        }
        guard !stated.isRotary || width / heads % 4 == 0 else {
            throw tensors.unsupported(
                expected: "heads of a multiple of 4 channels, for rotary positions",
                found: "\(width / heads)")
        }
    }
}

extension CLIPConfiguration.ModifiedResNet {
    /// Derives the hyperparameters of a ResNet; `heads` is nil if no configuration states their
    /// number.
    fileprivate init(_ tensors: NamedShapes, heads: Int?) throws(CLIPError) {
        let positions = try tensors.shape("visual.attnpool.positional_embedding", rank: 2)
        width = try tensors.shape("visual.layer1.0.conv1.weight", rank: 4)[0]
        resolution = 32 * (try tensors.grid(of: positions[0]))
        layers = (1...4).map { tensors.blocks("visual.layer\($0).") }
        guard width % 2 == 0, !layers.contains(0) else {
            throw tensors.unsupported(
                expected: "a ResNet of an even width and four stages",
                found: "the width \(width) and the layers \(layers)")
        }
        self.heads = try tensors.heads(heads, width: 32 * width, tower: "image", limit: .max)
    }
}

/// The shapes of a model's tensors by OpenAI's names, from which hyperparameters are derived.
private struct NamedShapes {
    let shapes: [String: [Int]]
    let path: String

    /// True if the tensors are those of OpenAI's architecture.
    ///
    /// OpenAI's code then determines the hyperparameters that the shapes do not show.
    var isOpenAI: Bool {
        let own = [
            "visual.attn_pool.latent", "visual.conv1.bias", "visual.proj.bias", "logit_bias",
            "visual.stem.0.conv.weight", "text_projection.bias",
        ]
        return own.allSatisfy { shapes[$0] == nil }
    }

    func unsupported(expected: String, found: String) -> CLIPError {
        .unknownArchitecture(path: path, expected: expected, found: found)
    }

    /// Returns the shape of a tensor, which must have the given rank and positive dimensions.
    func shape(_ name: String, rank: Int) throws(CLIPError) -> [Int] {
        guard let shape = shapes[name] else {
            throw unsupported(expected: "the tensor \(name)", found: "none of that name")
        }
        guard shape.count == rank, shape.allSatisfy({ $0 > 0 }) else {
            throw unsupported(
                expected: "a tensor \(name) of \(rank) dimensions", found: "the shape \(shape)")
        }
        return shape
    }

    /// Returns the value that a configuration states, or else that of OpenAI's architecture.
    ///
    /// - Parameters:
    ///   - stated: The value that a configuration states; nil if none does.
    ///   - own: The value of OpenAI's architecture.
    ///   - name: The name of the value, for errors.
    /// - Returns: The value.
    /// - Throws: `CLIPError.unknownArchitecture` for other architectures.
    func known<Value>(
        _ stated: Value?, or own: Value, _ name: String
    ) throws(CLIPError) -> Value {
        if let stated { return stated }
        guard isOpenAI else {
            throw unsupported(
                expected: """
                    a configuration beside the weights (open_clip_config.json or config.json) that \
                    states \(name)
                    """,
                found: "none")
        }
        return own
    }

    /// Returns the side of a patch and the kind of stem.
    ///
    /// If `isFlat` is true, the weights for a patch are one row, and the side is derived from its
    /// length.
    func stem(
        width: Int, isFlat: Bool
    ) throws(CLIPError) -> (patchSize: Int, stem: CLIPConfiguration.Stem) {
        if shapes["visual.stem.0.conv.weight"] != nil {
            let first = try shape("visual.stem.0.conv.weight", rank: 4)
            return (16, .convolutions(width: first[0]))
        }
        let hasBias = shapes["visual.conv1.bias"] != nil
        let patch = try shape("visual.conv1.weight", rank: isFlat ? 2 : 4)
        guard isFlat else { return (patch[3], hasBias ? .linearWithBias : .linear) }
        let side = Int((Double(patch[1]) / 3).squareRoot().rounded())
        guard side > 0, 3 * side * side == patch[1] else {
            throw unsupported(
                expected: "patches of 3 n² numbers", found: "the shape \(patch)")
        }
        return (side, hasBias ? .linearWithBias : .linear)
    }

    /// Returns the number of distinct block numbers that follow `prefix` in the names of tensors.
    func blocks(_ prefix: String) -> Int {
        Set(
            shapes.keys.filter { $0.hasPrefix(prefix) }.compactMap { name in
                Int(name.dropFirst(prefix.count).prefix { $0 != "." })
            }
        ).count
    }

    /// Returns the number of heads that a configuration states, or else one for every 64 channels.
    ///
    /// - Parameters:
    ///   - known: The number of heads that a configuration states; nil if none does.
    ///   - width: The number of channels of the tower.
    ///   - tower: The name of the tower, for errors.
    ///   - limit: The largest width for which heads of 64 channels are assumed.
    /// - Returns: A divisor of `width`.
    /// - Throws: `CLIPError.unknownArchitecture`.
    func heads(_ known: Int?, width: Int, tower: String, limit: Int) throws(CLIPError) -> Int {
        // OpenAI's heads have 64 channels. Wider towers of others have other heads, which their
        // shapes do not show.
        guard let heads = known ?? (width % 64 == 0 && width <= limit ? width / 64 : nil) else {
            throw unsupported(
                expected: """
                    a configuration beside the weights (open_clip_config.json or config.json) that \
                    states the number of heads of the \(tower) tower, whose width is \(width)
                    """,
                found: "none")
        }
        guard heads > 0, width % heads == 0 else {
            throw unsupported(
                expected: "a number of heads that divides the width \(width) of the \(tower) tower",
                found: "\(heads)")
        }
        return heads
    }

    /// Returns the side of the square grid that the positions of a ResNet's attention pool form,
    /// except the first, which belongs to the mean.
    func grid(of positions: Int) throws(CLIPError) -> Int {
        try grid(of: positions, hasClassToken: true, hasOwnPosition: true).side
    }

    /// Returns the side of the square grid of patches, and true if the class token has a position
    /// of its own, before those of the patches.
    ///
    /// If `hasOwnPosition` is nil, the number of positions decides whether it has one.
    func grid(
        of positions: Int, hasClassToken: Bool, hasOwnPosition: Bool? = nil
    ) throws(CLIPError) -> (side: Int, hasOwnPosition: Bool) {
        func side(_ count: Int) -> Int? {
            let side = Int(Double(max(0, count)).squareRoot().rounded())
            return side > 0 && side * side == count ? side : nil
        }
        if hasClassToken, let side = side(positions - 1) { return (side, true) }
        if hasOwnPosition != true, let side = side(positions) { return (side, false) }
        throw unsupported(
            expected: "\(hasClassToken ? "1 + n²" : "n²") positions in the image tower",
            found: "\(positions)")
    }
}
