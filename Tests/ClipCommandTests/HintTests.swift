import CLIP
import CLIPHub
import CLIPSearch
import Foundation
import TestSupport
import Testing

@testable import ClipCommand

/// Tests the advice that the command adds to errors of the libraries.
@Suite struct HintTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func clip(_ arguments: String...) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(arguments)
    }

    static let clipErrors: [(CLIPError, hint: String)] = [
        (
            .imageTooLarge(path: "a", width: 2, height: 3, maximumPixels: 5),
            "raise the limit with --max-pixels if you trust the image"
        ),
        (
            .imageNeedsMemory(path: "a", width: 2, height: 3, bytes: 9, memoryLimit: 5),
            "raise the limit with --image-memory if you trust the image"
        ),
        (
            .imageFileNeedsMemory(path: "a", bytes: nil, memoryLimit: 5),
            "raise the limit with --image-memory if you trust the image"
        ),
        (
            .tooManyScans(path: "a", maximumScans: 5),
            "raise the limit with --max-scans if you trust the image"
        ),
        (.textTooLong(text: "a", tokens: 78, limit: 77), "shorten the text, or give --truncate"),
        (.unknownActivation(path: "w"), "give --activation quickgelu"),
        (
            .contradictoryActivation(path: "w", stated: .gelu, requested: .quickGELU),
            "omit --activation"
        ),
        (
            .unrepresentableNumber(tensor: "x", number: 70_000, format: "F16"),
            "give --dtype bf16 or f32"
        ),
        (
            .damagedWeights(path: "w", expected: "00", found: "11"),
            "download or copy the file again"
        ),
    ]

    static let hubErrors: [(HubError, hint: String)] = [
        (.unknownModel(name: "chair", similar: []), "clip models lists all names"),
        (.unknownModel(name: "ViT-B-33", similar: ["ViT-B/32"]), "tiny is built in"),
        (
            .notInstalled(name: "me/model", bytes: nil),
            "run clip pull me/model, or use the model tiny"
        ),
        (.offline(name: "me/model"), "unset HF_HUB_OFFLINE and run clip pull me/model, or use"),
        (
            .offlineOfficial(name: "ViT-B/32", file: "ViT-B-32.pt"),
            "run clip pull --official ViT-B/32"
        ),
        (.incompleteDataset(url: "u", missing: "classnames.txt"), "give --classes FILE"),
    ]

    static let searchErrors: [(any Error, hint: String)] = [
        (IndexError.missing(folder: "photos"), "create it with clip index photos"),
        (IndexError.empty(folder: "photos"), "run clip index photos"),
        (IndexError.otherVersion(folder: "photos"), "run clip index --rebuild photos"),
        (IndexError.damaged(folder: "photos", reason: "r"), "run clip index --rebuild photos"),
        (
            IndexError.otherModel(folder: "photos", stored: "a", given: "b"),
            "omit --model and its options, or run clip index --rebuild photos"
        ),
        (RemovalError.changed(path: "a", file: "b"), "run clip index again"),
        (
            EmbeddingFileError.unfinished(path: "x.npy", job: "x.npy.job"),
            "continue it with --resume, or remove x.npy.job"
        ),
        (
            EmbeddingFileError.otherJob(path: "x.npy", job: "x.npy.job"),
            "give the same options, or remove x.npy.job"
        ),
    ]

    @Test func adviceIsAppendedToTheMessage() {
        let errors =
            Self.clipErrors.map { ($0.0 as any Error, $0.hint) }
            + Self.hubErrors.map { ($0.0 as any Error, $0.hint) } + Self.searchErrors
        for (error, hint) in errors {
            let line = Hints.line(error)
            #expect(line.hasPrefix("\(error); "), "\(line)")
            #expect(line.contains(hint), "expected \"\(hint)\", found \"\(line)\"")
            #expect(!"\(error)".contains(hint), "\(error)")
        }
    }

    @Test func otherErrorsHaveNoAdvice() {
        let errors: [any Error] = [
            CLIPError.unreadableFile(path: "a", reason: "r"), HubError.cancelled,
            IndexError.busy(folder: "photos"), RemovalError.refused(path: "a", reason: "r"),
            EmbeddingFileError.unwritable(path: "a", reason: "r"), Failure("wrong"),
        ]
        for error in errors { #expect(Hints.line(error) == "\(error)") }
    }

    // MARK: output of the command

    @Test func longTextAdvisesTruncate() throws {
        let result = try clip("tokenize", String(repeating: "a ", count: 100))
        expectFailure(result, status: 1, says: "…\"; shorten the text, or give --truncate")
    }

    @Test(arguments: [
        ("rgb.png", "--max-pixels"), ("rgb.png", "--image-memory"),
        ("rgb-progressive.jpg", "--max-scans"),
    ])
    func limitsMayBeRaised(_ name: String, option: String) throws {
        let hint = "raise the limit with \(option) if you trust the image"
        let image = Fixtures.path("images/\(name)")
        let result = try clip("preprocess", image, "-o", "x.npy", option, "1")
        expectFailure(result, status: 1, says: hint)
        #expect(result.errors.hasSuffix("; \(hint)\n"), "\(result.errors)")

        // The list of failures of an encoding has the advice too.
        let encoded = try clip("encode", image, "-q", option, "1", "--errors", "e.jsonl")
        expectFailure(encoded, status: 1, says: hint)
        let failures = try String(contentsOfFile: folder.path + "/e.jsonl", encoding: .utf8)
        #expect(failures.contains("; \(hint)\""), "\(failures)")
    }

    @Test func exceededLimitAdvisesItsOption() throws {
        let hint = "raise the limit with --max-pixels if you trust the image"
        try FileManager.default.createDirectory(
            atPath: folder.path + "/photos", withIntermediateDirectories: false)
        try folder.copy(Fixtures.path("images/rgb.png"), as: "photos/a.png")
        let arguments = ["index", "photos", "--model", "tiny", "-q", "--max-pixels", "1"]
        let made = try ClipBinary(folder: folder).run(arguments)
        expectFailure(made, status: 1, says: "; \(hint)")
        #expect(try ClipBinary(folder: folder).run(arguments).status == 0)
        let listed = try clip("index", "photos", "--list-errors").text
        #expect(listed.hasSuffix("; \(hint)\n"), "\(listed)")
        let object = try json(clip("index", "photos", "--list-errors", "--json").output)
        #expect("\(object["reason"] ?? "")".hasSuffix("; \(hint)"), "\(object)")
    }

    @Test func unknownActivationAdvisesItsOption() throws {
        // Weights without a configuration beside them.
        try folder.copy(Fixtures.root + "/Weights/tiny.safetensors", as: "w.safetensors")
        let result = try clip("encode", "--text", "a", "--model", "w.safetensors")
        expectFailure(
            result, status: 1,
            says: "; give --activation quickgelu (OpenAI's weights and a few others) or")
    }

    @Test func missingModelAdvisesPull() throws {
        for (name, hint) in [
            ("me/model", "are not on this machine; run clip pull me/model"),
            ("no model", "not a known name; clip models lists all names, and tiny is built in"),
        ] {
            expectFailure(
                try clip("encode", "--text", "a", "--model", name), status: 1, says: hint)
        }
    }

    @Test func adviceNamesNoOptionThatTheCommandLacks() throws {
        for arguments in [
            ["merge", "tiny", "me/model", "-o", "m.safetensors"], ["info", "me/model"],
        ] {
            let result = try ClipBinary(folder: folder).run(arguments)
            expectFailure(result, status: 1, says: "or use the model tiny, which is built in")
            #expect(!result.errors.contains("--model"), "\(result.errors)")
        }
    }

    @Test func unfinishedOutputAdvisesResume() throws {
        try folder.write("bad.jpg", "no image".utf8)
        let image = Fixtures.path("images/rgb.png")
        let begun = try clip(
            "encode", image, "bad.jpg", "-o", "x.jsonl", "--strict", "--model", "tiny")
        #expect(begun.status == 1, "\(begun.errors)")
        expectFailure(
            try clip("encode", image, "-o", "x.jsonl", "--model", "tiny"), status: 1,
            says: "(see x.jsonl.job); continue it with --resume, or remove x.jsonl.job to")
        expectFailure(
            try clip(
                "encode", image, "-o", "x.jsonl", "--resume", "--no-normalize", "--model", "tiny"),
            status: 1, says: "; give the same options, or remove x.jsonl.job to start again")
    }

    @Test func missingIndexAdvisesIndex() throws {
        try FileManager.default.createDirectory(
            atPath: folder.path + "/photos", withIntermediateDirectories: false)
        expectFailure(
            try clip("search", "a", "--index", "photos"), status: 1,
            says: "photos has no index; create it with clip index photos")
    }
}
