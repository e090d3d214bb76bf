import ArgumentParser
import CLIP
import CLIPHub
import CLIPSearch

/// The command `clip`: thin; everything it can do, the library does.
@main
struct Clip: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clip",
        abstract: "Pictures and texts to vectors, and pictures classified with words alone.",
        discussion: """
            Data goes to standard output, everything else to standard error. The exit status is 0 \
            when all is done, 1 when something failed (the rest was done), 2 for wrong usage.

            Completions: clip --generate-completion-script bash|zsh|fish prints the script of a shell; the \
            README says where it goes.
            """,
        version: version,
        subcommands: [
            Zeroshot.self, Encode.self, Index.self, Search.self, Dedupe.self, Cluster.self,
            Map.self, Similarity.self, Score.self, Tokenize.self, Preprocess.self, Models.self,
            Pull.self, Info.self, Verify.self, Convert.self,
            Bench.self,
        ])

    static var version: String {
        let precisions = Precision.allCases.filter(\.isSupported).map(\.rawValue)
        return "clip 0.1.0 (\(CLIPModel.instructionSet): \(precisions.joined(separator: ", ")))"
    }

    static func main() {
        // Pictures come and go: pages of the system cost as much as to resize them.
        keepFreedMemory()
        do {
            var command = try parseAsRoot()
            do {
                try command.run()
            } catch let status as ExitCode {
                try finishOutput()
                throw status
            }
            try finishOutput()
        } catch  where error is CLIPError || error is HubError || error is IndexError {
            report("\(error)")
            exit(withError: ExitCode(1))
        } catch let error as Failure {
            report(error)
            exit(withError: ExitCode(error.status))
        } catch {
            // Help and version are errors to the parser as well, with status 0.
            guard exitCode(for: error) != .success, !(error is ExitCode) else {
                exit(withError: error)
            }
            let lines = message(for: error).split(separator: "\n")
            report("\(lines.first ?? "wrong usage") (see clip --help)")
            exit(withError: ExitCode(2))
        }
    }
}
