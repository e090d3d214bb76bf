import CLIP
import CLIPHub
import CLIPSearch
import CLIPServer

/// Hints that name the option or subcommand that helps after an error of a library.
///
/// The libraries know neither options nor subcommands.
enum Hints {
    /// Returns the message of an error, with its hint, if there is one, at the end.
    static func line(_ error: any Error) -> String { line("\(error)", hint(for: error)) }

    /// Returns the message for an image that could not be indexed, with its hint, if there is one,
    /// at the end.
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
        case let error as ProbeFileError: hint(for: error)
        case DatasetError.missingFile: "give --classes FILE"
        case DatasetError.missingSplit: "choose a split with --split"
        case WorkerError.invalidLength(_, let expected, let found)
        where found > expected.upperBound:
            "raise the limit with --max-request-size if images are that large"
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
        case .missingTokenizer:
            """
            copy it from the repository of the model to the folder of the weights, or fetch both \
            with clip pull
            """
        case .invalidAlpha: "give --alpha a number from 0 to 1"
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
            "run clip pull \(name), or use the model \(BundledModel.name), which is built in"
        case .offline(let name):
            """
            unset HF_HUB_OFFLINE and run clip pull \(name), or use the model \
            \(BundledModel.name), which is built in
            """
        case .offlineOfficial(let name, _):
            "unset HF_HUB_OFFLINE and run clip pull --official \(name)"
        case .offlineDataset: "unset HF_HUB_OFFLINE and run the command again"
        case .incompleteDataset(_, missing: "classnames.txt"): "give --classes FILE"
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
            run the command \(words(options(of: stored, unlike: given))) as before, or build the \
            index anew: run clip index --rebuild \
            \(folder)\(added(options(of: given, unlike: stored)))
            """
        default: nil
        }
    }

    /// Returns the options by which a decoding differs from another one, such as `--decode fast`.
    ///
    /// `isGiven` is false for an option that must be omitted to get `decoding`.
    private static func options(
        of decoding: IndexedDecoding, unlike other: IndexedDecoding
    ) -> [(name: String, isGiven: Bool)] {
        var options: [(name: String, isGiven: Bool)] = []
        if decoding.rules != other.rules {
            options.append(("--preprocess \(decoding.rules.rawValue)", true))
        }
        // --reference ignores the EXIF orientation and ICC profiles, and does not scale 16 bits.
        if decoding.appliesOrientation != other.appliesOrientation
            || decoding.scales16Bits != other.scales16Bits
        {
            options.append(("--reference", !decoding.appliesOrientation))
        }
        if decoding.allowsTruncated != other.allowsTruncated {
            options.append(("--allow-truncated", decoding.allowsTruncated))
        }
        if decoding.smallestSide != other.smallestSide {
            options.append(("--decode fast", decoding.smallestSide > 0))
        }
        return options
    }

    /// Returns options as words, such as "with --decode fast, without --reference".
    private static func words(_ options: [(name: String, isGiven: Bool)]) -> String {
        options.map { "\($0.isGiven ? "with" : "without") \($0.name)" }.joined(separator: ", ")
    }

    /// Returns the options with `isGiven`, as the end of a command line.
    private static func added(_ options: [(name: String, isGiven: Bool)]) -> String {
        options.filter(\.isGiven).map { " \($0.name)" }.joined()
    }

    private static func hint(for error: ProbeFileError) -> String? {
        switch error {
        case .otherModel:
            "omit --model and its options, or train a probe for this model with clip probe train"
        case .otherDecoding:
            "omit the option, or train the probe again with the same options as now"
        case .damaged: "copy the file again, or train the probe again"
        default: nil
        }
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
