import Foundation
import TestSupport
import Testing

@testable import CLIPSearch

/// Tests data sets in WebDataset archives.
@Suite struct DatasetArchiveTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        try makeFolder("set/test")
    }

    private var set: String { folder.path + "/set" }

    private func makeFolder(_ name: String) throws {
        try FileManager.default.createDirectory(
            atPath: "\(folder.path)/\(name)", withIntermediateDirectories: true)
    }

    private func write(_ name: String, _ text: String) throws {
        try folder.write(name, text.utf8)
    }

    /// Writes an archive of samples, each an image and one other file; nil leaves that file out.
    private func writeArchive(
        _ name: String, _ suffix: String, _ targets: [[UInt8]?], prefix: String = "s"
    ) throws {
        var files: [(name: String, content: [UInt8])] = []
        for (index, target) in targets.enumerated() {
            files.append(("\(prefix)\(index).webp", [UInt8(index)]))
            if let target { files.append(("\(prefix)\(index).\(suffix)", target)) }
        }
        try folder.write(name, SmallTar.bytes(files))
    }

    private func writeClasses(_ names: String = "cat\ndog\n") throws {
        try write("set/classnames.txt", names)
    }

    private func open(
        _ path: String? = nil, _ options: EvaluationDataset.Options = .init()
    ) throws(DatasetError) -> EvaluationDataset {
        try EvaluationDataset(path: path ?? set, options: options)
    }

    /// The error of opening a data set.
    private func error(
        _ path: String? = nil, _ options: EvaluationDataset.Options = .init()
    ) -> DatasetError? {
        do {
            _ = try open(path, options)
            return nil
        } catch {
            return error
        }
    }

    private func targets(_ dataset: EvaluationDataset) -> [EvaluationDataset.Target] {
        dataset.items().map(\.target)
    }

    @Test func archivesOfASplitAreReadInOrder() throws {
        try writeClasses("crane\r\n dog \t\n\ncrane\n")
        try write("set/zeroshot_classification_templates.txt", "a photo of a {c}.\n{}\n")
        try write("set/test/nshards.txt", "2\n")
        try writeArchive("set/test/0.tar", "cls", [Array("3".utf8), Array(" 0\n".utf8)])
        try writeArchive("set/test/1.tar", "cls", [Array("1".utf8)])
        try writeArchive("set/test/2.tar", "cls", [Array("2".utf8)])
        let dataset = try open()
        #expect(dataset.name == "set")
        #expect(dataset.kind == .classification)
        // Classes of one name stay separate, and an empty line is a class.
        #expect(dataset.classNames == ["crane", "dog", "", "crane"])
        #expect(dataset.templates == ["a photo of a {}.", "{}"])
        #expect(dataset.count == nil)
        let items = Array(dataset.items())
        #expect(items.map(\.target) == [.label(3), .label(0), .label(1)])
        #expect(
            items.map(\.sample.path)
                == ["0.tar/s0.webp", "0.tar/s1.webp", "1.tar/s0.webp"]
                .map { "\(set)/test/\($0)" })
        guard case .bytes([1]) = items[1].sample.content else {
            Issue.record("\(items[1].sample.content)")
            return
        }
        // A second stream begins anew.
        #expect(targets(dataset).count == 3)
    }

    @Test func unusableSamplesAreReportedAndTheOthersRead() throws {
        try writeClasses()
        try write("set/test/nshards.txt", "3")
        try writeArchive(
            "set/test/0.tar", "cls",
            [Array("1".utf8), nil, Array("cat".utf8), Array("2".utf8), Array("-1".utf8), []])
        let whole = SmallTar.bytes(
            [("a.png", [1]), ("a.cls", [0x30]), ("b.png", [2]), ("b.cls", [0x31])])
        try folder.write("set/test/2.tar", whole.prefix(3 * 1024 + 100))
        let items = Array(try open().items())
        #expect(items[0].target == .label(1))
        let reasons = items.compactMap { item -> String? in
            guard case .unusable(let reason) = item.target else { return nil }
            return reason
        }
        let expected = [
            "it has no .cls file", "its .cls file has no integer: found \"cat\"",
            "its label 2 is outside the classes: expected 0...1",
            "its label -1 is outside the classes: expected 0...1",
            "its .cls file has no integer: found \"\"",
            "No such file or directory (nshards.txt states 3 archives)",
        ]
        #expect(Array(reasons.prefix(6)) == expected, "\(reasons)")
        #expect(items.count == 9)
        #expect(items[6].sample.path == "\(set)/test/1.tar")
        #expect(items[7].target == .label(0))
        // The last sample is incomplete.
        guard case .unreadable(let reason) = items[8].sample.content else {
            Issue.record("\(items[8])")
            return
        }
        #expect(reason.contains("truncated"), "\(reason)")
        #expect(items[8].target == .unusable(reason: reason))
    }

    @Test func targetsWithoutImagesAreReported() throws {
        try writeClasses()
        let tar = SmallTar.bytes([
            ("a.png", [1]), ("a.cls", [0x30]), ("b.cls", [0x31]), ("c.svg", [1]), ("c.cls", [0x30]),
            ("d.json", [0x30]), ("e.cls", [0x31]), ("e.webp", [1]),
        ])
        try write("set/test/nshards.txt", "1")
        try folder.write("set/test/0.tar", tar)
        let items = Array(try open().items())
        let reason = "its sample has no image of a supported format"
        #expect(
            items.map(\.target) == [
                .label(0), .unusable(reason: reason), .unusable(reason: reason), .label(1),
            ])
        #expect(items[1].sample.path == "\(set)/test/0.tar/b.cls")
        // An index of the archive ignores them.
        let samples = ImageCollection([.path("\(set)/test/0.tar")])
        #expect(samples.map(\.path) == ["a.png", "e.webp"].map { "\(set)/test/0.tar/\($0)" })
    }

    // MARK: several labels

    /// Makes a `.npy` file.
    @Test func sampleHasOneImageAndItsOwnTarget() throws {
        try writeClasses()
        let (cat, dog) = (Array("0".utf8), Array("1".utf8))
        try folder.write(
            "set/test/0.tar",
            SmallTar.bytes([
                ("a.jpg", [1]), ("a.mask.png", [2]), ("a.cls", dog),
                // PNG is preferred to JPEG, as in CLIP_benchmark.
                ("b.jpg", [3]), ("b.png", [4]), ("b.cls", cat),
                // Images of one key, each with its own target.
                ("i.0.jpg", [5]), ("i.0.cls", dog), ("i.1.png", [6]), ("i.1.cls", cat),
                ("j.0.jpg", [7]), ("j.1.cls", dog), ("j.2.jpg", [8]), ("j.2.cls", dog),
                ("k.x.jpg", [9]), ("k.cls", dog),
            ]))
        let missing = EvaluationDataset.Target.unusable(reason: "it has no .cls file")
        let expected: [(String, EvaluationDataset.Target)] = [
            ("a.jpg", .label(1)), ("b.png", .label(0)), ("i.0.jpg", .label(1)),
            ("i.1.png", missing),
            // A second .cls begins a sample, which has no image.
            ("i.1.cls", .unusable(reason: "its sample has no image of a supported format")),
            ("j.0.jpg", missing), ("j.2.jpg", .label(1)), ("k.x.jpg", .label(1)),
        ]
        let items = Array(try open().items())
        #expect(items.map(\.sample.path) == expected.map { "\(set)/test/0.tar/\($0.0)" })
        #expect(items.map(\.target) == expected.map(\.1))
    }

    private func npy(_ type: String, _ shape: String, _ content: [UInt8]) -> [UInt8] {
        var header = "{'descr': '\(type)', 'fortran_order': False, 'shape': (\(shape)), }"
        header += String(repeating: " ", count: 117 - header.utf8.count) + "\n"
        return [0x93] + Array("NUMPY".utf8) + [1, 0, 118, 0] + Array(header.utf8) + content
    }

    @Test func labelsOfEveryTypeAreRead() throws {
        try writeClasses("a\nb\nc")
        try write("set/dataset_type.txt", "MultiLabel \n")
        let arrays: [[UInt8]] = [
            npy("|b1", "3,", [1, 0, 1]), npy("|u1", "3,", [1, 0, 1]), npy("|i1", "3,", [1, 0, 1]),
            npy("<i2", "3,", [1, 0, 0, 0, 1, 0]),
            npy("<i4", "3,", [1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]),
            npy("<i8", "3,", [1] + [UInt8](repeating: 0, count: 15) + [1, 0, 0, 0, 0, 0, 0, 0]),
            npy("<f2", "3,", [0, 0x3C, 0, 0x80, 0, 0x3C]),
            npy("<f4", "3,", [0, 0, 0x80, 0x3F, 0, 0, 0, 0, 0, 0, 0x80, 0x3F]),
            npy(
                "<f8", "3,",
                [0, 0, 0, 0, 0, 0, 0xF0, 0x3F] + [UInt8](repeating: 0, count: 8)
                    + [0, 0, 0, 0, 0, 0, 0xF0, 0x3F]),
        ]
        try writeArchive("set/test/0.tar", "npy", arrays)
        let dataset = try open()
        #expect(dataset.kind == .multilabel)
        let expected = EvaluationDataset.Target.labels([true, false, true])
        #expect(targets(dataset) == Array(repeating: expected, count: arrays.count))
    }

    @Test func invalidArraysAreUnusable() throws {
        try writeClasses("a\nb\nc")
        let cases: [(bytes: [UInt8], says: String)] = [
            (npy("|u1", "2,", [1, 0]), "expected 3 labels, found 2"),
            (npy("|u1", "3,", [1, 0]), "expected 3 numbers after its header, found 2"),
            (npy("|u1", "1, 3", [1, 0, 1]), "expected one dimension, found the shape (1, 3)"),
            (npy("|u1", "3,", [1, 2, 0]), "label 1 is neither 0 nor 1"),
            (npy("<f4", "3,", [UInt8](repeating: 0xFF, count: 12)), "neither 0 nor 1"),
            (npy(">i2", "3,", [0, 1, 0, 0, 0, 1]), "unsupported type"),
            (npy("|O", "3,", [1, 2, 3]), "unsupported type"),
            (Array("no array at all".utf8), "not an array of NumPy"), ([], "not an array"),
            ([0x93] + Array("NUMPY".utf8) + [1, 0, 0xFF, 0xFF, 1, 2], "truncated"),
        ]
        try writeArchive("set/test/0.tar", "npy", cases.map(\.bytes))
        let found = targets(try open(nil, .init(kind: .multilabel)))
        #expect(found.count == cases.count)
        for (target, (_, says)) in zip(found, cases) {
            guard case .unusable(let reason) = target else {
                Issue.record("\(target) instead of \(says)")
                continue
            }
            #expect(reason.contains(says), "\(reason)")
        }
    }

    /// Other readers of archives list the fields `cls`, `txt` and `json`.
    @Test func arraysAreFieldsOnlyOfDataSets() throws {
        try writeArchive("x.tar", "npy", [[1]])
        let samples = Array(ImageCollection([.path(folder.path + "/x.tar")]))
        #expect(samples.map(\.fields.count) == [0])
    }

    // MARK: captions

    @Test func captionsAreTheLinesOfATextFile() throws {
        try write("set/dataset_type.txt", "retrieval")
        try writeArchive(
            "set/test/0.tar", "txt",
            ["a cat\na \u{e9}t\u{e9}\r\n\n", "one\u{2028}two", ""].map { Array($0.utf8) }
                + [[0x63, 0x61, 0x66, 0xE9], nil])
        let dataset = try open()
        #expect(dataset.kind == .retrieval)
        #expect(dataset.classNames == [])
        #expect(dataset.templates == nil)
        #expect(
            targets(dataset) == [
                .captions(["a cat", "a \u{e9}t\u{e9}", ""]), .captions(["one", "two"]),
                .captions([]), .unusable(reason: "its .txt file is not UTF-8"),
                .unusable(reason: "it has no .txt file"),
            ])
    }

    @Test(arguments: [
        ("a\nb", ["a", "b"]), ("a\n", ["a"]), ("\n", [""]), ("", []),
        ("a\r\nb\rc", ["a", "b", "c"]),
        ("a\n\nb", ["a", "", "b"]), ("a\u{B}b\u{C}c\u{1C}d\u{85}e", ["a", "b", "c", "d", "e"]),
        ("a\n\r\n", ["a", ""]),
    ])
    func linesAreThoseOfPython(_ text: String, _ lines: [String]) {
        #expect(text.pythonLines == lines)
    }

    @Test(arguments: [
        (" a b\t\n", "a b"), ("\r\n", ""), ("", ""), ("\u{1F}\u{A0}a\u{200B}", "a\u{200B}"),
    ])
    func whitespaceIsThatOfPython(_ text: String, _ stripped: String) {
        #expect(text.pythonStripped == stripped)
    }

    // MARK: places

    @Test func singleArchiveHasItsDescriptionsBesideOrAbove() throws {
        try writeClasses()
        try writeArchive("set/test/7.tar", "cls", [Array("1".utf8)])
        for path in ["/test/7.tar", "/test", "", "/", "/test/"] {
            let dataset = try open(set + path)
            #expect(targets(dataset) == [.label(1)], "\(path)")
            #expect(dataset.classNames == ["cat", "dog"])
        }
        try write("set/test/classnames.txt", "one\ntwo\nthree")
        #expect(try open(set + "/test/7.tar").classNames.count == 3)
    }

    @Test func archivesWithoutACountAreSortedByNumber() throws {
        try writeClasses()
        for index in [10, 2, 1] {
            try writeArchive("set/test/\(index).tar", "cls", [[0x30]], prefix: "x\(index)-")
        }
        let names = try open().items().map {
            String($0.sample.path.split(separator: "/").last ?? "")
        }
        #expect(names == ["x1-0.webp", "x2-0.webp", "x10-0.webp"])
    }

    @Test func kindIsThatOfTheFirstSample() throws {
        for (suffix, kind) in [
            ("cls", EvaluationDataset.Kind.classification), ("npy", .multilabel),
            ("txt", .retrieval),
        ] {
            try writeClasses()
            try writeArchive("set/test/0.tar", suffix, [[0x31]])
            #expect(try open().kind == kind)
        }
        // An archive that cannot be read says nothing.
        try folder.write("set/test/0.tar", [])
        try writeArchive("set/test/1.tar", "npy", [[0x31]])
        #expect(try open().kind == .multilabel)
    }

    @Test func optionsReplaceTheFiles() throws {
        try writeArchive("set/test/0.tar", "cls", [[0x31]])
        try write("set/dataset_type.txt", "retrieval")
        let dataset = try open(
            nil,
            .init(classNames: ["a", "b"], templates: ["{c}!", "{}?"], kind: .classification))
        #expect(dataset.kind == .classification)
        #expect(dataset.classNames == ["a", "b"])
        #expect(dataset.templates == ["{}!", "{}?"])
        #expect(targets(dataset) == [.label(1)])
    }

    // MARK: errors

    @Test func missingClassNamesAreAnError() throws {
        try writeArchive("set/test/0.tar", "cls", [[0x31]])
        #expect(
            error()
                == .missingFile(
                    path: set,
                    expected: [set + "/classnames.txt", set + "/test/classnames.txt"],
                    purpose: "class names"))
        try writeClasses("")
        #expect(
            error()
                == .invalidContent(path: set, expected: "at least one class name", found: "none"))
        try folder.write("set/classnames.txt", [0x63, 0xE9])
        #expect(error() == .unreadable(path: set + "/classnames.txt", reason: "it is not UTF-8"))
    }

    @Test func invalidDescriptionsAreErrors() throws {
        try writeClasses()
        try write("set/test/nshards.txt", "many")
        guard case .invalidContent(_, _, "\"many\"") = error() else {
            Issue.record("\(error() as Any)")
            return
        }
        try write("set/test/nshards.txt", "1")
        try write("set/dataset_type.txt", "segmentation")
        guard case .invalidContent(_, _, "\"segmentation\"") = error() else {
            Issue.record("\(error() as Any)")
            return
        }
    }

    @Test func unsupportedPlacesAreErrors() throws {
        try writeArchive("set/test/0.tar", "cls", [[0x31]])
        #expect(
            error(nil, .init(split: "train"))
                == .missingSplit(path: set, split: "train", found: ["test"]))
        let none = folder.path + "/none"
        #expect(error(none) == .unreadable(path: none, reason: "No such file or directory"))
        try write("x.zip", "x")
        #expect(
            error(folder.path + "/x.zip")
                == .unsupportedLayout(path: folder.path + "/x.zip", found: "a file .zip"))
        try makeFolder("splits/test")
        #expect(
            error(folder.path + "/splits")
                == .unsupportedLayout(
                    path: folder.path + "/splits/test",
                    found: "a folder without archives or subfolders"))
        try makeFolder("empty")
        #expect(
            error(folder.path + "/empty")
                == .unsupportedLayout(
                    path: folder.path + "/empty", found: "a folder without archives or subfolders")
        )
    }
}
