import CLIPHub
import Foundation
import Testing

/// Tests the messages of errors: they state what happened and mention no command.
@Suite struct ErrorTests {
    /// An error of each case, and more where the message depends on the values.
    static let samples: [HubError] = [
        .unknownModel(name: "chair", similar: []),
        .unknownModel(name: "ViT-B-33", similar: ["ViT-B/32", "ViT-B/16"]),
        .notInstalled(name: "ViT-B/32", bytes: 605_100_000),
        .notInstalled(name: "me/model", bytes: nil),
        .offline(name: "ViT-B/32"), .offlineOfficial(name: "ViT-B/32", file: "ViT-B-32.pt"),
        .unknownDataset(name: "wds/", split: "test"),
        .offlineDataset(name: "wds/imagenetv2", split: "test"),
        .incompleteDataset(url: "u", missing: "classnames.txt"),
        .incompleteDataset(url: "u", missing: "test/nshards.txt"), .noTransport,
        .unreachable(url: "u", reason: "r"),
        .tooSlow(url: "u", bytesPerSecond: 1000, seconds: 60),
        .untrusted(url: "u", reason: "r", variable: nil),
        .untrusted(url: "u", reason: "r", variable: "SSL_CERT_FILE"),
        .malformed(url: "u", reason: "r"), .tooLarge(url: "u", limit: 16_000_000),
        .noWeights(url: "u", files: ["model.safetensors", "pytorch_model.bin"]),
        .noTokenizer(url: "u", files: ["tokenizer.model", "tokenizer.json"]),
        .refused(url: "u", status: 401, hasToken: true),
        .refused(url: "u", status: 403, hasToken: false),
        .refused(url: "u", status: 404, hasToken: false),
        .refused(url: "u", status: 500, hasToken: false),
        .refusedDataset(url: "u", status: 401, hasToken: true),
        .refusedDataset(url: "u", status: 403, hasToken: false),
        .refusedDataset(url: "u", status: 404, hasToken: false),
        .refusedDataset(url: "u", status: 500, hasToken: false),
        .busy(url: "u", status: 429, seconds: 3600), .busy(url: "u", status: 503, seconds: nil),
        .badRedirect(url: "u", reason: "r"), .wrongSize(url: "u", expected: 2, found: 1),
        .wrongChecksum(url: "u", expected: String(repeating: "0", count: 40), found: "1"),
        .damaged(path: "p", expected: String(repeating: "0", count: 64), found: "1"),
        .diskFull(path: "p", needed: 2_000_000, available: 1_000_000),
        .unwritable(path: "p", reason: "r"), .unreadable(path: "p", reason: "r"), .cancelled,
    ]

    /// The name of a case.
    ///
    /// A new case does not compile until it is listed here, and then needs a sample.
    private static func name(_ error: HubError) -> String {
        switch error {
        case .unknownModel: "unknownModel"
        case .notInstalled: "notInstalled"
        case .offline: "offline"
        case .offlineOfficial: "offlineOfficial"
        case .unknownDataset: "unknownDataset"
        case .offlineDataset: "offlineDataset"
        case .incompleteDataset: "incompleteDataset"
        case .noTransport: "noTransport"
        case .unreachable: "unreachable"
        case .tooSlow: "tooSlow"
        case .untrusted: "untrusted"
        case .malformed: "malformed"
        case .tooLarge: "tooLarge"
        case .noWeights: "noWeights"
        case .noTokenizer: "noTokenizer"
        case .refused: "refused"
        case .refusedDataset: "refusedDataset"
        case .busy: "busy"
        case .badRedirect: "badRedirect"
        case .wrongSize: "wrongSize"
        case .wrongChecksum: "wrongChecksum"
        case .damaged: "damaged"
        case .diskFull: "diskFull"
        case .unwritable: "unwritable"
        case .unreadable: "unreadable"
        case .cancelled: "cancelled"
        }
    }

    @Test func everyCaseHasASample() {
        let names = Set(Self.samples.map(Self.name))
        #expect(names.count == 26, "\(names.sorted())")
    }

    @Test(arguments: samples) func messagesNameNoCommand(_ error: HubError) {
        let message = "\(error)"
        #expect(!message.isEmpty && !message.contains("\n"), "\(message)")
        for word in ["--", "clip ", "tiny"] {
            #expect(!message.contains(word), "\"\(message)\" contains \"\(word)\"")
        }
    }

    @Test func refusedDatasetsAreNotCalledModels() {
        for status in [401, 403, 404, 500] {
            for hasToken in [false, true] {
                let error = HubError.refusedDataset(url: "u", status: status, hasToken: hasToken)
                let message = "\(error)"
                #expect(message.contains("data set") && !message.contains("model"), "\(message)")
                guard status < 500 else { continue }
                #expect(message.hasSuffix("check the name and HF_ENDPOINT"), "\(message)")
                #expect(message.contains("HF_TOKEN") == (status != 404), "\(message)")
            }
        }
    }

    @Test func messagesStateWhatWasExpectedAndFound() {
        let size = HubError.wrongSize(url: "u", expected: 2, found: 1)
        #expect("\(size)" == "wrong size of u: expected 2 bytes, found 1; nothing was kept")
        let similar = HubError.unknownModel(name: "ViT-B-33", similar: ["ViT-B/32", "ViT-B/16"])
        #expect(
            "\(similar)" == """
                no model ViT-B-33: no such file or folder, and not a known name; similar names: \
                ViT-B/32, ViT-B/16
                """)
        let missing = HubError.notInstalled(name: "ViT-B/32", bytes: 605_500_000)
        #expect("\(missing)" == "the weights of ViT-B/32 (about 606 MB) are not on this machine")
    }

    #if Foundation
        @Test func localizedDescriptionEqualsTheMessage() {
            for error in Self.samples {
                #expect((error as any Error).localizedDescription == error.description)
            }
        }
    #endif
}
