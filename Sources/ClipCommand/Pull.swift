import ArgumentParser
import CLIPHub
import Synchronization

struct Pull: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fetch the weights of a model.",
        discussion: """
            Files go where Hugging Face's own libraries keep them (HF_HOME, HF_HUB_CACHE), so that \
            what those fetched is not fetched again. Size and SHA-256 are checked before a file gets its name; a \
            download that broke off goes on where it stopped. HF_ENDPOINT names another server, \
            HF_TOKEN gives access to files that are not for everybody. The path is printed.

            Example: clip pull ViT-B/32
            """)

    @Argument(
        help: ArgumentHelp(
            "A name that clip models lists, or a repository of the hub (owner/name).",
            valueName: "name"), completion: .modelName)
    var name: String

    @Flag(help: "OpenAI's own file, into ~/.cache/clip (CLIP_HOME), rather than the hub's.")
    var official = false

    @OptionGroup var common: CommonOptions

    func run() throws {
        guard name != BundledModel.name else {
            note("clip: \(name) is built in; there is nothing to fetch")
            return
        }
        print(try Self.fetch(name, official: official, common).path)
    }

    /// Fetches a model and shows how far it is.
    static func fetch(
        _ name: String, official: Bool = false, _ common: CommonOptions
    ) throws -> CLIPHub.InstalledModel {
        let bar = ProgressBar(isQuiet: common.quiet)
        defer { bar.clear() }
        let kept = Kept()
        return try Interruption.during {
            try CLIPHub().fetch(name, official: official) { progress in
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
    }

    /// The bytes of each file that are on this machine.
    private final class Kept: Sendable {
        let bytes = Mutex<[String: Int]>([:])
    }
}
