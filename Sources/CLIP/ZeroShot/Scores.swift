#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

extension CLIPModel {
    /// Returns the logits of labels, logitScale · cosine + logitBias.
    ///
    /// Models without a bias, such as CLIP, have logitScale · cosine.
    ///
    /// - Parameter cosines: The cosines of an image with each label.
    /// - Returns: The logit of each label.
    public func logits(ofCosines cosines: [Float]) -> [Float] {
        guard let logitBias else { return cosines.map { logitScale * $0 } }
        return cosines.map { logitScale * $0 + logitBias }
    }

    /// Returns the probabilities of labels, softmax(logitScale · cosine).
    ///
    /// They say which of the labels fits best. A bias adds the same number to all logits, so it
    /// does not change them.
    ///
    /// - Parameter cosines: The cosines of an image with each label.
    /// - Returns: The probability of each label; they sum to 1.
    public func probabilities(ofCosines cosines: [Float]) -> [Float] {
        let largest = cosines.max() ?? 0
        let weights = cosines.map { exp(logitScale * ($0 - largest)) }
        let sum = weights.reduce(0, +)
        return weights.map { $0 / sum }
    }

    /// Returns the probability of each label by itself, sigmoid(logitScale · cosine + logitBias).
    ///
    /// They say whether a label fits at all, whatever the other labels are.
    ///
    /// ```swift
    /// if let sigmoids = model.sigmoidProbabilities(ofCosines: cosines) {
    ///     print(zip(labels, sigmoids).filter { $0.1 > 0.1 })
    /// }
    /// ```
    ///
    /// Fitting pairs of SigLIP are often below 0.5. Choose a threshold with your own data.
    ///
    /// - Parameter cosines: The cosines of an image with each label.
    /// - Returns: The probability of each label, 0...1, in the order of the cosines; nil if the
    ///   model has no bias. Such a model is trained with a softmax, and its logits can only be
    ///   compared with each other.
    public func sigmoidProbabilities(ofCosines cosines: [Float]) -> [Float]? {
        logitBias == nil ? nil : logits(ofCosines: cosines).map(sigmoid)
    }
}

/// Returns 1 / (1 + exp(-x)), without overflow for large negative numbers.
private func sigmoid(_ x: Float) -> Float {
    let small = exp(-abs(x))
    return (x < 0 ? small : 1) / (1 + small)
}
