internal import Files

extension ConfigurationFile {
    /// A size that a configuration states and the shapes of the weights show; the raw value names
    /// it in errors.
    enum Size: String, CaseIterable {
        case embeddingDimension = "embedding dimension"
        case imageWidth = "image tower's width"
        case imageBlocks = "image tower's number of blocks"
        case imageMLPWidth = "image tower's MLP width"
        case patchSize = "patch size"
        case textWidth = "text tower's width"
        case textBlocks = "text tower's number of blocks"
        case textMLPWidth = "text tower's MLP width"
        case contextLength = "context length"
        case vocabularySize = "vocabulary size"
    }

    /// Reads sizes that an object states under the given keys.
    mutating func readSizes(
        _ object: JSONValue, _ keys: KeyValuePairs<Size, String>
    ) throws(Refusal) {
        for (size, key) in keys { sizes[size] = try object.integer(key) ?? sizes[size] }
    }

    /// Reads the width of the hidden layer of MLPs, which open_clip states as a ratio.
    mutating func readRatio(_ tower: JSONValue, _ size: Size, width: Int) throws(Refusal) {
        guard let value = tower["mlp_ratio"], value != .null else { return }
        guard let ratio = value.number, (0...1024).contains(ratio), width < 1 << 20 else {
            throw Refusal("expected an mlp_ratio from 0 to 1024, found \(value)")
        }
        sizes[size] = Int(Double(width) * ratio)
    }

    /// Throws an error if a size in the file, or the image tower that it names, differs from that
    /// of the weights.
    func check(against configuration: CLIPConfiguration, path: String) throws(CLIPError) {
        func differs(_ name: String, stated: String, found: String) -> CLIPError {
            .malformedConfiguration(
                path: path,
                reason: """
                    it does not match the weights: its \(name) is \(stated), that of the weights \
                    is \(found)
                    """)
        }
        for size in Size.allCases {
            guard let stated = sizes[size], let found = configuration.size(size) else { continue }
            guard stated == found else {
                throw differs(size.rawValue, stated: "\(stated)", found: "\(found)")
            }
        }
        if let resolution, resolution != configuration.resolution {
            throw differs(
                "resolution", stated: "\(resolution)", found: "\(configuration.resolution)")
        }
        guard case .visionTransformer(let vision) = configuration.vision else { return }
        if let poolsByAttention, poolsByAttention != vision.poolsByAttention {
            throw differs(
                "pooling (timm_pool)", stated: poolsByAttention ? "attention" : "not attention",
                found: vision.poolsByAttention ? "attention" : "not attention")
        }
        if let timmTower, let difference = timmTower.difference(from: vision) {
            throw differs(
                "timm_model_name is \(timmTower.name), whose \(difference.part)",
                stated: difference.stated, found: difference.found)
        }
    }
}

extension CLIPConfiguration {
    /// Returns a size; nil if the architecture does not have it.
    fileprivate func size(_ size: ConfigurationFile.Size) -> Int? {
        switch (size, vision) {
        case (.embeddingDimension, _): embeddingDimension
        case (.textWidth, _): text.width
        case (.textBlocks, _): text.layers
        case (.textMLPWidth, _): text.mlpWidth
        case (.contextLength, _): text.contextLength
        case (.vocabularySize, _): text.vocabularySize
        case (.imageWidth, .visionTransformer(let vision)): vision.width
        case (.imageWidth, .modifiedResNet(let vision)): vision.width
        case (.imageBlocks, .visionTransformer(let vision)): vision.layers
        case (.imageBlocks, .modifiedResNet(let vision)): vision.layers.reduce(0, +)
        case (.imageMLPWidth, .visionTransformer(let vision)): vision.mlpWidth
        case (.patchSize, .visionTransformer(let vision)): vision.patchSize
        case (.imageMLPWidth, .modifiedResNet), (.patchSize, .modifiedResNet): nil
        }
    }
}

extension CLIPConfiguration.VisionTransformer {
    /// True if the outputs of the last block are pooled by attention.
    var poolsByAttention: Bool {
        if case .attention = pooling { true } else { false }
    }
}
