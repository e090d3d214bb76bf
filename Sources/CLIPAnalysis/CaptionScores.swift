/// CLIPScore and RefCLIPScore, which measure how well a caption fits an image.
///
/// ```swift
/// let score = CaptionScores.clipScore(cosine: 0.31)  // 0.775
/// ```
///
/// Source: Hessel et al. 2021, "CLIPScore".
public enum CaptionScores {
    /// Returns the CLIPScore of an image and a caption: 2.5 · max(cosine, 0), 0...2.5.
    ///
    /// The authors of CLIPScore put `prefix` before each caption.
    ///
    /// - Parameter cosine: The cosine of the embeddings of the image and the caption, -1...1.
    /// - Returns: The score, 0...2.5.
    public static func clipScore(cosine: Float) -> Float { 2.5 * max(cosine, 0) }

    /// Returns the RefCLIPScore of a caption, which also measures its similarity to reference
    /// captions.
    ///
    /// It is the harmonic mean of the CLIPScore and the largest cosine with a reference, or 0 if
    /// either is not positive.
    ///
    /// - Parameters:
    ///   - clipScore: The CLIPScore of the caption.
    ///   - referenceCosines: The cosines of the caption with its references.
    /// - Returns: The score, 0 or more.
    public static func refCLIPScore(clipScore: Float, referenceCosines: [Float]) -> Float {
        let reference = max(referenceCosines.max() ?? 0, 0)
        guard clipScore > 0, reference > 0 else { return 0 }
        return 2 * clipScore * reference / (clipScore + reference)
    }

    /// The text that the authors of CLIPScore put before each caption.
    public static let prefix = "A photo depicts "
}
