import ArgumentParser
import CLIPHub
import Synchronization

struct Pull: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Download a model.",
        discussion: """
            Prints the path of the weights. The tokenizer of a model with a vocabulary of its own \
            is stored beside them. Files are stored in the cache of Hugging Face's own \
            libraries (HF_HOME, HF_HUB_CACHE) and shared with them. Each file is checked against \
            its size and the checksum that the server sends: SHA-256 for weights, git's SHA-1 for \
            configurations; a note names files without a checksum. Files already in the cache are \
            checked once. Interrupted downloads are resumed. HF_ENDPOINT sets another server, \
            HF_TOKEN gives access to gated repositories, and REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE or \
            SSL_CERT_FILE names certificates to trust.

            Examples:
              clip pull ViT-B/32
              clip pull ViT-L/14 --default
            """)

    @Argument(
        help: ArgumentHelp(
            "Download a model that clip models lists, or a Hugging Face repository (owner/name).",
            valueName: "name"), completion: .modelName)
    var name: String

    @Flag(help: "Download OpenAI's original file into CLIP_HOME, or ~/.cache/clip if unset.")
    var official = false

    @Flag(
        name: .customLong("default"),
        help: "Make NAME the model that is used if neither --model nor CLIP_MODEL names one.")
    var isDefault = false

    @OptionGroup var common: CommonOptions

    func run() throws {
        if name == BundledModel.name {
            note("clip: \(name) is built in; nothing to download")
        } else {
            print(try Self.fetch(name, official: official, common).path)
        }
        guard isDefault else { return }
        try DefaultModel.store(name)
        if !common.quiet { note("clip: \(name) is the default model now") }
    }

    /// Downloads a model with a progress bar; after Ctrl-C, a later call resumes the download.
    static func fetch(
        _ name: String, official: Bool = false, _ common: CommonOptions
    ) throws -> ModelHub.InstalledModel {
        let bar = ProgressBar(isQuiet: common.quiet)
        defer { bar.clear() }
        let kept = ReceivedBytes()
        let model = try Interruption.during {
            try ModelHub().fetch(name, official: official) { progress in
                kept.bytes.withLock {
                    $0[progress.file] = progress.isWaiting ? 0 : progress.received
                }
                bar.show(progress)
                return true
            }
        } keep: {
            let bytes = kept.bytes.withLock { $0.values.reduce(0, +) }
            let megabytes = fixed(Double(bytes) / 1e6, 0)
            return "pull: the \(megabytes) MB received are saved; run the command again to resume"
        }
        let unchecked = model.filesWithoutChecksum.joined(separator: ", ")
        if !unchecked.isEmpty, !common.quiet {
            bar.clear()
            note(
                "clip: pull: only the size was checked, the server sent no checksum of \(unchecked)"
            )
        }
        return model
    }

    /// The number of received bytes of each file.
    private final class ReceivedBytes: Sendable {
        let bytes = Mutex<[String: Int]>([:])
    }
}
