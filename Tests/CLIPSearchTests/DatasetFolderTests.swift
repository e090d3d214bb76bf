import CLIPSearch
import Foundation
import TestSupport
import Testing

/// Tests data sets in class folders and tables.
@Suite struct DatasetFolderTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func open(
        _ name: String, _ options: EvaluationDataset.Options = .init()
    ) throws(DatasetError) -> EvaluationDataset {
        try EvaluationDataset(path: "\(folder.path)/\(name)", options: options)
    }

    private func error(
        _ name: String, _ options: EvaluationDataset.Options = .init()
    ) -> DatasetError? {
        do {
            _ = try open(name, options)
            return nil
        } catch {
            return error
        }
    }

    /// The items as text: the path relative to the folder, and the target.
    private func items(_ dataset: EvaluationDataset) -> [String] {
        dataset.items().map { item in
            let path = item.sample.path.replacingOccurrences(of: folder.path + "/", with: "")
            switch item.target {
            case .label(let label): return "\(path) \(label)"
            case .labels(let labels): return "\(path) \(labels)"
            case .captions(let captions): return "\(path) \(captions)"
            case .unusable(let reason): return "\(path): \(reason)"
            }
        }
    }

    // MARK: class folders

    @Test func imagesOfClassFoldersAreReadInTheOrderOfTheClasses() throws {
        try folder.touch(
            "pets/dog/b.jpg", "pets/dog/a.png", "pets/cat/more/x.webp", "pets/Zebra/1.jpg",
            "pets/.hidden/1.jpg", "pets/cat/notes.txt", "pets/cat/y.svg", "pets/loose.jpg")
        let dataset = try open("pets")
        #expect(dataset.kind == .classification)
        #expect(dataset.name == "pets")
        #expect(dataset.classNames == ["Zebra", "cat", "dog"])
        #expect(dataset.templates == nil)
        #expect(
            items(dataset) == [
                "pets/Zebra/1.jpg 0", "pets/cat/more/x.webp 1", "pets/dog/a.png 2",
                "pets/dog/b.jpg 2",
            ])
        #expect(dataset.count == 4)
        var stream = dataset.items()
        while stream.next() != nil {}
        #expect(stream.skipped.counts == ["SVG": 1])
    }

    @Test func foldersThatAreIntegersAreLabels() throws {
        try folder.touch("v2/10/a.jpg", "v2/2/b.jpg", "v2/0/c.jpg")
        #expect(
            error("v2")
                == .missingFile(
                    path: folder.path + "/v2",
                    expected: [
                        folder.path + "/v2/classnames.txt", folder.path + "/classnames.txt",
                    ], purpose: "class names"))
        try folder.write("v2/classnames.txt", Array("a\nb\nc\nd".utf8))
        let dataset = try open("v2")
        #expect(dataset.classNames == ["a", "b", "c", "d"])
        #expect(
            items(dataset) == [
                "v2/0/c.jpg 0", "v2/2/b.jpg 2",
                "v2/10/a.jpg: its label 10 is outside the classes: expected 0...3",
            ])
    }

    @Test func folderOfTheSplitIsRead() throws {
        try folder.touch("set/train/cat/a.jpg", "set/test/cat/b.jpg", "set/test/dog/c.jpg")
        #expect(items(try open("set")) == ["set/test/cat/b.jpg 0", "set/test/dog/c.jpg 1"])
        #expect(items(try open("set", .init(split: "train"))) == ["set/train/cat/a.jpg 0"])
        #expect(
            error("set", .init(split: "val"))
                == .missingSplit(
                    path: folder.path + "/set", split: "val", found: ["test", "train"]))
        // Nor is a split a class if there are other folders beside the splits.
        try folder.touch("kit/train/cat/a.jpg", "kit/val/cat/b.jpg", "kit/tools/notes.txt")
        #expect(
            error("kit")
                == .missingSplit(
                    path: folder.path + "/kit", split: "test", found: ["train", "val"]))
        // A class may have the name of a split.
        try folder.touch("words/test/a.jpg", "words/word/b.jpg")
        #expect(items(try open("words")) == ["words/test/a.jpg 0", "words/word/b.jpg 1"])
    }

    @Test func classNamesMayRenameFolders() throws {
        try folder.touch("set/n01/a.jpg", "set/n02/b.jpg")
        // By order.
        let renamed = try open("set", .init(classNames: ["tench", "shark"]))
        #expect(renamed.classNames == ["tench", "shark"])
        #expect(items(renamed) == ["set/n01/a.jpg 0", "set/n02/b.jpg 1"])
        // By name, and then classes may have no folder.
        let names = ["n02", "n00", "n01"]
        #expect(
            items(try open("set", .init(classNames: names))) == [
                "set/n01/a.jpg 2", "set/n02/b.jpg 0",
            ])
        #expect(
            error("set", .init(classNames: ["a", "b", "c"]))
                == .wrongClassCount(path: folder.path + "/set", expected: 2, found: 3))
        #expect(
            error("set", .init(kind: .retrieval))
                == .unsupportedKind(path: folder.path + "/set", kind: .retrieval))
        // Some names are those of other folders: the order is not that of the folders.
        try folder.touch("mixed/cat/a.jpg", "mixed/dog/b.jpg", "mixed/fox/c.jpg")
        #expect(
            error("mixed", .init(classNames: ["dog", "cat", "wolf"]))
                == .invalidContent(
                    path: folder.path + "/mixed",
                    expected:
                        "the names of the subfolders, or other names in their order",
                    found: #""dog" for "cat""#))
        let same = try open("mixed", .init(classNames: ["cat", "dog", "wolf"]))
        #expect(items(same).last == "mixed/fox/c.jpg 2")
    }

    // MARK: tables

    private func table(
        _ name: String, _ text: String, _ options: EvaluationDataset.Options = .init()
    ) throws -> EvaluationDataset {
        try folder.write(name, text.utf8)
        return try open(name, options)
    }

    @Test func labelsOfATableAreNames() throws {
        let dataset = try table(
            "a.csv",
            "\u{FEFF}id,filepath,label\r\n1,x/1.jpg,dog\r\n"
                + "2,\"a, \"\"b\"\".jpg\",cat\r\n\r\n3,/z.png, dog \r\n"
        )
        #expect(dataset.kind == .classification)
        #expect(dataset.classNames == ["cat", "dog"])
        #expect(items(dataset) == ["x/1.jpg 1", "a, \"b\".jpg 0", "/z.png 1"])
        #expect(dataset.count == 3)
        let lines = try table(
            "a.jsonl",
            """
            {"image": "1.jpg", "class": "dog", "n": 1}

            {"class": "cat", "image": "2.jpg"}
            """)
        #expect(items(lines) == ["1.jpg 1", "2.jpg 0"])
    }

    @Test func labelsOfATableMayBeIntegers() throws {
        let text = "path\tlabel\n1.jpg\t1\n2.jpg\tcat\n3.jpg\tcow\n4.jpg\t3\n5.jpg\tdog\n6.jpg\t\n"
        let dataset = try table("a.tsv", text, .init(classNames: ["dog", "cat", "dog"]))
        #expect(
            items(dataset) == [
                "1.jpg 1", "2.jpg 1", "3.jpg: its label \"cow\" is not the name of a class",
                "4.jpg: its label 3 is outside the classes: expected 0...2",
                "5.jpg: its label \"dog\" is the name of 2 classes", "6.jpg: its label is empty",
            ])
        // Class names that are integers: a label is a name first, a label_id never.
        let names = EvaluationDataset.Options(classNames: ["1", "0"])
        #expect(items(try table("b.csv", "path,label\na,0\n", names)) == ["a 1"])
        #expect(items(try table("c.csv", "path,label_id\na,0\n", names)) == ["a 0"])
        #expect(
            items(try table("d.jsonl", #"{"path": "a", "label": 1}"#, names)) == ["a 0"])
    }

    @Test func integersWithoutClassNamesAreAnError() throws {
        try folder.write("a.csv", "path,label\na,0\n".utf8)
        #expect(
            error("a.csv")
                == .missingFile(
                    path: folder.path + "/a.csv", expected: [folder.path + "/classnames.txt"],
                    purpose: "class names"))
        try folder.write("classnames.txt", "one\ntwo".utf8)
        #expect(items(try open("a.csv")) == ["a 0"])
    }

    @Test func allRowsOfAnImageAreOneItem() throws {
        let csv = "image,caption\na.jpg,one\na.jpg,\"two\nlines\"\nb.jpg,three\na.jpg,four\n"
        let dataset = try table("a.csv", csv)
        #expect(dataset.kind == .retrieval)
        #expect(
            items(dataset) == [
                #"a.jpg ["one", "two\nlines", "four"]"#, #"b.jpg ["three"]"#,
            ])
        #expect(dataset.count == 2)
        let lines = try table(
            "a.jsonl",
            """
            {"file_name": "a.jpg", "text": ["one", "two"]}
            {"file_name": "a.jpg", "text": "three"}
            {"file_name": "b.jpg", "text": []}
            {"file_name": "c.jpg", "text": 5}
            """)
        #expect(
            items(lines) == [
                #"a.jpg ["one", "two", "three"]"#, "b.jpg []",
                "c.jpg: line 4: expected a string or an array of strings in \"text\"",
            ])
    }

    @Test func labelsArePreferredToCaptions() throws {
        let csv = "path,text,label\na,A cat.,cat\n"
        #expect(try table("a.csv", csv).kind == .classification)
        let captions = try table("a.csv", csv, .init(kind: .retrieval))
        #expect(items(captions) == [#"a ["A cat."]"#])
    }

    @Test func invalidRowsAreReportedAndTheOthersRead() throws {
        let csv: [UInt8] =
            Array("path,caption\na,one\nb\nc,caf".utf8) + [0xE9]
            + Array("\n,two\nd,three\ne,\"f".utf8)
        try folder.write("a.csv", csv)
        #expect(
            items(try open("a.csv")) == [
                #"a ["one"]"#,
                "a.csv: the record that ends in line 3 has no column \"caption\"",
                "c: its caption in line 4 is not UTF-8",
                "a.csv: line 5: expected the path of an image in \"path\"",
                #"d ["three"]"#, "a.csv: it ends within a quoted field",
            ])
        // Separators that are not quoted; empty fields at the end are harmless.
        let shifted = try table(
            "b.csv", "path,title,label\na,A cat,cat,,\nb,A dog, running,dog\n")
        #expect(
            items(shifted) == [
                "a 0", "b.csv: the record that ends in line 3 has 4 fields: expected 3",
            ])
        #expect(shifted.classNames == ["cat"])
        let lines = try table(
            "a.jsonl",
            """
            {"path": "a", "label": "x"}
            {"path": "b", "label"
            [1]
            {"label": "x"}
            {"path": "c"}
            {"path": "d", "label": "y"}
            """)
        #expect(
            items(lines) == [
                "a 0", "a.jsonl: line 2: not JSON at byte 21: expected :",
                "a.jsonl: line 3 is not a JSON object",
                "a.jsonl: line 4: expected the path of an image in \"path\"",
                "c: line 5: expected a string or an integer in \"label\"", "d 1",
            ])
    }

    @Test func reasonsWhyLinesAreNotJSONAreReported() throws {
        let lines = [
            #"{"path": "a", "label": "x"}"#, #"{"path": "b", "label": "x", "label": "y"}"#,
            #"{"path": "c", "label": "\ud800"}"#, #"{"path": "d", "label": 9223372036854775808}"#,
        ]
        let dataset = try table("a.jsonl", lines.joined(separator: "\n"))
        #expect(
            items(dataset) == [
                "a 0", #"a.jsonl: line 2: the key "label" appears twice"#,
                "a.jsonl: line 3: not JSON at byte 30: unpaired surrogate",
                "a.jsonl: line 4: not JSON at byte 42: integer out of range: 9223372036854775808",
            ])
        try folder.write("b.jsonl", lines[1].utf8)
        #expect(
            error("b.jsonl")
                == .unreadable(
                    path: folder.path + "/b.jsonl",
                    reason: #"line 1: the key "label" appears twice"#))
    }

    @Test func imagesWithAnEmptyCaptionAreNotUsed() throws {
        let csv = "image,caption\na.jpg,one\nb.jpg,\nc.jpg,\" \"\na.jpg,\nd.jpg,two\n"
        #expect(
            items(try table("a.csv", csv)) == [
                "a.jpg: its caption in line 5 is empty", "b.jpg: its caption in line 3 is empty",
                "c.jpg: its caption in line 4 is empty", #"d.jpg ["two"]"#,
            ])
        let lines = #"{"path": "a", "text": ["one", ""]}"# + "\n" + #"{"path": "b", "text": []}"#
        #expect(
            items(try table("a.jsonl", lines)) == [
                "a: its text in line 1 is empty", "b []",
            ])
    }

    @Test func firstRowThatCannotBeUsedIsReported() throws {
        let csv: [UInt8] = Array("path,label\na,x\nb,caf".utf8) + [0xE9] + Array("\nc,".utf8)
        try folder.write("a.csv", csv)
        let dataset = try open("a.csv")
        #expect(dataset.classNames == ["x"])
        #expect(dataset.firstProblem == folder.path + "/b: its label in line 3 is not UTF-8")
        #expect(try table("b.csv", "path,label\na,x\nb,y\n").firstProblem == nil)
        try folder.touch("set/cat/a.jpg")
        #expect(try open("set").firstProblem == nil)
    }

    @Test func tablesWithoutRowsAreErrors() throws {
        for (text, found) in [
            ("path,label\n", "none"),
            ("path,label\n\"a,b\n", "none (it ends within a quoted field)"),
            ("path,label\na\n", "none (the record that ends in line 2 has no column \"label\")"),
        ] {
            try folder.write("a.csv", text.utf8)
            #expect(
                error("a.csv")
                    == .invalidContent(
                        path: folder.path + "/a.csv", expected: "rows with an image and a label",
                        found: found), "\(text)")
        }
        try folder.write("a.csv", [0xFF, 0xFE] + Array("p\0a\0t\0h\0".utf8))
        #expect(
            error("a.csv")
                == .unreadable(
                    path: folder.path + "/a.csv", reason: "it is UTF-16, expected UTF-8"))
    }

    @Test func longListsOfColumnsAreCut() {
        let names = (0..<20).map { "\($0)" } + [String(repeating: "x", count: 99)]
        let line = DatasetError.missingColumn(path: "a.csv", expected: ["path"], found: names)
            .description
        #expect(
            line.hasSuffix(
                "found \"0\", \"1\", \"2\", \"3\", \"4\", \"5\", \"6\", \"7\", \"8\", "
                    + "\"9\", \"10\", \"11\", 9 more"), "\(line)")
    }

    @Test func missingColumnsAreErrors() throws {
        try folder.write("a.csv", "name,label\n".utf8)
        let path = folder.path + "/a.csv"
        guard case .missingColumn(path, _, ["name", "label"]) = error("a.csv") else {
            Issue.record("\(error("a.csv") as Any)")
            return
        }
        try folder.write("a.csv", "path,label\n".utf8)
        #expect(
            error("a.csv", .init(kind: .retrieval))
                == .missingColumn(
                    path: path, expected: ["caption", "title", "text"], found: ["path", "label"]))
        #expect(
            error("a.csv", .init(kind: .multilabel))
                == .unsupportedKind(path: path, kind: .multilabel))
        try folder.write("a.jsonl", "[]".utf8)
        #expect(
            error("a.jsonl")
                == .unreadable(
                    path: folder.path + "/a.jsonl", reason: "line 1 is not a JSON object"))
        try folder.write("empty.csv", "path,label\na,\n".utf8)
        #expect(
            error("empty.csv")
                == .invalidContent(
                    path: folder.path + "/empty.csv", expected: "rows with an image and a label",
                    found: "none"))
        try folder.write("a.tsv", [])
        guard case .missingColumn(_, _, []) = error("a.tsv") else {
            Issue.record("\(error("a.tsv") as Any)")
            return
        }
    }
}
