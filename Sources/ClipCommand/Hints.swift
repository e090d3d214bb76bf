import CLIP
import CLIPHub
import CLIPSearch

/// Hints at options and subcommands that help, for errors of the libraries, which know neither.
enum Hints {
    /// Returns the message of an error, with its hint at the end.
    static func line(_ error: any Error) -> String { line("\(error)", hint(for: error)) }

    /// Returns the message of an image that could not be indexed, with its hint at the end.
    static func line(_ failure: IndexUpdate.Failure) -> String {
        line(failure.reason, failure.exceededLimit.map(hint))
    }

    private static func line(_ message: String, _ hint: String?) -> String {
        hint.map { "\(message); \($0)" } ?? message
    }

    /// Returns the hint for an error; nil if there is none.
    static func hint(for error: any Error) -> String? {
        switch error {
        case let error as CLIPError: hint(for: error)
        case let error as HubError: hint(for: error)
        case let error as IndexError: hint(for: error)
        case let error as EmbeddingFileError: hint(for: error)
        case RemovalError.changed: "run clip index again"
        default: nil
        }
    }

    private static func hint(for error: CLIPError) -> String? {
        switch error {
        case .unreadableFile(_, let reason) where reason.hasSuffix(ImageCollection.foundNULs):
            "give -0 if the names are NUL-terminated"
        case .textTooLong: "shorten the text, or give --truncate"
        case .unknownActivation:
            """
            give --activation quickgelu (OpenAI's weights and a few others) or --activation gelu \
            (most weights of open_clip), or put the configuration beside the weights
            """
        case .contradictoryActivation: "omit --activation"
        case .unrepresentableNumber: "give --dtype bf16 or f32"
        case .damagedWeights: "download or copy the file again"
        default: error.exceededLimit.map(hint)
        }
    }

    private static func hint(for limit: ImageLimit) -> String {
        let option =
            switch limit {
            case .pixels: "--max-pixels"
            case .memory: "--image-memory"
            case .scans: "--max-scans"
            }
        return "raise the limit with \(option) if you trust the image"
    }

    private static func hint(for error: HubError) -> String? {
        switch error {
        case .unknownModel(_, let similar):
            (similar.isEmpty ? "clip models lists all names, and " : "")
                + "\(BundledModel.name) is built in"
        case .notInstalled(let name, _):
            "run clip pull \(name), or give --model \(BundledModel.name), which is built in"
        case .offline(let name):
            """
            unset HF_HUB_OFFLINE and run clip pull \(name), or give --model \(BundledModel.name), \
            which is built in
            """
        default: nil
        }
    }

    private static func hint(for error: IndexError) -> String? {
        switch error {
        case .missing(let folder): "create it with clip index \(folder)"
        case .empty(let folder): "run clip index \(folder)"
        case .otherVersion(let folder), .damaged(let folder, _):
            "run clip index --rebuild \(folder)"
        case .otherModel(let folder, _, _):
            """
            omit --model and its options, or run clip index --rebuild \(folder) with them to \
            change the model
            """
        case .otherDecoding(let folder, let stored, let given):
            """
            run it \(options(of: stored, unlike: given)) as before, or run clip index --rebuild \
            \(folder)
            """
        default: nil
        }
    }

    /// Returns the options that restore the stored decoding, such as "with --decode fast".
    private static func options(
        of stored: IndexedDecoding, unlike given: IndexedDecoding
    ) -> String {
        var options: [String] = []
        func add(_ option: String, isGiven: Bool) {
            options.append("\(isGiven ? "with" : "without") \(option)")
        }
        if stored.rules != given.rules {
            add("--preprocess \(stored.rules.rawValue)", isGiven: true)
        }
        // --reference ignores the EXIF orientation and does not scale 16 bits.
        if stored.appliesOrientation != given.appliesOrientation
            || stored.scales16Bits != given.scales16Bits
        {
            add("--reference", isGiven: !stored.appliesOrientation)
        }
        if stored.allowsTruncated != given.allowsTruncated {
            add("--allow-truncated", isGiven: stored.allowsTruncated)
        }
        if stored.smallestSide != given.smallestSide {
            add("--decode fast", isGiven: stored.smallestSide > 0)
        }
        return options.joined(separator: ", ")
    }

    private static func hint(for error: EmbeddingFileError) -> String? {
        switch error {
        case .unfinished(_, let job):
            "continue it with --resume, or remove \(job) to start again"
        case .otherJob(_, let job): "give the same options, or remove \(job) to start again"
        default: nil
        }
    }
}
