import Foundation
import TestSupport
import Testing

// Data sets in archives, by name, and with captions.
extension EvalTests {
    // MARK: Archives

    private func tar(_ name: String, _ members: [String]) throws {
        let tar = Process()
        tar.executableURL = URL(fileURLWithPath: "/usr/bin/tar")
        tar.currentDirectoryURL = URL(fileURLWithPath: folder.path)
        tar.arguments = ["-cf", name] + members
        try tar.run()
        tar.waitUntilExit()
        #expect(tar.terminationStatus == 0)
    }

    private func makeSplit(_ root: String = "wds") throws {
        try FileManager.default.createDirectory(
            atPath: "\(folder.path)/\(root)/test", withIntermediateDirectories: true)
        try folder.write("\(root)/test/nshards.txt", "1".utf8)
    }

    @Test func cachedDatasetIsFoundByName() throws {
        let root = ".cache/huggingface/hub/datasets--clip-benchmark--wds_vtab-small/snapshots/0"
        try makeSplit(root)
        try folder.write("\(root)/classnames.txt", "a cat\na dog\n".utf8)
        for (label, image) in ["cat", "dog"].enumerated() {
            try folder.copy(example(image), as: "\(image).jpg")
            try folder.write("\(image).cls", "\(label)".utf8)
        }
        try tar("\(root)/test/0.tar", ["cat.jpg", "cat.cls", "dog.jpg", "dog.cls"])
        func eval(_ arguments: [String]) throws -> ClipBinary.Result {
            try ClipBinary(folder: folder).run(
                ["eval"] + arguments + ["--json", "--model", "tiny"],
                environment: ["HF_HUB_OFFLINE": "1"])
        }
        let result = try eval(["wds/vtab/small"]).successful()
        #expect(try metrics(result)["acc1"] == 1)
        #expect(try result.json()["dataset"] as? String == "wds/vtab/small")
        let address = "https://huggingface.co/datasets/clip-benchmark/wds_{dataset_cleaned}"
        let same = try eval([
            "--dataset", "wds/vtab/small", "--dataset_root", "\(address)/tree/main",
        ]).successful()
        #expect(try metrics(same) == metrics(result))
        expectFailure(try eval(["wds/other"]), status: 1, says: "HF_HUB_OFFLINE")
    }

    @Test func mistypedPathIsNotOnlyTakenForAName() throws {
        func eval(_ name: String, _ variables: [String: String] = [:]) throws -> ClipBinary.Result {
            try ClipBinary(folder: folder).run(
                ["eval", name, "--model", "tiny", "--quiet"], environment: variables)
        }
        let server = try FaultServer { _ in .init(404) }
        let hub = ["HF_ENDPOINT": server.url]
        let missing = try eval("data/birds", hub)
        expectFailure(missing, status: 1, says: "no file or folder data/birds exists here")
        #expect(
            missing.errors.contains(
                "as a name of the hub: no data set found at \(server.url)/datasets/data/birds"),
            "\(missing.errors)")
        let denied = try FaultServer { _ in .init(401) }
        let refused = try eval("data/birds", ["HF_ENDPOINT": denied.url])
        expectFailure(refused, status: 1, says: "no file or folder data/birds exists here")
        #expect(refused.errors.contains("the data set does not exist"), "\(refused.errors)")
        let offline = try eval("data/birds", ["HF_HUB_OFFLINE": "1"])
        expectFailure(offline, status: 1, says: "no file or folder data/birds exists here")
        // The hub is not asked for what can only be a path.
        let before = server.requests.count
        try FileManager.default.createDirectory(
            atPath: folder.path + "/data/bird", withIntermediateDirectories: true)
        expectFailure(
            try eval("data/birds", hub), status: 2,
            says: "data/birds does not exist in the folder data; to use the hub's, give "
                + "\(server.url)/datasets/data/birds")
        try folder.write("file", "x".utf8)
        expectFailure(
            try eval("file/birds", hub), status: 2,
            says: "file/birds does not exist: file is not a folder; to use the hub's, give ")
        try FileManager.default.createSymbolicLink(
            atPath: folder.path + "/link", withDestinationPath: "nowhere")
        expectFailure(
            try eval("link/birds", hub), status: 2,
            says: "link/birds does not exist: the link link leads to no folder")
        for name in [
            "./birds", "more/birds.csv", "~/birds", "more/birds.zip", "more/birds.tar.gz",
            "more/birds.parquet",
        ] {
            expectFailure(
                try eval(name, hub), status: 2, says: "\(name) is no file or folder here")
        }
        #expect(server.requests.count == before)
        // A name of CLIP_benchmark is no path.
        let named = try eval("wds/other", hub)
        expectFailure(named, status: 1, says: "no data set found at")
        #expect(!named.errors.contains("exists here"), "\(named.errors)")
    }

    @Test func classNamesOfTheHubMayBeGiven() throws {
        for (label, image) in ["cat", "dog"].enumerated() {
            try folder.copy(example(image), as: "\(image).jpg")
            try folder.write("\(image).cls", "\(label)".utf8)
        }
        try tar("0.tar", ["cat.jpg", "cat.cls", "dog.jpg", "dog.cls"])
        let archive = try bytes(ofFile: folder.path + "/0.tar")
        try folder.write("names.txt", "a cat\na dog\n".utf8)
        let files = ["test/nshards.txt": Array("1".utf8), "test/0.tar": archive]
        let sums = try files.mapValues { try gitBlobSHA1($0) }
        let server = try FaultServer { request in
            let name = String(
                request.path.dropFirst("/datasets/me/pets/resolve/main/".utf8.count))
            guard let content = files[name], let sum = sums[name] else { return .init(404) }
            return .init(
                200,
                headers: [
                    "ETag": "\"\(sum)\"", "X-Repo-Commit": String(repeating: "0", count: 40),
                ], body: content)
        }
        func eval(_ arguments: [String], of name: String = "me/pets") throws -> ClipBinary.Result {
            try ClipBinary(folder: folder).run(
                ["eval", name, "--json", "--model", "tiny", "--quiet"] + arguments,
                environment: ["HF_ENDPOINT": server.url])
        }
        let result = try eval([])
        expectFailure(result, status: 1, says: "classnames.txt is missing")
        #expect(result.errors.contains("give --classes FILE"), "\(result.errors)")
        #expect(!server.requests.contains { $0.path.hasSuffix("0.tar") })
        #expect(try metrics(eval(["--classes", "names.txt"]).successful())["acc1"] == 1)
        // Its URL is recorded as the name of the repository.
        let url = server.url + "/datasets/me/pets"
        let record = try eval(["--classes", "names.txt"], of: url).successful().json()
        #expect(record["dataset"] as? String == "me/pets")
    }

    @Test func archiveWithBadMembersIsEvaluated() throws {
        try makeSplit()
        let names = Self.classes.map(\.0)
        try folder.write("wds/classnames.txt", names.joined(separator: "\n").utf8)
        try folder.write("wds/zeroshot_classification_templates.txt", "{c}\n".utf8)
        var members: [String] = []
        for (label, (_, images)) in Self.classes.enumerated() {
            for image in images {
                try folder.copy(example(image), as: "\(image).jpg")
                try folder.write("\(image).cls", "\(label)".utf8)
                members += ["\(image).cls", "\(image).jpg"]
            }
        }
        try folder.copy(Fixtures.path("images/bad/text.jpg"), as: "x1.jpg")
        try folder.write("x1.cls", "1".utf8)
        try folder.copy(example("cat"), as: "x2.jpg")
        try folder.write("x2.cls", "5".utf8)
        try folder.copy(example("cat"), as: "x3.jpg")
        try folder.write("x3.cls", "a cat".utf8)
        members += ["x1.cls", "x1.jpg", "x2.cls", "x2.jpg", "x3.cls", "x3.jpg"]
        try tar("wds/test/0.tar", members)

        let result = try clip(["eval", folder.path + "/wds", "--json"])
        #expect(result.status == 1)
        let expected = try expectedMetrics()
        let found = try metrics(result)
        for (key, value) in expected {
            #expect(abs((found[key] ?? -1) - value) < 1e-12, "\(key): \(found), \(expected)")
        }
        #expect(try result.json()["failures"] as? Int == 3)
        for name in ["x1.jpg", "x2.jpg", "x3.jpg"] {
            #expect(result.errors.contains(name), "\(name): \(result.errors)")
        }

        let whole = try bytes(ofFile: folder.path + "/wds/test/0.tar")
        try folder.write("wds/test/0.tar", whole.prefix(whole.count / 2))
        let cut = try clip(["eval", folder.path + "/wds", "--json"])
        #expect(cut.status == 1)
        let images = try #require(try cut.json()["images"] as? Int)
        #expect((1..<8).contains(images), "\(images)")
        #expect(cut.errors.contains("truncated"), "\(cut.errors)")
    }

    /// Returns an NPY file of int64.
    private func npy(_ values: [Int]) -> [UInt8] {
        let facts = "{'descr': '<i8', 'fortran_order': False, 'shape': (\(values.count),), }"
        let header = facts.padding(toLength: 117, withPad: " ", startingAt: 0) + "\n"
        return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.utf8.count), 0]
            + Array(header.utf8)
            + values.flatMap { value in
                (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
            }
    }

    @Test func multilabelArchiveHasTheAveragePrecisionOfItsCosines() throws {
        try makeSplit()
        let names = ["a beach", "a cat", "a dog", "a kitchen"]
        try folder.write("wds/classnames.txt", names.joined(separator: "\n").utf8)
        try folder.write("wds/zeroshot_classification_templates.txt", "{c}\n".utf8)
        try folder.write("wds/dataset_type.txt", "multilabel\n".utf8)
        let targets = [
            ("beach", [1, 0, 1, 0]), ("cat", [0, 1, 0, 0]), ("dog", [1, 1, 1, 0]),
            ("fruit", [0, 0, 0, 0]), ("kitchen", [0, 1, 0, 0]),
        ]
        for (image, target) in targets {
            try folder.copy(example(image), as: "\(image).jpg")
            try folder.write("\(image).npy", npy(target))
        }
        try tar("wds/test/0.tar", targets.flatMap { ["\($0.0).jpg", "\($0.0).npy"] })
        let result = try clip(["eval", folder.path + "/wds", "--json"]).successful()

        let rows = try targets.map { try cosines(example($0.0), names) }
        var sum = 0.0
        for label in names.indices {
            let order = rows.indices.sorted { (rows[$1][label], $0) < (rows[$0][label], $1) }
            var (hits, precision) = (0, 0.0)
            for (place, row) in order.enumerated() where targets[row].1[label] == 1 {
                hits += 1
                precision += Double(hits) / Double(place + 1)
            }
            sum += precision / Double(max(1, hits))
        }
        let found = try metrics(result)
        #expect(Array(found.keys) == ["mean_average_precision"])
        let expected = sum / Double(names.count)
        #expect(abs((found["mean_average_precision"] ?? -1) - expected) < 1e-12, "\(found)")
    }

    // MARK: Retrieval

    @Test func captionsHaveTheRecallOfTheirCosines() throws {
        // The captions of the dog and the cat are exchanged, so that some ranks are not the first.
        let rows = [
            ("bike", "a man riding a bicycle"), ("bike", "a bicycle"), ("cat", "a dog"),
            ("dog", "a cat"), ("fruit", "fruit"),
        ]
        for image in Set(rows.map(\.0)) { try folder.copy(example(image), as: "\(image).jpg") }
        let table = try folder.write(
            "t.csv",
            ("image,caption\n" + rows.map { "\($0.0).jpg,\($0.1)\n" }.joined()).utf8)
        let predictions = folder.path + "/p.jsonl"
        let result = try clip([
            "eval", table, "--recall_k", "1", "2", "--json", "--predictions", predictions,
        ]).successful()

        let images = ["bike", "cat", "dog", "fruit"]
        let texts = rows.map(\.1)
        let matrix = try images.map { try cosines(example($0), texts) }
        let imageOfText = rows.map { row in images.firstIndex(of: row.0) ?? -1 }
        let imageRanks = texts.indices.map { text in
            rank(imageOfText[text], matrix.map { $0[text] })
        }
        let textRanks = images.indices.map { image in
            texts.indices.filter { imageOfText[$0] == image }.map { rank($0, matrix[image]) }.min()
                ?? .max
        }
        let found = try metrics(result)
        #expect(found.count == 4)
        for k in [1, 2] {
            let expected = [
                "image_retrieval_recall@\(k)":
                    Double(imageRanks.count { $0 < k }) / Double(imageRanks.count),
                "text_retrieval_recall@\(k)":
                    Double(textRanks.count { $0 < k }) / Double(textRanks.count),
            ]
            for (key, value) in expected {
                #expect(abs((found[key] ?? -1) - value) < 1e-12, "\(key): \(found), \(expected)")
            }
        }
        #expect(imageRanks.contains { $0 > 0 }, "\(imageRanks)")
        let written = try lines(predictions)
        #expect(written.compactMap { $0["text_rank"] as? Int } == textRanks.map { $0 + 1 })
        let ranks = written.compactMap { $0["image_ranks"] as? [Int] }
        #expect(Array(ranks.joined()) == imageRanks.map { $0 + 1 })
        #expect(try result.json()["task"] as? String == "zeroshot_retrieval")

        // Rows of one image need not be adjacent, and a K is given twice.
        let apart = try folder.write(
            "apart.csv",
            ("image,caption\n"
                + [0, 2, 3, 4, 1].map { "\(rows[$0].0).jpg,\(rows[$0].1)\n" }
                .joined()).utf8)
        let again = try clip(["eval", apart, "--recall_k", "1", "2", "1", "--json"]).successful()
        #expect(try again.json()["images"] as? Int == images.count)
        #expect(try metrics(again) == found)
        #expect(
            again.text.ranges(of: "\"image_retrieval_recall@1\":0").count == 1, "\(again.text)")

        let refused = try clip(["eval", table, "--task", "zeroshot_classification"])
        #expect(refused.status == 1 && refused.output.isEmpty, "\(refused.status)")
    }
}
