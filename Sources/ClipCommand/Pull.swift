import ArgumentParser
import CLIPHub
import Synchronization

struct Pull: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Download the weights of a model.",
        discussion: """
            Files go where Hugging Face's own libraries keep them (HF_HOME, HF_HUB_CACHE), so that \
            what those downloaded is not downloaded again. Before a file gets its name, its size is \
            checked, and the checksum that the server gives: the SHA-256 of weights, git's SHA-1 of \
            configurations. If it gives neither, a line says so. A file that is there already is read \
            and checked once. An interrupted download is resumed. HF_ENDPOINT names another server, \
            HF_TOKEN gives access to gated repositories, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE or \
            SSL_CERT_FILE names certificates to trust. Prints the path.

            Examples:
              clip pull ViT-B/32
              clip pull ViT-L/14 --default
            """)

    @Argument(
        help: ArgumentHelp(
            "A name that clip models lists, or a repository of the hub (owner/name).",
            valueName: "name"), completion: .modelName)
    var name: String

    @Flag(help: "Download OpenAI's own file into ~/.cache/clip (CLIP_HOME), not the hub's.")
    var official = false

    @Flag(
        name: .customLong("default"),
        help: "Make it the model that runs if neither --model nor CLIP_MODEL names one.")
    var isDefault = false

    @OptionGroup var common: CommonOptions

    func run() throws {
        if name == BundledModel.name {
            note("clip: \(name) is built in; there is nothing to download")
        } else {
            print(try Self.fetch(name, official: official, common).path)
        }
        guard isDefault else { return }
        try DefaultModel.store(name)
        if !common.quiet { note("clip: \(name) is the default model now") }
    }

    /// Downloads a model and shows the progress.
    static func fetch(
        _ name: String, official: Bool = false, _ common: CommonOptions
    ) throws -> ModelHub.InstalledModel {
        let bar = ProgressBar(isQuiet: common.quiet)
        defer { bar.clear() }
        let kept = Kept()
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
            return "pull: \(fixed(Double(bytes) / 1e6, 0)) MB are kept; run it again to resume"
        }
        let unchecked = model.filesWithoutChecksum.joined(separator: ", ")
        if !unchecked.isEmpty, !common.quiet {
            bar.clear()
            note(
                "clip: pull: only the size was checked, as the server gives no checksum: \(unchecked)"
            )
        }
        return model
    }

    /// The bytes of each file that are on this machine.
    private final class Kept: Sendable {
        let bytes = Mutex<[String: Int]>([:])
    }
}
