extension CLIPModel {
    /// The content of an `open_clip_config.json` that describes the model.
    var openCLIPConfiguration: String {
        let text = configuration.text
        func list(_ values: [some Any]) -> String {
            "[\(values.map { "\($0)" }.joined(separator: ", "))]"
        }
        let vision: String
        switch configuration.vision {
        case .visionTransformer(let v):
            vision = """
                "layers": \(v.layers), "width": \(v.width), "head_width": \(v.width / v.heads), \
                "mlp_ratio": \(ratio(v.mlpWidth, v.width)), "patch_size": \(v.patchSize)
                """ + json(of: v)
        case .modifiedResNet(let v):
            vision = """
                "layers": \(list(v.layers)), "width": \(v.width), \
                "head_width": \(v.outputWidth / v.heads)
                """
        }
        let epsilon = configuration.layerNormEpsilon
        return """
            {"model_cfg": {"embed_dim": \(configuration.embeddingDimension), \
            "quick_gelu": \(configuration.activation == .quickGELU), \
            \(epsilon == 1e-5 ? "" : "\"layer_norm_eps\": \(epsilon), ")\
            "vision_cfg": {"image_size": \(ownResolution), \(vision)}, \
            "text_cfg": {"context_length": \(text.contextLength), \
            "vocab_size": \(text.vocabularySize), "width": \(text.width), "heads": \(text.heads), \
            "layers": \(text.layers), "mlp_ratio": \(ratio(text.mlpWidth, text.width))\
            \(json(of: text))}}, \
            "preprocess_cfg": {"size": \(ownResolution), "mode": "RGB", \
            "mean": \(list(preprocessor.mean)), "std": \(list(preprocessor.standardDeviation)), \
            "interpolation": "\(preprocessor.interpolation.rawValue)", \
            "resize_mode": "\(preprocessor.resizeMode.rawValue)"\(rulesOfPreprocessing)}}
            """
    }

    /// Returns the ratio r for which `int(width * r)` is the width of the hidden layer.
    private func ratio(_ hidden: Int, _ width: Int) -> Double {
        let ratio = Double(hidden) / Double(width)
        return Int(Double(width) * ratio) == hidden ? ratio : ratio.nextUp
    }

    /// The side of the images for which the positions are stored, in pixels.
    private var ownResolution: Int {
        guard case .visionTransformer(let vision) = configuration.vision,
            let grid = vision.positionGrid
        else { return configuration.resolution }
        return grid * vision.patchSize
    }

    /// The keys of an image tower that differs from OpenAI's, each after a comma.
    private func json(of vision: CLIPConfiguration.VisionTransformer) -> String {
        var keys: [(String, String)] = []
        if vision.activation != (configuration.activation == .quickGELU ? .quickGELU : .gelu) {
            keys.append(("activation", "\"\(vision.activation.rawValue)\""))
        }
        if vision.layerNormEpsilon != configuration.layerNormEpsilon {
            keys.append(("layer_norm_eps", "\(vision.layerNormEpsilon)"))
        }
        switch vision.positions {
        case .learned, .learnedForPatches: break
        case .learnedAndRotary: keys.append(("rotary", "true"))
        case .resized:
            keys.append(("naflex", "true"))
            if vision.positionGrid != nil { keys.append(("patch_grid", "\(vision.grid)")) }
        }
        switch vision.pooling {
        case .classToken: break
        case .mean: keys.append(("mean_pool", "true"))
        case .attention(let heads, _): keys.append(("pool_heads", "\(heads)"))
        }
        return json(keys)
    }

    /// The keys of a text tower that differs from OpenAI's, each after a comma.
    private func json(of text: CLIPConfiguration.Text) -> String {
        var keys: [(String, String)] = []
        if text.activation == .tanhGELU { keys.append(("activation", "\"gelu_tanh\"")) }
        if !text.isCausal { keys.append(("no_causal_mask", "true")) }
        switch text.pooling {
        case .largestID: break
        case .last: keys.append(("pool_type", "\"last\""))
        case .first(let id): keys += [("pool_type", "\"eos\""), ("eos_id", "\(id)")]
        }
        if text.projection == .none { keys.append(("proj_type", "\"none\"")) }
        switch text.vocabulary {
        case .clip: break
        case let vocabulary?: keys.append(("vocabulary", "\"\(vocabulary.rawValue)\""))
        case nil: keys.append(("hf_tokenizer_name", "\"\""))
        }
        if let cleaning = modelTokenizer.cleaning {
            keys.append(("tokenizer_kwargs", "{\"clean\": \"\(cleaning.rawValue)\"}"))
        }
        if text.vocabulary != .clip {
            keys.append(("tokenizer_rules", "\"\(tokenizerRules.rawValue)\""))
        }
        return json(keys)
    }

    private var rulesOfPreprocessing: String {
        preprocessor.rules == .openAI
            ? "" : json([("rules", "\"\(preprocessor.rules.rawValue)\"")])
    }

    private func json(_ keys: [(name: String, value: String)]) -> String {
        keys.map { ", \"\($0.name)\": \($0.value)" }.joined()
    }
}
