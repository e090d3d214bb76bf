import CLIP
import Foundation
import TestSupport
import Testing

@testable import CLIPHub

/// Tests the registry of known models, and the search for installed ones.
@Suite struct RegistryTests {
    @Test func allSupportedModelsAreKnown() throws {
        // 112 weights, of which those of ViT-SO400M-14-SigLIP-384 are listed for two image sizes.
        #expect(HubModel.all.count == 113)
        #expect(HubModel.all.filter { $0.official != nil }.count == 9)
        let names = HubModel.all.flatMap { [$0.name] + $0.aliases }
        #expect(Set(names).count == names.count)
        #expect(HubModel.all.map(\.parameterCount).max() == 3_631_197_057)
        for official in OfficialModel.allCases {
            let model = try #require(HubModel.named(official.rawValue))
            #expect(model.official?.name == official.rawValue)
            #expect(model.activation == .quickGELU)
            #expect(model.official?.file == official.fileStem + ".pt")
        }
    }

    /// The most common silent mistake with these weights is to take the activation from the
    /// architecture's name.
    @Test func activationAndNormalisationFollowTheWeights() throws {
        for (name, activation) in [
            ("ViT-B-32:openai", .quickGELU), ("ViT-B-32:laion400m_e32", .quickGELU),
            ("ViT-B-32:laion2b_s34b_b79k", .gelu), ("ViT-B-16:laion400m_e32", .gelu),
            ("ViT-B-32:metaclip_400m", .quickGELU), ("ViT-H-14:metaclip_altogether", .gelu),
            ("ViT-L-14:dfn2b", .quickGELU), ("ViT-L-14:dfn2b_s39b", .gelu),
            ("RN50:yfcc15m", .quickGELU), ("ViT-bigG-14:laion2b_s39b_b160k", .gelu),
            ("ViT-B-32-quickgelu:laion400m_e32", .quickGELU),
            ("ViT-H-14-worldwide:metaclip2_worldwide", .quickGELU),
            ("ViT-H-14-worldwide-378:metaclip2_worldwide", .gelu),
            ("ViT-L-16-SigLIP-256:webli", .gelu), ("PE-Core-B-16:meta", .gelu),
        ] as [(String, Activation)] {
            #expect(HubModel.named(name)?.activation == activation, "\(name)")
        }
        func text(_ name: String) -> String {
            String(decoding: HubModel.named(name)?.configuration ?? [], as: UTF8.self)
        }
        #expect(text("ViT-L-14:laion2b_s32b_b82k").contains("\"mean\": [0.5, 0.5, 0.5]"))
        #expect(text("ViT-H-14-378:dfn5b").contains("squash"))
    }

    @Test(
        arguments: [
            ("ViT-B-16-SigLIP:webli", 768, 224, "Apache 2.0", "timm/ViT-B-16-SigLIP"),
            ("ViT-SO400M-14-SigLIP:webli", 1152, 224, "Apache 2.0", "timm/ViT-B-16-SigLIP"),
            ("ViT-SO400M-14-SigLIP-378:webli", 1152, 378, "Apache 2.0", "timm/ViT-B-16-SigLIP"),
            ("ViT-SO400M-14-SigLIP-384:webli", 1152, 384, "Apache 2.0", "timm/ViT-B-16-SigLIP"),
            (
                "ViT-SO400M-16-SigLIP-i18n-256:webli", 1152, 256, "Apache 2.0",
                "timm/ViT-B-16-SigLIP-i18n-256"
            ),
            (
                "ViT-gopt-16-SigLIP2-384:webli", 1536, 384, "Apache 2.0",
                "timm/ViT-gopt-16-SigLIP2-384"
            ),
            (
                "google/siglip2-base-patch16-naflex", 768, 256, "Apache 2.0",
                "google/siglip2-base-patch16-naflex"
            ),
            (
                "google/siglip2-so400m-patch16-naflex", 1152, 256, "Apache 2.0",
                "google/siglip2-so400m-patch16-naflex"
            ),
            ("MobileCLIP-B:datacompdr_lt", 512, 224, "Apple ML Research", nil),
            ("MobileCLIP2-L-14:dfndr2b", 768, 224, "Apple ML Research", nil),
            (
                "ViT-H-14-worldwide-quickgelu:metaclip2_worldwide", 1024, 224, "CC BY-NC 4.0",
                "facebook/xlm-v-base"
            ),
            (
                "ViT-bigG-14-worldwide-378:metaclip2_worldwide", 1280, 378, "CC BY-NC 4.0",
                "facebook/xlm-v-base"
            ),
            ("PE-Core-T-16-384:meta", 512, 384, "Apache 2.0", nil),
            ("PE-Core-bigG-14-448:meta", 1280, 448, "Apache 2.0", nil),
            ("EVA01-g-14:laion400m_s11b_b41k", 1024, 224, "MIT", nil),
        ] as [(String, Int, Int, String, String?)])
    func otherFamiliesAreDescribed(
        _ name: String, dimension: Int, resolution: Int, license: String, tokenizer: String?
    ) throws {
        let model = try #require(HubModel.named(name))
        #expect(model.embeddingDimension == dimension)
        #expect(model.resolution == resolution)
        #expect(model.license == license)
        #expect(model.tokenizer?.repository == tokenizer)
    }

    @Test func weightsForTwoImageSizesAreFoundByTheirRepository() {
        let repository = "timm/ViT-SO400M-14-SigLIP-384"
        #expect(HubModel.inRepository(repository)?.name == "ViT-SO400M-14-SigLIP-384:webli")
        #expect(
            HubModel.inRepository("google/siglip-so400m-patch14-384")?.name
                == "ViT-SO400M-14-SigLIP-384:webli")
    }

    /// OpenAI's files are not on the hub, so nothing is requested.
    @Test(arguments: [
        ("ViT-B-32:laion2b_s34b_b79k", "RN50"), ("nobody/nothing", "ViT-L/14@336px"),
        ("RN-51", "RN50"),
    ])
    func unknownOfficialNameSuggestsOthers(_ name: String, suggested: String) throws {
        let hub = try Hub()
        let error = #expect(throws: HubError.self) { try hub.hub.fetch(name, official: true) }
        guard case .unknownModel(_, let names) = error else {
            Issue.record("\(error as Any)")
            return
        }
        #expect(names.contains(suggested), "\(names)")
        #expect(hub.server.requests.isEmpty)
    }

    @Test func unknownNameSuggestsSimilarOnes() {
        for (name, similar) in [
            ("ViT-B32", "ViT-B/32"), ("vit-b/32", "ViT-B/32"), ("RN-50", "RN50"),
            ("ViT-B-32:laion2b_s34b_b79", "ViT-B-32:laion2b_s34b_b79k"),
        ] {
            #expect(
                HubModel.similar(to: name).contains(similar),
                "\(name): \(HubModel.similar(to: name))")
        }
        #expect(HubModel.similar(to: "chair").isEmpty)
        for name in ["vit-b/33", "ViT-B/23", "weights/missing.pt"] {
            #expect(throws: HubError.self, "\(name)") { try ModelHub(environment: [:]).find(name) }
        }
        #expect(throws: Never.self) { try ModelHub(environment: [:]).find("me/rn50") }
        #expect(HubModel.inRepository("openai/clip-vit-base-patch32")?.name == "ViT-B-32:openai")
        #expect(
            HubModel.inRepository("hf-hub:openai/clip-vit-base-patch32")?.name == "ViT-B-32:openai")
        #expect(HubModel.inRepository("me/model") == nil)
        #expect(throws: HubError.unknownModel(name: "chair", similar: [])) {
            try ModelHub(environment: [:]).find("chair")
        }
    }

    @Test(arguments: [
        ("vit-b/32", "ViT-B-32:openai"), ("ViT-B-32", "ViT-B-32:openai"),
        ("vit-b-32-quickgelu", "ViT-B-32:openai"), ("rn50", "RN50:openai"),
        ("ViT-L-14-336px", "ViT-L-14-336:openai"), ("ViT-L-14-336", "ViT-L-14-336:openai"),
        ("VIT-B-32:LAION2B_S34B_B79K", "ViT-B-32:laion2b_s34b_b79k"),
        ("ViT-H-14-378", "ViT-H-14-378:dfn5b"), ("vit-b-32-256", "ViT-B-32-256:datacomp_s34b_b86k"),
    ])
    func namesAreFoundInOtherSpellings(_ name: String, expected: String) {
        #expect(HubModel.named(name)?.name == expected, "\(name)")
    }

    @Test func architectureWithSeveralWeightsIsAmbiguous() {
        for name in ["ViT-H-14", "ViT-g-14", "ViT-B", "-quickgelu", ""] {
            #expect(HubModel.named(name) == nil, "\(name): \(HubModel.named(name)?.name ?? "")")
        }
    }

    @Test func openCLIPPrefixIsAccepted() throws {
        let folder = try TemporaryFolder()
        let snapshot = folder.path + "/.cache/huggingface/hub/models--me--model/snapshots/c"
        try FileManager.default.createDirectory(
            atPath: snapshot, withIntermediateDirectories: true)
        try Data("x".utf8).write(to: URL(fileURLWithPath: snapshot + "/model.safetensors"))
        let hub = ModelHub(environment: ["HOME": folder.path])
        for name in ["me/model", "hf-hub:me/model"] {
            #expect(try hub.find(name)?.path == snapshot, "\(name)")
        }
        #expect(throws: HubError.self) { try hub.find("hf-hub:model") }
    }

    /// Weights that other libraries downloaded, in the layouts of their caches.
    @Test func downloadsOfOtherLibrariesAreFound() throws {
        let folder = try TemporaryFolder()
        let hub = ModelHub(environment: ["HOME": folder.path])
        func put(_ path: String, _ contents: String = "x") throws {
            let url = URL(fileURLWithPath: "\(folder.path)/\(path)")
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(contents.utf8).write(to: url)
        }
        let name = "ViT-B/32"
        #expect(try hub.find(name) == nil)
        let cache = ".cache/huggingface/hub/models--"
        try put(cache + "openai--clip-vit-base-patch32/snapshots/aaa/pytorch_model.bin")
        #expect(try hub.find(name)?.path.hasSuffix("aaa/pytorch_model.bin") == true)
        #expect(
            try hub.find("openai/clip-vit-base-patch32")?.path.hasSuffix("snapshots/aaa") == true)
        try put(
            cache + "timm--vit_base_patch32_clip_224.openai/snapshots/b/open_clip_model.safetensors"
        )
        #expect(try hub.find(name)?.path.hasSuffix("b/open_clip_model.safetensors") == true)
        try put(
            cache + "timm--vit_base_patch32_clip_224.openai/snapshots/c/open_clip_model.safetensors"
        )
        try put(cache + "timm--vit_base_patch32_clip_224.openai/refs/main", "c\n")
        #expect(try hub.find(name)?.path.hasSuffix("c/open_clip_model.safetensors") == true)
        try put(".cache/clip/RN50.pt")
        #expect(try hub.find("RN50")?.path == folder.path + "/.cache/clip/RN50.pt")
        #expect(try hub.find("RN50-quickgelu:openai")?.path.hasSuffix("RN50.pt") == true)

        let elsewhere = ModelHub(environment: ["HOME": folder.path, "HF_HUB_CACHE": "/no/such"])
        #expect(try elsewhere.find("openai/clip-vit-base-patch32") == nil)
    }
}
