import CLIP
import CLIPAnalysis
import CLIPSearch
import Files
import TestSupport
import Testing

@testable import ClipCommand

/// Tests the parts of `clip eval`: names, published results, and what its page keeps.
@Suite struct EvalPartsTests {
    @Test(arguments: [
        ("ViT-B/32", "ViT-B-32", "openai"), ("ViT-B-32:openai", "ViT-B-32", "openai"),
        ("ViT-L/14@336px", "ViT-L-14-336", "openai"),
        ("ViT-B-32:laion2b_s34b_b79k", "ViT-B-32", "laion2b_s34b_b79k"),
        ("ViT-B-32-quickgelu:laion400m_e32", "ViT-B-32-quickgelu", "laion400m_e32"),
        ("tiny", "tiny", "builtin"), ("owner/name", "owner/name", ""),
    ])
    func modelNamesAreThoseOfOpenCLIP(name: String, model: String, pretrained: String) {
        #expect(
            PretrainedName(of: name, pretrained: nil)
                == PretrainedName(model: model, pretrained: pretrained))
        #expect(PretrainedName(of: name, pretrained: "mine").pretrained == "mine")
    }

    @Test func fileOfWeightsIsNamedByItsPath() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("weights.safetensors", [0])
        #expect(
            PretrainedName(of: path, pretrained: nil)
                == PretrainedName(model: "weights.safetensors", pretrained: path))
        // open_clip's way of naming a checkpoint.
        #expect(PretrainedName.modelToLoad(model: "ViT-B-32", pretrained: path) == path)
    }

    @Test func architectureAndTagChooseTheModel() {
        let load = { PretrainedName.modelToLoad(model: $0, pretrained: $1) }
        #expect(load("ViT-B-32", "openai") == "ViT-B-32:openai")
        #expect(load("ViT-B-32-quickgelu", "laion400m_e32") == "ViT-B-32-quickgelu:laion400m_e32")
        #expect(load("ViT-B/32", "openai") == nil)
        // Other weights must not be evaluated under this tag.
        #expect(load("ViT-B-32", "no_such_tag") == "ViT-B-32:no_such_tag")
        #expect(load("tiny", "openai") == nil)
        #expect(load(nil, "openai") == nil)
    }

    @Test(
        arguments: [
            ("wds/imagenetv2", nil, DatasetChoice.Place.hub("wds/imagenetv2")),
            ("wds/vtab/cifar10", nil, .hub("wds/vtab/cifar10")),
            ("me/things", nil, .hub("me/things")),
            ("https://huggingface.co/datasets/me/things", nil, .hub("me/things")),
            (
                "wds/vtab/cifar10",
                "https://huggingface.co/datasets/clip-benchmark/wds_{dataset_cleaned}/tree/main",
                .hub("clip-benchmark/wds_vtab-cifar10")
            ),
            ("wds/vtab/cifar10", "data/{dataset}", .path("data/vtab/cifar10")),
            ("cifar10", "data", .path("data")),
        ] as [(String, String?, DatasetChoice.Place)])
    func datasetsAreChosenAsInCLIPBenchmark(
        name: String, root: String?, place: DatasetChoice.Place
    ) throws {
        #expect(try DatasetChoice(name: name, root: root).place == place)
    }

    @Test(arguments: [
        "https://huggingface.co/datasets/me", "https://huggingface.co/me/things",
        "https://huggingface.co/datasets/me/things/tree/other",
        "https://example.org/datasets/me/things", "missing", "missing/table.csv",
        "missing/table.ndjson", "missing/0.tar", "a/b/c", "/missing", "/missing/birds", "./missing",
        "../missing", "./data/birds", "~/birds", "~me/birds",
    ])
    func otherNamesAreRefused(name: String) {
        #expect(throws: Failure.self) { try DatasetChoice(name: name, root: nil) }
    }

    @Test func publishedResultsAreFoundByEveryName() {
        let key = "acc1"
        #expect(
            PublishedResults.results(model: "ViT-B/32", dataset: "wds/imagenetv2")[key] == 0.5592)
        #expect(
            PublishedResults.results(
                model: "ViT-B-32-quickgelu:laion400m_e32", dataset: "vtab/cifar10")[key] == 0.9074)
        // Only the registry has this one.
        #expect(
            PublishedResults.results(model: "ViT-B-16:dfn2b", dataset: "imagenet1k")[key] == 0.7624)
        let found = PublishedResults.results(model: "ViT-L/14", dataset: "wds/mscoco_captions")
        #expect(found["text_retrieval_recall@5"] == 0.7938)
        #expect(found.count == 4)
        #expect(PublishedResults.results(model: "tiny", dataset: "imagenetv2").isEmpty)
        #expect(PublishedResults.results(model: "ViT-B/32", dataset: "my-set").isEmpty)
    }

    @Test func bestClassesAreInOrderAndTiesAreByIndex() {
        #expect(topClasses(3, of: [1, 5, 2, 5, 4]) == [1, 3, 4])
        #expect(topClasses(5, of: [2, 2]) == [0, 1])
        #expect(topClasses(2, of: []) == [])
    }

    @Test func outputNameReplacesThePlaceholders() {
        let name = PretrainedName(model: "a/b", pretrained: "c").outputName(
            "out/{dataset}_{pretrained}_{model}_{language}_{task}.json",
            dataset: "wds/vtab/cifar10", task: "t", language: "en")
        #expect(name == "out/vtab_cifar10_c_a_b_en_t.json")
    }

    @Test func heatmapHasAColumnForEachLabelAndPrediction() throws {
        let scorer = EvalScorer(
            task: "t", keyPrefix: "", description: "d",
            classNames: ["red", "green", "blue", "black"], cosineScale: nil, logits: { _ in [] })
        let report = EvalReport(samples: 2, seed: 0, RGBImage.DecodingOptions())
        // The first image is taken for the class 2, which is no label of the sample.
        for (label, logits) in [(1, [0, 1, 3, 2]), (0, [4, 1, 0, 0])] as [(Int, [Float])] {
            report.samples.add(
                EvalReport.Image(
                    Sample(file: FilePath("\(label)")), labels: [label], logits: logits))
        }
        let heatmap = try #require(report.heatmap(scorer, model: "m"))
        #expect(heatmap.texts == ["green", "red", "blue"])
        #expect(heatmap.cosines == [[1, 0, 3], [1, 4, 0]])
    }

    @Test func worstMistakeOfAPairIsKept() throws {
        var mistakes = WorstMistakes(RGBImage.DecodingOptions())
        var evaluation = Evaluation(classCount: 3)
        for (name, logit) in [("a", 1), ("b", 3), ("c", 2)] as [(String, Float)] {
            let outcome = try evaluation.add(logits: [0, logit, 0], label: 0)
            mistakes.add(Sample(file: FilePath(name)), outcome)
        }
        let worst = try #require(mistakes.worst(of: evaluation.confusions(limit: 1)[0]))
        #expect(worst.sample.path == "b")
        #expect(worst.isFile)
    }

    @Test func onlyALimitedNumberOfPairsIsKept() throws {
        let count = WorstMistakes.limit + 10
        var mistakes = WorstMistakes(RGBImage.DecodingOptions())
        var evaluation = Evaluation(classCount: count + 1)
        func add(_ label: Int) throws {
            var logits = [Float](repeating: 0, count: count + 1)
            logits[count] = 9
            let outcome = try evaluation.add(logits: logits, label: label)
            mistakes.add(Sample(file: FilePath("\(label)")), outcome)
        }
        try add(0)
        for label in 0..<count { try add(label) }
        let kept = evaluation.confusions(limit: count).compactMap { mistakes.worst(of: $0) }
        #expect(kept.count == WorstMistakes.limit)
        // The pair that occurred twice is not dropped for rarer ones.
        #expect(kept.contains { $0.label == 0 })
    }

    @Test func equalClassNamesAreNumbered() {
        #expect(EvalPage.distinct(["crane", "dog", "crane"]) == ["crane (0)", "dog", "crane (2)"])
    }
}
