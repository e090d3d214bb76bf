internal import Tensors

extension CLIPModel {
    /// Returns the numbers of a tower's result, row by row, after a check that all are finite.
    ///
    /// - Parameters:
    ///   - result: The result of a forward pass.
    ///   - pass: A function that repeats the forward pass with an observer.
    /// - Returns: The numbers of `result`.
    /// - Throws: `CLIPError.nonFiniteResult` if one of the numbers is NaN or infinite.
    func finiteValues(
        of result: Matrix, _ pass: (@escaping StageObserver) -> Matrix
    ) throws(CLIPError) -> [Float] {
        guard result.isFinite else {
            throw .nonFiniteResult(path: weights.path, stage: firstNonFiniteStage(pass))
        }
        return result.values
    }

    /// Returns the origin of NaN or infinity for the error message: a tensor of the weights that
    /// contains it, or else the first stage whose activations do.
    private func firstNonFiniteStage(_ pass: (@escaping StageObserver) -> Matrix) -> String {
        var stage: String?
        _ = pass { name, activations in
            if stage == nil && !activations.isFinite { stage = name }
        }
        let found = stage ?? "an unknown stage"
        if let tensor = parameters.firstNonFinite(where: { Self.isPart($0, of: found) }) {
            return "the tensor \(tensor)"
        }
        return found
    }

    /// Returns true if a stage uses a tensor.
    private static func isPart(_ tensor: String, of stage: String) -> Bool {
        let block = stage.hasSuffix(".attn") ? String(stage.dropLast(".attn".count)) : stage
        return switch block {
        case "embeddings": tensor == "positional_embedding" || tensor.hasPrefix("token_embedding")
        case "visual.embeddings":
            ["visual.conv1.weight", "visual.class_embedding", "visual.positional_embedding"]
                .contains(tensor)
        case "visual.stem": tensor.hasPrefix("visual.conv") || tensor.hasPrefix("visual.bn")
        case "image_embedding": tensor == "visual.proj" || tensor.hasPrefix("visual.attnpool")
        case "text_embedding": tensor == "text_projection"
        default: tensor.hasPrefix(block + ".")
        }
    }
}
