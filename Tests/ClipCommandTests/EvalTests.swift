import CLIPAnalysis
import CLIPSearch
import Files
import Foundation
import TestSupport
import Testing

@testable import ClipCommand

/// Tests `clip eval` with the bundled model on small data sets.
///
/// The expected metrics are computed from the cosines that other commands print.
@Suite struct EvalTests {
    let folder: TemporaryFolder
    static let images = [
        "beach", "bike", "cat", "dog", "fruit", "kitchen", "mountain", "traffic",
    ]

    init() throws { folder = try TemporaryFolder() }

    func clip(_ arguments: [String]) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(arguments + ["--model", "tiny"])
    }

    func example(_ name: String) -> String { "\(Fixtures.root)/Examples/\(name).jpg" }

    func text(_ path: String) throws -> String {
        String(decoding: try bytes(ofFile: path), as: UTF8.self)
    }

    func lines(_ path: String) throws -> [[String: Any]] {
        try text(path).split(separator: "\n").map { try json(Data($0.utf8)) }
    }

    func metrics(_ result: ClipBinary.Result) throws -> [String: Double] {
        let metrics = try #require(try result.json()["metrics"] as? [String: Any])
        return metrics.compactMapValues { $0 as? Double }
    }

    /// Creates a folder with a subfolder for each class.
    func classFolder(_ classes: [(name: String, images: [String])]) throws -> String {
        for (name, images) in classes {
            try FileManager.default.createDirectory(
                atPath: "\(folder.path)/set/\(name)", withIntermediateDirectories: true)
            for image in images { try folder.copy(example(image), as: "set/\(name)/\(image).jpg") }
        }
        return folder.path + "/set"
    }

    static let classes = [
        ("a beach", ["beach", "kitchen"]), ("a cat", ["cat", "dog"]), ("a dog", ["bike"]),
        ("a man riding a bicycle", ["mountain"]), ("fruit", ["fruit", "traffic"]),
    ]

    /// The cosines of an image with labels, in their order.
    func cosines(_ image: String, _ labels: [String]) throws -> [Double] {
        let result = try clip(["zeroshot", image] + labels + ["--json"]).successful()
        let found = try #require(try result.json()["predictions"] as? [[String: Any]])
        return try labels.map { label in
            let one = try #require(found.first { $0["label"] as? String == label })
            return try #require(one["cosine"] as? Double)
        }
    }

    /// The rank of an element among all, from 0; of equal ones, the lower index is better.
    func rank(_ index: Int, _ values: [Double]) -> Int {
        values.indices.count { (values[index], $0) < (values[$0], index) }
    }

    /// The accuracies and the mean recall of the class folder, from the cosines.
    func expectedMetrics() throws -> [String: Double] {
        let names = Self.classes.map(\.0)
        var ranks: [[Int]] = []
        for (label, (_, images)) in Self.classes.enumerated() {
            ranks.append(try images.map { rank(label, try cosines(example($0), names)) })
        }
        let all = ranks.joined()
        let recalls = ranks.map { Double($0.count { $0 == 0 }) / Double($0.count) }
        return [
            "acc1": Double(all.count { $0 == 0 }) / Double(all.count),
            "acc5": Double(all.count { $0 < 5 }) / Double(all.count),
            "mean_per_class_recall": recalls.reduce(0, +) / Double(recalls.count),
        ]
    }

    // MARK: Classification

    @Test func classFolderHasTheMetricsOfItsCosines() throws {
        let path = try classFolder(Self.classes)
        let predictions = folder.path + "/p.jsonl"
        let result = try clip([
            "eval", path, "--template", "{}", "--json", "--predictions", predictions,
        ]).successful()
        let expected = try expectedMetrics()
        let found = try metrics(result)
        #expect(Set(found.keys) == Set(expected.keys))
        for (key, value) in expected {
            #expect(abs((found[key] ?? -1) - value) < 1e-12, "\(key): \(found), \(expected)")
        }
        #expect(found["acc1"].map { $0 > 0 && $0 < 1 } == true, "mistakes and hits: \(found)")
        let object = try result.json()
        #expect(object["images"] as? Int == 8)
        #expect(object["failures"] as? Int == 0)
        #expect(object["task"] as? String == "zeroshot_classification")
        #expect(object["dataset"] as? String == "set")

        let rows = try lines(predictions)
        #expect(rows.count == 8)
        let names = Self.classes.map(\.0)
        for row in rows {
            let path = try #require(row["path"] as? String)
            let label = try #require(row["label"] as? Int)
            #expect(row["label_name"] as? String == names[label])
            #expect(path.contains("/set/\(names[label])/"), "\(path)")
            let best = try #require(row["predictions"] as? [[String: Any]])
            let logits = try cosines(path, names).map { 100 * $0 }
            #expect(best.count == 5)
            for (place, entry) in best.enumerated() {
                let index = try #require(entry["class"] as? Int)
                let logit = try #require(entry["logit"] as? Double)
                #expect(entry["name"] as? String == names[index])
                #expect(rank(index, logits) == place, "\(path): \(best), \(logits)")
                #expect(abs(logit - logits[index]) < 1e-3, "\(path): \(best), \(logits)")
            }
        }
    }

    @Test func benchmarkFileHasItsKeysAndNaN() throws {
        let path = try classFolder(Array(Self.classes.prefix(3)))
        let output = folder.path + "/{dataset}_{pretrained}_{model}_{language}_{task}.json"
        let result = try clip([
            "eval", "--dataset", "wds/vtab/three", "--dataset_root", path, "--batch_size", "64",
            "--output", output, "--language", "en",
        ]).successful()
        #expect(result.text.contains("acc5"), "\(result.text)")
        #expect(result.text.contains("n/a"), "\(result.text)")
        let name = "vtab_three_builtin_tiny_en_zeroshot_classification.json"
        let written = try text("\(folder.path)/\(name)")
        #expect(
            written.hasPrefix(
                """
                {"dataset": "wds/vtab/three", "model": "tiny", "pretrained": "builtin", \
                "task": "zeroshot_classification", "metrics": {"acc1": 
                """), "\(written)")
        #expect(written.contains("\"acc5\": NaN, \"mean_per_class_recall\": "), "\(written)")
        #expect(written.hasSuffix("}, \"language\": \"en\"}\n"), "\(written)")

        let shown = try clip(["eval", path, "--json"]).successful().json()
        #expect((shown["metrics"] as? [String: Any])?["acc5"] is NSNull, "\(shown)")
    }

    @Test func rootTemplateNamesTheDataset() throws {
        try FileManager.default.moveItem(
            atPath: try classFolder(Self.classes), toPath: folder.path + "/wds_vtab-small")
        let result = try clip([
            "eval", "--dataset", "wds/vtab/small", "--dataset_root",
            folder.path + "/wds_{dataset_cleaned}", "--json",
        ]).successful()
        #expect(try result.json()["dataset"] as? String == "wds/vtab/small")
    }

    @Test func badRowsAreListedAndTheOthersEvaluated() throws {
        try folder.copy(example("cat"), as: "cat.jpg")
        try folder.copy(example("dog"), as: "dog.jpg")
        try folder.copy(Fixtures.path("images/bad/text.jpg"), as: "text.jpg")
        let classes = try folder.write("classes.txt", "a cat\na dog\n".utf8)
        let table = try folder.write(
            "t.csv",
            """
            filepath,label_id
            cat.jpg,0
            dog.jpg,1
            text.jpg,1
            missing.jpg,0
            dog.jpg,7

            """.utf8)
        let errors = folder.path + "/errors.jsonl"
        let result = try clip(["eval", table, "--classes", classes, "--json", "--errors", errors])
        #expect(result.status == 1)
        let object = try result.json()
        #expect(object["images"] as? Int == 2)
        #expect(object["failures"] as? Int == 3)
        #expect(try metrics(result)["acc1"] == 1)
        let said = result.errors.split(separator: "\n").filter { $0.hasPrefix("clip: error: ") }
        #expect(said.count == 3, "\(result.errors)")
        for word in ["text.jpg", "missing.jpg", "outside the classes"] {
            #expect(said.contains { $0.contains(word) }, "\(word): \(said)")
        }
        #expect(try lines(errors).count == 3)
    }

    @Test func probeIsEvaluatedOnItsClassesInAnyOrder() throws {
        for image in ["cat", "dog", "fruit"] { try folder.copy(example(image), as: "\(image).jpg") }
        let rows = "cat.jpg,a cat\ndog.jpg,a dog\nfruit.jpg,fruit\n"
        let table = try folder.write("t.csv", ("image,label\n" + rows).utf8)
        let probe = folder.path + "/p.safetensors"
        try #require(clip(["probe", "train", table, "-o", probe]).status == 0)
        let result = try clip(["eval", table, "--probe", probe, "--json"]).successful()
        #expect(try result.json()["task"] as? String == "linear_probe")
        #expect(try metrics(result)["lp_acc1"] == 1, "a probe knows its training images")

        let ids = try folder.write(
            "ids.csv", "image,label_id\ncat.jpg,1\ndog.jpg,2\nfruit.jpg,0\n".utf8)
        let names = try folder.write("names.txt", "fruit\na cat\na dog\n".utf8)
        let other = try clip([
            "eval", ids, "--classes", names, "--probe", probe, "--json",
        ]).successful()
        #expect(try metrics(other)["lp_acc1"] == 1)
        #expect(!other.errors.contains("no class names"), "\(other.errors)")
        // Without names, the numbers are those of the probe's classes: all three are wrong here.
        let unnamed = try clip(["eval", ids, "--probe", probe, "--json"]).successful()
        #expect(try metrics(unnamed)["lp_acc1"] == 0)
        let order = "the probe's classes, 0 = a cat, 1 = a dog, 2 = fruit;"
        #expect(unnamed.errors.contains(order), "\(unnamed.errors)")
        let unknown = try folder.write("unknown.txt", "fruit\na cat\na horse\n".utf8)
        let refused = try clip(["eval", ids, "--classes", unknown, "--probe", probe])
        expectFailure(refused, status: 1, says: "without \"a horse\"")
        // A blank line between names would shift the labels after it.
        let blank = try folder.write("blank.txt", "fruit\n\na cat\na dog\n\n".utf8)
        expectFailure(try clip(["eval", ids, "--classes", blank]), status: 2, says: "line 2")
    }

    // MARK: Report

    @Test func pageShowsClassesConfusionsReliabilityAndSample() throws {
        let path = try classFolder(Self.classes)
        func page(_ name: String, seed: Int) throws -> String {
            let result = try clip([
                "eval", path, "--report", "\(folder.path)/\(name)", "--samples", "3", "--seed",
                "\(seed)", "--compare",
            ]).successful()
            #expect(result.text.contains("none known for this model"), "\(result.text)")
            return try text("\(folder.path)/\(name)")
        }
        let first = try page("a.html", seed: 0)
        for part in [
            "<dl class=\"metrics\">", "class=\"bars\"", "Most confused classes", "taken for",
            "<svg class=\"reliability\"", "<td", "data:image/jpeg;base64,",
            "<title>tiny on set</title>", "set/a%20cat/dog.jpg", "published: unknown",
        ] {
            #expect(first.contains(part), "\(part)")
        }
        #expect(first.components(separatedBy: "<th scope=\"row\"").count == 4)
        #expect(!first.contains("://"))
        #expect(!first.contains("<script"))
        #expect(try page("b.html", seed: 0) == first)
        let other = try page("c.html", seed: 5)
        #expect(other != first)
    }

    @Test func reportIsReadable() throws {
        let path = try classFolder(Self.classes)
        let result = try clip(["eval", path, "--templates", "imagenet"]).successful()
        let labels = result.text.split(separator: "\n").compactMap {
            $0.split(separator: " ").first
        }
        for label in ["task", "data", "model", "acc1", "acc5", "mean_per_class_recall", "time"] {
            #expect(labels.contains { $0 == label }, "\(label): \(result.text)")
        }
        #expect(result.text.contains("8 images in 5 classes"), "\(result.text)")
        #expect(result.text.contains("80 templates"), "\(result.text)")
        #expect(result.text.contains("images a second"), "\(result.text)")
    }

    // MARK: Wrong use

    @Test func outputsDoNotReplaceInputs() throws {
        let rows = "{\"image\": \"cat.jpg\", \"label\": \"a cat\"}\n"
        let table = try folder.write("t.jsonl", rows.utf8)
        expectFailure(
            try clip(["eval", table, "--predictions", "t.jsonl"]), status: 2,
            says: "the same file as the data set")
        expectFailure(
            try clip([
                "eval", "--dataset", "wds/t", "--dataset_root", folder.path + "/{dataset}.jsonl",
                "--predictions", "t.jsonl",
            ]), status: 2, says: "the same file as the data set")
        #expect(try text(table) == rows)
    }

    @Test func outputsDoNotReplaceEachOther() throws {
        let path = try classFolder(Self.classes)
        for options in [
            ["--output", "x", "--report", "x"], ["--predictions", "x", "--report", "./x"],
            ["--output", "{dataset}_p", "--predictions", "set_p"],
            ["--output", "-", "--report", "-"], ["--output", "-", "--json"],
        ] {
            let result = try clip(["eval", path] + options)
            #expect(result.status == 2, "\(options): \(result.errors)")
            #expect(!FileManager.default.fileExists(atPath: folder.path + "/x"), "\(options)")
        }
        let shown = try clip(["eval", path, "--output", "-"]).successful()
        #expect(try shown.json()["task"] as? String == "zeroshot_classification")
    }

    @Test func repeatedRanksAreMeasuredOnce() throws {
        for image in ["cat", "dog"] { try folder.copy(example(image), as: "\(image).jpg") }
        let table = try folder.write(
            "c.csv", "path,caption\ncat.jpg,a cat\ndog.jpg,a dog\ncat.jpg,cat\n".utf8)
        let result = try clip(["eval", table, "--recall_k", "2", "1", "2", "--json"]).successful()
        #expect(result.text.components(separatedBy: "image_retrieval_recall@2\"").count == 3)
        #expect(try metrics(result).count == 4)
        #expect(try result.json()["images"] as? Int == 2)
        let noted = try clip(["eval", table, "--template", "{}"]).successful()
        #expect(noted.errors.contains("--template: no effect"), "\(noted.errors)")
    }

    @Test func unfinishedPredictionsReplaceNothing() throws {
        let table = try folder.write("t.csv", "path,label\nnone.jpg,a\nnone.jpg,b\n".utf8)
        let old = try folder.write("p.jsonl", "old\n".utf8)
        let result = try clip(["eval", table, "--predictions", old])
        #expect(result.status == 1, "\(result.errors)")
        #expect(result.output.isEmpty, "\(result.text)")
        #expect(result.errors.contains("no images to evaluate"), "\(result.errors)")
        #expect(try text(old) == "old\n")
        let left = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(!left.contains { $0.hasSuffix(".partial") }, "\(left)")
    }

    @Test func partialPredictionsOfAKilledRunAreReplaced() throws {
        let path = try classFolder(Self.classes)
        let predictions = folder.path + "/p.jsonl"
        try folder.write("p.jsonl.partial", "{\"path\": \"old".utf8)
        _ = try clip(["eval", path, "--predictions", predictions]).successful()
        #expect(try lines(predictions).count == 8)
        let left = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(!left.contains { $0.hasSuffix(".partial") }, "\(left)")
        // A link is followed, and what it leads to is replaced.
        let link = folder.path + "/link.jsonl"
        try FileManager.default.createSymbolicLink(
            atPath: link, withDestinationPath: "other.jsonl")
        _ = try clip(["eval", path, "--predictions", link]).successful()
        #expect(try text(folder.path + "/other.jsonl") == text(predictions))
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == "other.jsonl")
    }

    @Test func oneClassIsRefused() throws {
        let path = try classFolder([("cat", ["cat"])])
        expectFailure(
            try clip(["eval", path]), status: 1,
            says: "expected at least two classes in the data set")
    }

    @Test func pageCountsTheFailures() throws {
        let path = try classFolder(Self.classes)
        try folder.copy(Fixtures.path("images/bad/text.jpg"), as: "set/a cat/text.jpg")
        let page = folder.path + "/page.html"
        #expect(try clip(["eval", path, "--report", page]).status == 1)
        #expect(try text(page).contains("1 input failed"))
    }

    @Test(
        arguments: [
            ([], "no data set"), (["-"], "standard input"), (["set", "--split", ""], "--split"),
            (["set", "--batch_size", "0"], "--batch_size"), (["a", "--dataset", "b"], "not both"),
            (["nothing-here"], "data set not found: nothing-here"),
            (["set", "--recall_k", "0"], "--recall_k"), (["set", "--samples", "0"], "--samples"),
            (["set", "--samples", "101"], "--samples"),
            (["set", "--template", "a photo"], "no {}"),
            (["set", "--report", "x.csv"], "--report"),
            (["set", "--predictions", "-"], "--predictions"),
            (["set", "--output", "no/x.json"], "no"),
            (["https://example.org/x"], "https://huggingface.co/datasets/"),
        ] as [([String], String)])
    func wrongUseIsRefused(arguments: [String], says: String) throws {
        expectFailure(try clip(["eval"] + arguments), status: 2, says: says)
    }
}
