import CLIPHub
import TestSupport
import Testing

@testable import CLIPServer

@Suite struct ModelNamesTests {
    /// The names of CLIP models that immich offers, and the registry's names.
    private static let immich = [
        ("RN101__openai", "RN101:openai"), ("RN101__yfcc15m", "RN101:yfcc15m"),
        ("RN50__cc12m", "RN50:cc12m"), ("RN50__openai", "RN50:openai"),
        ("RN50__yfcc15m", "RN50:yfcc15m"), ("RN50x16__openai", "RN50x16:openai"),
        ("RN50x4__openai", "RN50x4:openai"), ("RN50x64__openai", "RN50x64:openai"),
        ("ViT-B-16-SigLIP-256__webli", "ViT-B-16-SigLIP-256:webli"),
        ("ViT-B-16-SigLIP-384__webli", "ViT-B-16-SigLIP-384:webli"),
        ("ViT-B-16-SigLIP-512__webli", "ViT-B-16-SigLIP-512:webli"),
        ("ViT-B-16-SigLIP-i18n-256__webli", "ViT-B-16-SigLIP-i18n-256:webli"),
        ("ViT-B-16-SigLIP__webli", "ViT-B-16-SigLIP:webli"),
        ("ViT-B-16-plus-240__laion400m_e31", "ViT-B-16-plus-240:laion400m_e31"),
        ("ViT-B-16-plus-240__laion400m_e32", "ViT-B-16-plus-240:laion400m_e32"),
        ("ViT-B-16__laion400m_e31", "ViT-B-16:laion400m_e31"),
        ("ViT-B-16__laion400m_e32", "ViT-B-16:laion400m_e32"),
        ("ViT-B-16__openai", "ViT-B-16:openai"),
        ("ViT-B-32__laion2b-s34b-b79k", "ViT-B-32:laion2b_s34b_b79k"),
        ("ViT-B-32__laion2b_e16", "ViT-B-32:laion2b_e16"),
        ("ViT-B-32__laion400m_e31", "ViT-B-32:laion400m_e31"),
        ("ViT-B-32__laion400m_e32", "ViT-B-32:laion400m_e32"),
        ("ViT-B-32__openai", "ViT-B-32:openai"),
        ("ViT-H-14-378-quickgelu__dfn5b", "ViT-H-14-378:dfn5b"),
        ("ViT-H-14-quickgelu__dfn5b", "ViT-H-14:dfn5b"),
        ("ViT-H-14__laion2b-s32b-b79k", "ViT-H-14:laion2b_s32b_b79k"),
        ("ViT-L-14-336__openai", "ViT-L-14-336:openai"),
        ("ViT-L-14-quickgelu__dfn2b", "ViT-L-14:dfn2b"),
        ("ViT-L-14__laion2b-s32b-b82k", "ViT-L-14:laion2b_s32b_b82k"),
        ("ViT-L-14__laion400m_e31", "ViT-L-14:laion400m_e31"),
        ("ViT-L-14__laion400m_e32", "ViT-L-14:laion400m_e32"),
        ("ViT-L-14__openai", "ViT-L-14:openai"),
        ("ViT-L-16-SigLIP-256__webli", "ViT-L-16-SigLIP-256:webli"),
        ("ViT-L-16-SigLIP-384__webli", "ViT-L-16-SigLIP-384:webli"),
        ("ViT-SO400M-14-SigLIP-384__webli", "ViT-SO400M-14-SigLIP-384:webli"),
        ("ViT-g-14__laion2b-s12b-b42k", "ViT-g-14:laion2b_s12b_b42k"),
        ("ViT-B-16-SigLIP2__webli", "ViT-B-16-SigLIP2:webli"),
        ("ViT-B-32-SigLIP2-256__webli", "ViT-B-32-SigLIP2-256:webli"),
        ("ViT-L-16-SigLIP2-256__webli", "ViT-L-16-SigLIP2-256:webli"),
        ("ViT-L-16-SigLIP2-384__webli", "ViT-L-16-SigLIP2-384:webli"),
        ("ViT-L-16-SigLIP2-512__webli", "ViT-L-16-SigLIP2-512:webli"),
        ("ViT-SO400M-14-SigLIP2-378__webli", "ViT-SO400M-14-SigLIP2-378:webli"),
        ("ViT-SO400M-14-SigLIP2__webli", "ViT-SO400M-14-SigLIP2:webli"),
        ("ViT-SO400M-16-SigLIP2-256__webli", "ViT-SO400M-16-SigLIP2-256:webli"),
        ("ViT-SO400M-16-SigLIP2-384__webli", "ViT-SO400M-16-SigLIP2-384:webli"),
        ("ViT-SO400M-16-SigLIP2-512__webli", "ViT-SO400M-16-SigLIP2-512:webli"),
        ("ViT-gopt-16-SigLIP2-256__webli", "ViT-gopt-16-SigLIP2-256:webli"),
        ("ViT-gopt-16-SigLIP2-384__webli", "ViT-gopt-16-SigLIP2-384:webli"),
    ]

    @Test(arguments: immich)
    func immichsNamesAreUnderstood(_ names: (immich: String, registry: String)) {
        #expect(ModelNames.known(names.immich)?.key == names.registry)
    }

    @Test(arguments: [
        "XLM-Roberta-Base-ViT-B-32__laion5b_s13b_b90k",
        "XLM-Roberta-Large-ViT-H-14__frozen_laion5b_s13b_b90k", "nllb-clip-base-siglip__mrl",
        "nllb-clip-base-siglip__v1", "nllb-clip-large-siglip__mrl", "nllb-clip-large-siglip__v1",
        "fg-clip2-base", "LABSE-Vit-L-14", "XLM-Roberta-Large-Vit-B-16Plus",
        "XLM-Roberta-Large-Vit-B-32", "XLM-Roberta-Large-Vit-L-14", "buffalo_l",
        "PP-OCRv5_mobile",
    ])
    func immichsUnsupportedModelsAreUnknown(_ name: String) {
        #expect(ModelNames.known(name) == nil)
    }

    @Test(arguments: [
        ("ViT-B/32", "ViT-B-32:openai"), ("vit-b/32", "ViT-B-32:openai"),
        ("ViT-B-32", "ViT-B-32:openai"), ("ViT-B-32/openai", "ViT-B-32:openai"),
        ("ViT-B-32/laion2b_s34b_b79k", "ViT-B-32:laion2b_s34b_b79k"),
        ("ViT-L/14@336px", "ViT-L-14-336:openai"),
        ("openai/clip-vit-base-patch32", "ViT-B-32:openai"),
        ("hf-hub:openai/clip-vit-base-patch32", "ViT-B-32:openai"),
        ("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "ViT-B-32:laion2b_s34b_b79k"),
        ("timm/ViT-B-16-SigLIP2", "ViT-B-16-SigLIP2:webli"),
        // Other rules of preprocessing than those of `ViT-B-16-SigLIP2:webli`.
        ("google/siglip2-base-patch16-224", "google/siglip2-base-patch16-224"),
        ("google/siglip2-base-patch16-naflex", "google/siglip2-base-patch16-naflex"),
    ])
    func otherSpellingsAreUnderstood(_ names: (name: String, registry: String)) {
        #expect(ModelNames.known(names.name)?.key == names.registry)
    }

    @Test func foldedNamesOfTheRegistryAreDistinct() {
        for model in HubModel.all {
            for name in [model.name] + model.aliases {
                #expect(ModelNames.known(name)?.key == model.name, "\(name)")
            }
        }
    }

    @Test func pathsAreServedByTheirLastComponent() {
        let path = Fixtures.path("models/seeded")
        let names = ModelNames(served: [path, "ViT-B/32", "ViT-B-32__openai"])
        #expect(names.served.map(\.name) == ["seeded", "ViT-B/32"])
        #expect(names.model("seeded", installed: [])?.loadName == path)
        #expect(names.model(path, installed: [])?.name == "seeded")
        #expect(names.model("ViT-B-32:openai", installed: [])?.name == "ViT-B/32")
        #expect(names.served[1].loadName == "ViT-B-32:openai")
    }

    @Test func foldersOfTheSameNameAreToldApart() throws {
        let folder = try TemporaryFolder()
        try folder.touch("a/model/x", "b/model/x")
        try folder.touch("c/model/x")
        let paths = ["a", "b", "c"].map { "\(folder.path)/\($0)/model" }
        let names = ModelNames(served: paths + [paths[1]])
        #expect(names.served.map(\.name) == ["model", "model (2)", "model (3)"])
        for (name, path) in zip(names.served.map(\.name), paths) {
            #expect(names.model(name, installed: [])?.loadName == path)
            #expect(names.model(path, installed: [])?.name == name)
        }
    }

    @Test(arguments: [
        "/etc/passwd", "../seeded", "seeded", "./seeded", "..", "", "/", "a/../b", "\u{0}",
        "models--a--b", "hf-hub:", "hf-hub:../..", String(repeating: "ViT-B-32/", count: 10_000),
    ])
    func requestsNeverNameFiles(_ name: String) {
        let names = ModelNames(served: ["ViT-B/32"])
        #expect(names.model(name, installed: ["me/own"]) == nil)
    }

    @Test func installedRepositoriesAreKnown() {
        let names = ModelNames(served: [])
        #expect(names.model("me/own", installed: ["me/own"])?.loadName == "me/own")
        #expect(names.model("me/other", installed: ["me/own"]) == nil)
    }
}
