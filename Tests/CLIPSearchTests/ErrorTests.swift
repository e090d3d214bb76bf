import Files
import CLIP
import Foundation
import TestSupport
import Testing

@testable import CLIPSearch

/// Tests the messages of errors: they state what happened and mention no command.
@Suite struct ErrorTests {
    private static let exact = IndexedDecoding(.init(), ImagePreprocessor())
    private static var fast: IndexedDecoding {
        var options = RGBImage.DecodingOptions.reference
        (options.smallestSide, options.allowsTruncated) = (448, true)
        var preprocessor = ImagePreprocessor()
        preprocessor.rules = .huggingFace
        return IndexedDecoding(options, preprocessor)
    }

    /// An error of each case, and more where the message depends on the values.
    static let samples: [any Error] =
        ofIndexes as [any Error] + ofRemovals as [any Error] + ofFiles as [any Error]
        + ofDatasets as [any Error]

    private static let ofIndexes: [IndexError] = [
        .missing(folder: "photos"), .empty(folder: "photos"),
        .unreadableFolder(folder: "photos", reason: "Permission denied"),
        .unusable(folder: "photos", reason: "not a database"), .otherVersion(folder: "photos"),
        .damaged(folder: "photos", reason: "vectors.f32 is missing"),
        .otherModel(folder: "photos", stored: "a", given: "b"),
        .otherDecoding(folder: "photos", stored: exact, given: fast),
        .otherDecoding(folder: "photos", stored: fast, given: exact),
        .busy(folder: "photos"), .invalidVector(.wrongDimension(expected: 3, found: 2)),
        .invalidVector(.notFinite(row: 1)), .invalidVector(.zero(row: 1)),
    ]

    private static let ofRemovals: [RemovalError] = [
        .changed(path: "a", file: "a"), .changed(path: "a", file: "b"),
        .refused(path: "a", reason: "it is the same file as b"),
        .failed(path: "a", .open, reason: "r"), .failed(path: "a", .move, reason: "r"),
        .failed(path: "a", .delete, reason: "r"), .failed(path: "a", .putBack, reason: "r"),
        .unusableLog(path: "a", reason: "r"),
    ]

    private static let ofFiles: [EmbeddingFileError] = [
        .unwritable(path: "x.npy", reason: "No space left on device"),
        .unfinished(path: "x.npy", job: "x.npy.job"),
        .otherJob(path: "x.npy", job: "x.npy.job"), .wrongDimension(expected: 3, found: 2),
    ]

    private static let ofDatasets: [DatasetError] = [
        .unreadable(path: "pets", reason: "Permission denied"),
        .missingFile(
            path: "pets", expected: ["pets/classnames.txt", "classnames.txt"],
            purpose: "class names"),
        .missingSplit(path: "pets", split: "test", found: ["train"]),
        .missingSplit(path: "pets", split: "test", found: []),
        .unsupportedLayout(path: "pets", found: "a file .zip"),
        .invalidContent(path: "nshards.txt", expected: "a number", found: "many"),
        .missingColumn(path: "pets.csv", expected: ["label", "class"], found: ["id"]),
        .missingColumn(path: "pets.csv", expected: ["label", "class"], found: []),
        .wrongClassCount(path: "pets", expected: 3, found: 2),
        .unsupportedKind(path: "pets", kind: .classification),
        .unsupportedKind(path: "pets", kind: .multilabel),
        .unsupportedKind(path: "pets", kind: .retrieval),
    ]

    /// The name of a case.
    ///
    /// A new case does not compile until it is listed here, and then needs a sample.
    private static func name(_ error: any Error) -> String {
        switch error {
        case let error as IndexError:
            switch error {
            case .missing: "missing"
            case .empty: "empty"
            case .unreadableFolder: "unreadableFolder"
            case .unusable: "unusable"
            case .otherVersion: "otherVersion"
            case .damaged: "damaged"
            case .otherModel: "otherModel"
            case .otherDecoding: "otherDecoding"
            case .busy: "busy"
            case .invalidVector: "invalidVector"
            }
        case let error as RemovalError:
            switch error {
            case .changed: "changed"
            case .refused: "refused"
            case .failed: "failed"
            case .unusableLog: "unusableLog"
            }
        case let error as EmbeddingFileError:
            switch error {
            case .unwritable: "unwritable"
            case .unfinished: "unfinished"
            case .otherJob: "otherJob"
            case .wrongDimension: "wrongDimension"
            }
        case let error as DatasetError:
            switch error {
            case .unreadable: "unreadable"
            case .missingFile: "missingFile"
            case .missingSplit: "missingSplit"
            case .unsupportedLayout: "unsupportedLayout"
            case .invalidContent: "invalidContent"
            case .missingColumn: "missingColumn"
            case .wrongClassCount: "wrongClassCount"
            case .unsupportedKind: "unsupportedKind"
            }
        default: "another error"
        }
    }

    @Test func everyCaseHasASample() {
        let names = Set(Self.samples.map(Self.name))
        #expect(names.count == 26, "\(names.sorted())")
    }

    @Test func messagesNameNoCommand() {
        for error in Self.samples {
            let message = "\(error)"
            #expect(!message.isEmpty && !message.contains("\n"), "\(message)")
            for word in ["--", "clip ", "tiny"] {
                #expect(!message.contains(word), "\"\(message)\" contains \"\(word)\"")
            }
        }
    }

    #if Foundation
        @Test func localizedDescriptionEqualsTheMessage() {
            for error in Self.samples where !(error is RemovalError) {
                #expect(error.localizedDescription == "\(error)")
            }
        }
    #endif

    // MARK: decoding

    @Test func storedDecodingIsReadBack() {
        // The text is part of the format of indexes.
        let texts = [
            (
                Self.exact,
                "openai, orientation true, 16 bits true, truncated false, smallest side 0"
            ),
            (
                Self.fast,
                "hf, orientation false, 16 bits false, truncated true, smallest side 448"
            ),
        ]
        for (decoding, text) in texts {
            #expect(decoding.stored == text)
            #expect(IndexedDecoding(stored: text) == decoding, "\(text)")
            #expect(IndexedDecoding(stored: text + ", more") == nil)
        }
        for text in ["", "?", "openai", texts[0].1.replacing("true", with: "yes")] {
            #expect(IndexedDecoding(stored: text) == nil, "\(text)")
        }
    }

    @Test func onlyDifferingOptionsAreNamed() {
        var options = RGBImage.DecodingOptions()
        options.allowsTruncated = true
        let tolerant = IndexedDecoding(options, ImagePreprocessor())
        #expect(Self.exact.difference(from: Self.exact) == "")
        #expect(Self.exact.difference(from: tolerant) == "truncated images refused")
        #expect(tolerant.difference(from: Self.exact) == "truncated images accepted")
        let all = Self.fast.difference(from: Self.exact)
        #expect(
            all == """
                the preprocessing hf, EXIF orientations ignored, 16-bit images clipped, truncated \
                images accepted, JPEGs decoded at a reduced size of at least 448 pixels
                """)
    }

    // MARK: failures of images

    @Test func exceededLimitsAreStored() throws {
        let folder = try TemporaryFolder()
        let path = FilePath(folder.path + "/photos")
        try FileManager.default.createDirectory(
            atPath: path.description, withIntermediateDirectories: false)
        try folder.write("photos/a.png", SmallPNG.bytes(1))
        try folder.write("photos/b.png", "no image".utf8)
        let model = try CLIPModel(path: Fixtures.path("models/seeded"), threads: 2)
        var small = RGBImage.DecodingOptions()
        small.maximumPixels = 10
        func update() throws -> [IndexUpdate.Failure] {
            try IndexUpdate(folder: path, model: model, modelName: "seeded", decoding: small)
                .run().failures
        }
        let found = try update()
        #expect(found.map(\.exceededLimit) == [.pixels, nil], "\(found)")
        #expect(found.allSatisfy { !$0.reason.unicodeScalars.contains("\u{1F}") }, "\(found)")
        let stored = try FolderIndex(folder: path).failures()
        #expect(stored.map(\.exceededLimit) == [.pixels, nil], "\(stored)")
        #expect(stored.map(\.reason) == found.map(\.reason))
        #expect(try update().map(\.isNew) == [false, false])
    }

    @Test func storedFailuresOfOlderVersionsAreMatched() {
        let error = CLIPError.imageTooLarge(path: "a", width: 20, height: 30, maximumPixels: 500)
        let failure = StoredFailure(error)
        let old = "\(error); raise the limit (--max-pixels, maximumPixels) if it is to be trusted"
        for text in [failure.text, old] {
            #expect(failure.isCause(of: text), "\(text)")
        }
        let scans = StoredFailure(.tooManyScans(path: "a", maximumScans: 500))
        for text in [scans.text, "\(error)", nil] {
            #expect(!failure.isCause(of: text), "\(text ?? "nil")")
        }
        let damaged = StoredFailure(.unreadableImage(path: "a", reason: "the file is empty"))
        #expect(damaged.isCause(of: damaged.text) && damaged.text == damaged.reason)
        #expect(StoredFailure(text: failure.text).exceededLimit == .pixels)
        #expect(StoredFailure(text: failure.text).reason == "\(error)")
        #expect(StoredFailure(text: damaged.text).exceededLimit == nil)
    }
}
