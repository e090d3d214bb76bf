import Foundation
import Testing

@testable import CLIP
@testable import TensorFiles

/// Tests the messages of errors: they state what happened and mention no command.
@Suite struct ErrorTests {
    /// An error of each case, and more where the message depends on the values.
    static let samples: [CLIPError] = [
        .unreadableFile(path: "a", reason: "No such file or directory"),
        .unreadableImage(path: "a.png", reason: "the file is empty"),
        .unreadableImage(path: "", reason: "the file is empty"),
        .imageTooLarge(path: "a.png", width: 20, height: 30, maximumPixels: 500),
        .imageSideTooLong(path: "a.png", width: 2_000_000, height: 1, maximumSide: 1_000_000),
        .imageNeedsMemory(path: "a.png", width: 2, height: 3, bytes: 2_000_000, memoryLimit: 9),
        .imageFileNeedsMemory(path: "a.png", bytes: 2_000_000, memoryLimit: 1_000_000),
        .imageFileNeedsMemory(path: "pipe", bytes: nil, memoryLimit: 1_000_000),
        .tooManyScans(path: "a.jpg", maximumScans: 500),
        .invalidResolution(expected: 32...3200, found: 7),
        .invalidResolution(expected: 224...224, found: 7),
        .wrongPixelCount(expected: 12, found: 3),
        .malformedWeights(path: "w", reason: "the file is empty"),
        .damagedWeights(path: "w", expected: "00", found: "11"),
        .malformedConfiguration(path: "c.json", reason: "expected a list"),
        .unknownArchitecture(path: "w", expected: "the tensor x", found: "none of that name"),
        .missingTensor(path: "w", name: "ln_final.bias", shape: [512], others: 0),
        .missingTensor(path: "w", name: "ln_final.bias", shape: [512], others: 3),
        .unexpectedTensor(path: "w", name: "x", shape: [], others: 1),
        .misshapenTensor(path: "w", name: "x", expected: [2, 3], found: [3, 2]),
        .unknownActivation(path: "w"),
        .contradictoryActivation(path: "w", stated: .gelu, requested: .quickGELU),
        .textTooLong(text: String(repeating: "a ", count: 100), tokens: 102, limit: 77),
        .wrongTokenCount(expected: 1...77, found: 0),
        .wrongTokenCount(expected: 77...77, found: 3),
        .unknownToken(id: 49_408, vocabularySize: 49_408),
        .tooFewLabels(expected: 2, found: 1),
        .noTemplate,
        .invalidTemplate("a photo"),
        .wrongEmbeddingCount(expected: 3, found: 2),
        .unwritableFile(path: "a", reason: "No space left on device"),
        .unrepresentableNumber(tensor: "x", number: 70_000, format: "F16"),
        .unavailableEngine(.blas, reason: "OpenBLAS was not found"),
        .nonFiniteResult(path: "w", stage: "the tensor x"),
        .wrongBytesPerRow(expected: 6, found: 5), .wrongDimension(expected: 3, found: 2),
        .wrongValueCount(dimension: 3, found: 2), .unsupportedPrecision(.bf16), .noThread,
        .differentModels(
            path: "b", reference: "a", property: "activation", expected: "gelu",
            found: "quickgelu"),
        .invalidAlpha(found: 2),
        .missingTokenizer(folder: "a/", expected: ["tokenizer.json"]),
        .malformedTokenizer(
            path: "tokenizer.json", part: "the vocabulary", expected: "numbers", found: "a string"),
        .unavailableRules("openai", expected: ["hf"]),
    ]

    /// The name of a case.
    ///
    /// A new case does not compile until it is listed here, and then needs a sample.
    private static func name(_ error: CLIPError) -> String {
        switch error {
        case .unreadableFile: "unreadableFile"
        case .unreadableImage: "unreadableImage"
        case .imageTooLarge: "imageTooLarge"
        case .imageSideTooLong: "imageSideTooLong"
        case .imageNeedsMemory: "imageNeedsMemory"
        case .imageFileNeedsMemory: "imageFileNeedsMemory"
        case .tooManyScans: "tooManyScans"
        case .invalidResolution: "invalidResolution"
        case .wrongPixelCount: "wrongPixelCount"
        case .malformedWeights: "malformedWeights"
        case .damagedWeights: "damagedWeights"
        case .malformedConfiguration: "malformedConfiguration"
        case .unknownArchitecture: "unknownArchitecture"
        case .missingTensor: "missingTensor"
        case .unexpectedTensor: "unexpectedTensor"
        case .misshapenTensor: "misshapenTensor"
        case .unknownActivation: "unknownActivation"
        case .contradictoryActivation: "contradictoryActivation"
        case .textTooLong: "textTooLong"
        case .wrongTokenCount: "wrongTokenCount"
        case .unknownToken: "unknownToken"
        case .tooFewLabels: "tooFewLabels"
        case .noTemplate: "noTemplate"
        case .invalidTemplate: "invalidTemplate"
        case .wrongEmbeddingCount: "wrongEmbeddingCount"
        case .unwritableFile: "unwritableFile"
        case .unrepresentableNumber: "unrepresentableNumber"
        case .unavailableEngine: "unavailableEngine"
        case .nonFiniteResult: "nonFiniteResult"
        case .wrongBytesPerRow: "wrongBytesPerRow"
        case .wrongDimension: "wrongDimension"
        case .wrongValueCount: "wrongValueCount"
        case .unsupportedPrecision: "unsupportedPrecision"
        case .differentModels: "differentModels"
        case .invalidAlpha: "invalidAlpha"
        case .missingTokenizer: "missingTokenizer"
        case .malformedTokenizer: "malformedTokenizer"
        case .unavailableRules: "unavailableRules"
        case .noThread: "noThread"
        }
    }

    @Test func everyCaseHasASample() {
        let names = Set(Self.samples.map(Self.name))
        #expect(names.count == 39, "\(names.sorted())")
    }

    @Test(arguments: samples) func messagesNameNoCommand(_ error: CLIPError) {
        let message = "\(error)"
        #expect(!message.isEmpty && !message.contains("\n"), "\(message)")
        for word in ["--", "clip ", "tiny"] {
            #expect(!message.contains(word), "\"\(message)\" contains \"\(word)\"")
        }
    }

    @Test func messagesStateWhatWasExpectedAndFound() {
        let expected: [(CLIPError, String)] = [
            (
                .misshapenTensor(path: "w", name: "x", expected: [2, 3], found: [3, 2]),
                "wrong shape of the tensor x in w: expected [2, 3], found [3, 2]"
            ),
            (
                .missingTensor(path: "w", name: "x", shape: [4], others: 3),
                "tensor not found in w: x [4] and 3 more"
            ),
            (
                .damagedWeights(path: "w", expected: "00", found: "11"),
                "w is damaged or not the expected file: expected the SHA-256 00, found 11"
            ),
            (
                .invalidResolution(expected: 32...3200, found: 7),
                "expected images of 32 to 3200 pixels a side for this model, found 7"
            ),
            (
                .invalidResolution(expected: 224...224, found: 7),
                """
                expected images of 224 pixels a side, the only resolution of this model, found 7
                """
            ),
            (
                .unknownArchitecture(
                    path: "w", expected: "the tensor x", found: "none of that name"),
                "unsupported architecture in w: expected the tensor x, found none of that name"
            ),
            (
                .wrongTokenCount(expected: 1...77, found: 0),
                "expected a row of 1 to 77 token ids, found 0"
            ),
            (
                .wrongTokenCount(expected: 77...77, found: 3),
                "expected a row of 77 token ids, found 3"
            ),
            (
                .unknownToken(id: 49_408, vocabularySize: 49_408),
                "unknown token id 49408: expected 0 to 49407"
            ),
            (.tooFewLabels(expected: 2, found: 1), "expected at least 2 labels, found 1"),
            (.invalidTemplate("a photo"), "the template \"a photo\" has no {} for the label"),
            (
                .wrongEmbeddingCount(expected: 3, found: 2),
                "expected 3 embeddings, one for each label, found 2"
            ),
            (
                .imageFileNeedsMemory(path: "p", bytes: nil, memoryLimit: 1_000_000),
                "cannot read p: it has more than the 1.0 MB that images may take"
            ),
        ]
        for (error, message) in expected {
            #expect(error.description == message, "\(error)")
        }
    }

    @Test func exceededLimitsAreNamed() {
        for error in Self.samples {
            let limit: ImageLimit? =
                switch error {
                case .imageTooLarge: .pixels
                case .imageNeedsMemory, .imageFileNeedsMemory: .memory
                case .tooManyScans: .scans
                default: nil
                }
            #expect(error.exceededLimit == limit, "\(error)")
        }
    }

    @Test func tensorFileErrorsBecomeModelErrors() {
        let format = FormatError("the header is too long", expected: "8 bytes", found: "9 bytes")
        let expected: [(TensorFileError, CLIPError, message: String)] = [
            (
                .unreadable(path: "w", reason: "r"), .unreadableFile(path: "w", reason: "r"),
                "cannot read w: r"
            ),
            (
                .malformed(path: "w", format),
                .malformedWeights(path: "w", reason: format.description),
                "cannot read w: the header is too long: expected 8 bytes, found 9 bytes"
            ),
            (
                .damaged(path: "w", expected: "00", found: "11"),
                .damagedWeights(path: "w", expected: "00", found: "11"),
                "w is damaged: expected the SHA-256 00, found 11"
            ),
            (
                .unwritable(path: "w", reason: "r"), .unwritableFile(path: "w", reason: "r"),
                "cannot write w: r"
            ),
            (
                .unrepresentable(tensor: "x", number: 70_000, format: "F16"),
                .unrepresentableNumber(tensor: "x", number: 70_000, format: "F16"),
                "the tensor x has the number 70000.0, which is too large for F16"
            ),
        ]
        for (error, ofModel, message) in expected {
            #expect(CLIPError(error) == ofModel, "\(error): \(CLIPError(error))")
            #expect(error.description == message, "\(error)")
        }
    }

    @Test func formatErrorsStateKnownFacts() {
        #expect(FormatError("a").description == "a")
        #expect(FormatError("a", expected: "b").description == "a: expected b")
        #expect(FormatError("a", found: "c").description == "a: found c")
        #expect(
            FormatError("is cut", expected: "b", found: "c").of(tensor: "x").description
                == "the tensor x is cut: expected b, found c")
    }

    #if Foundation
        @Test func localizedDescriptionEqualsTheMessage() {
            for error in Self.samples {
                #expect((error as any Error).localizedDescription == error.description)
            }
        }
    #endif
}
