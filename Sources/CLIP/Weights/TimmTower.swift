/// The hyperparameters of an image tower of timm that the shapes of its tensors do not show.
///
/// open_clip's configurations state the name of the tower, such as `vit_base_patch16_siglip_224`,
/// and timm's source the rest.
///
/// Source: `vision_transformer.py`, `vision_transformer_hybrid.py` and `eva.py` of timm 1.0.31.
struct TimmTower: Equatable {
    var heads: Int
    var activation = Activation.gelu
    var layerNormEpsilon: Float = 1e-6
    /// The number of heads of the attention pool; nil for as many as in the blocks.
    var poolHeads: Int?
    var isRotary = false
    var keepsAspectRatio = false

    /// Returns the tower of a name; nil if the name is unknown.
    static func named(_ name: String) -> TimmTower? {
        if let tower = towers[name] { return tower }
        // A last component of digits is the resolution, which the weights show.
        guard let last = name.lastIndex(of: "_"),
            name[last...].dropFirst().allSatisfy({ $0.isASCII && $0.isNumber })
        else { return nil }
        return towers[String(name[..<last])]
    }

    private static let towers: [String: TimmTower] = [
        "vit_base_patch16_siglip": TimmTower(heads: 12),
        "vit_base_patch32_siglip": TimmTower(heads: 12, activation: .tanhGELU),
        "vit_large_patch16_siglip": TimmTower(heads: 16),
        "vit_so400m_patch14_siglip": TimmTower(heads: 16),
        "vit_so400m_patch16_siglip": TimmTower(heads: 16, activation: .tanhGELU),
        "vit_giantopt_patch16_siglip": TimmTower(heads: 16, activation: .tanhGELU),
        "naflexvit_base_patch16_siglip": TimmTower(
            heads: 12, activation: .tanhGELU, keepsAspectRatio: true),
        "naflexvit_so400m_patch16_siglip": TimmTower(
            heads: 16, activation: .tanhGELU, keepsAspectRatio: true),
        "vit_base_mci": TimmTower(heads: 12),
        "vit_base_patch32_clip": TimmTower(heads: 12, layerNormEpsilon: 1e-5),
        "vit_base_patch16_clip": TimmTower(heads: 12, layerNormEpsilon: 1e-5),
        "vit_large_patch14_clip": TimmTower(heads: 16, layerNormEpsilon: 1e-5),
        "vit_huge_patch14_clip": TimmTower(heads: 16, layerNormEpsilon: 1e-5),
        "vit_pe_core_tiny_patch16": perception(heads: 3),
        "vit_pe_core_small_patch16": perception(heads: 6),
        "vit_pe_core_base_patch16": perception(heads: 12),
        "vit_pe_core_large_patch14": perception(heads: 16),
        "vit_pe_core_gigantic_patch14": perception(heads: 16),
        "eva_giant_patch14": TimmTower(heads: 16),
    ]

    /// A tower of the Perception Encoder.
    private static func perception(heads: Int) -> TimmTower {
        TimmTower(heads: heads, layerNormEpsilon: 1e-5, poolHeads: 8, isRotary: true)
    }
}
