/// The hyperparameters of an image tower of timm that the shapes of its tensors do not show.
///
/// open_clip's configurations state the name of the tower, such as `vit_base_patch16_siglip_224`,
/// and timm's source the rest.
///
/// Source: `vision_transformer.py`, `vision_transformer_hybrid.py` and `eva.py` of timm 1.0.31.
struct TimmTower: Equatable {
    /// The architecture of a group of towers.
    enum Family {
        /// No class token, and attention pooling.
        case siglip
        /// A class token, and no LayerNorm before the blocks.
        case classToken
        /// CLIP's: a class token, and a LayerNorm before the blocks.
        case clip
        /// A LayerNorm before the blocks, and attention pooling; all but the largest have a class
        /// token.
        case perception
    }

    var name = ""
    var family: Family
    var heads: Int
    var width: Int
    var patchSize: Int
    var activation = Activation.gelu
    var layerNormEpsilon: Float = 1e-6
    /// The number of heads of the attention pool; nil for as many as in the blocks.
    var poolHeads: Int?
    var isRotary: Bool { family == .perception }
    var keepsAspectRatio = false

    /// Returns the first part in which the weights of a tower contradict the name, with the values
    /// of both; nil if there is none.
    func difference(
        from vision: CLIPConfiguration.VisionTransformer
    ) -> (part: String, stated: String, found: String)? {
        func words(_ isThere: Bool) -> String { isThere ? "present" : "absent" }
        let hasPreNorm = family == .clip || family == .perception
        let poolsByAttention = family == .siglip || family == .perception
        return [
            (
                "class token", words(family != .siglip),
                // The Perception Encoder has it in all sizes but the largest.
                words(vision.hasClassToken || family == .perception)
            ),
            ("LayerNorm before the blocks", words(hasPreNorm), words(vision.hasPreNorm)),
            ("attention pooling", words(poolsByAttention), words(vision.poolsByAttention)),
        ].first { $0.1 != $0.2 }.map { (part: $0.0, stated: $0.1, found: $0.2) }
    }

    /// Returns the tower of a name; nil if the name is unknown.
    static func named(_ name: String) -> TimmTower? {
        var tower = towers[name]
        // A last component of digits is the resolution, which the weights show.
        if tower == nil, let last = name.lastIndex(of: "_"),
            name[last...].dropFirst().allSatisfy({ $0.isASCII && $0.isNumber })
        {
            tower = towers[String(name[..<last])]
        }
        tower?.name = name
        return tower
    }

    private static let towers: [String: TimmTower] = [
        "vit_base_patch16_siglip": siglip(heads: 12, width: 768, .gelu),
        "vit_base_patch32_siglip": siglip(heads: 12, width: 768, patch: 32, .tanhGELU),
        "vit_large_patch16_siglip": siglip(heads: 16, width: 1024, .gelu),
        "vit_so400m_patch14_siglip": siglip(heads: 16, width: 1152, patch: 14, .gelu),
        "vit_so400m_patch16_siglip": siglip(heads: 16, width: 1152, .tanhGELU),
        "vit_giantopt_patch16_siglip": siglip(heads: 16, width: 1536, .tanhGELU),
        "naflexvit_base_patch16_siglip": siglip(heads: 12, width: 768, .tanhGELU, isNaFlex: true),
        "naflexvit_so400m_patch16_siglip": siglip(
            heads: 16, width: 1152, .tanhGELU, isNaFlex: true),
        "vit_base_mci": TimmTower(family: .classToken, heads: 12, width: 768, patchSize: 16),
        "vit_base_patch32_clip": clip(heads: 12, width: 768, patch: 32),
        "vit_base_patch16_clip": clip(heads: 12, width: 768, patch: 16),
        "vit_large_patch14_clip": clip(heads: 16, width: 1024, patch: 14),
        "vit_huge_patch14_clip": clip(heads: 16, width: 1280, patch: 14),
        "vit_pe_core_tiny_patch16": perception(heads: 3, width: 192, patch: 16),
        "vit_pe_core_small_patch16": perception(heads: 6, width: 384, patch: 16),
        "vit_pe_core_base_patch16": perception(heads: 12, width: 768, patch: 16),
        "vit_pe_core_large_patch14": perception(heads: 16, width: 1024, patch: 14),
        "vit_pe_core_gigantic_patch14": perception(heads: 16, width: 1536, patch: 14),
        "eva_giant_patch14": TimmTower(family: .classToken, heads: 16, width: 1408, patchSize: 14),
    ]

    private static func siglip(
        heads: Int, width: Int, patch: Int = 16, _ activation: Activation, isNaFlex: Bool = false
    ) -> TimmTower {
        TimmTower(
            family: .siglip, heads: heads, width: width, patchSize: patch, activation: activation,
            keepsAspectRatio: isNaFlex)
    }

    private static func clip(heads: Int, width: Int, patch: Int) -> TimmTower {
        TimmTower(
            family: .clip, heads: heads, width: width, patchSize: patch, layerNormEpsilon: 1e-5)
    }

    /// A tower of the Perception Encoder.
    private static func perception(heads: Int, width: Int, patch: Int) -> TimmTower {
        TimmTower(
            family: .perception, heads: heads, width: width, patchSize: patch,
            layerNormEpsilon: 1e-5, poolHeads: 8)
    }
}
