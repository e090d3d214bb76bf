import ArgumentParser
import CLIP
import CLIPHub
import CLIPSearch

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The command `clip`: thin; everything it can do, the library does.
@main
struct Clip: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clip",
        abstract: "Turn images and texts into vectors, and classify images with words alone.",
        discussion: """
            Data goes to standard output, everything else to standard error. The exit status is 0 \
            when all is done, 1 when something failed (the rest was done; clip index counts only new \
            failures), 2 for wrong usage, 130 after Ctrl-C.

            Completions: clip --generate-completion-script bash|zsh|fish prints the script of a shell; the \
            README says where it goes.

            Examples:
              clip zeroshot bike.jpg "a man riding bicycle" "a man climbing mountain"
              clip encode bike.jpg
              clip index . --model tiny
              clip search "a dog on a beach" --top 3
              clip bench --tower text --model tiny --repetitions 3
            """,
        subcommands: [
            Zeroshot.self, Encode.self, Index.self, Search.self, Dedupe.self, Cluster.self,
            Map.self, Similarity.self, Score.self, Tokenize.self, Preprocess.self, Models.self,
            Pull.self, Info.self, Verify.self, Convert.self,
            Bench.self, Version.self,
        ])

    /// The arguments of the process; `--version` is spelt as the subcommand that it means, whose answer would
    /// otherwise be computed at every start.
    private static var arguments: [String] {
        let given = Array(CommandLine.arguments.dropFirst())
        return given.first == "--version" || given.first == "-V"
            ? ["version"] + given.dropFirst() : given
    }

    private static func isOfLibrary(_ error: any Error) -> Bool {
        error is CLIPError || error is HubError || error is IndexError
            || error is EmbeddingFileError || error is RemovalError
    }

    static func main() {
        // Images come and go: pages of the system cost as much as to resize them.
        keepFreedMemory()
        // A limit on the size of files is then an error of the write, which says the file.
        signal(SIGXFSZ, SIG_IGN)
        let arguments = arguments
        do {
            try UsageErrors.checkCommand(in: arguments)
            var command = try parseAsRoot(arguments)
            try (command as? any FileArguments)?.checkFileArguments()
            do {
                try command.run()
            } catch let status as ExitCode {
                try finishOutput()
                throw status
            }
            try finishOutput()
        } catch  where isOfLibrary(error) {
            report(error)
            exit(withError: ExitCode(1))
        } catch let error as Failure {
            report(error.status == 2 ? UsageErrors.line("\(error)", arguments) : "\(error)")
            exit(withError: ExitCode(error.status))
        } catch {
            // Help and version are errors to the parser as well, with status 0.
            guard exitCode(for: error) != .success, !(error is ExitCode) else {
                exit(withError: error)
            }
            let lines = message(for: error).split(separator: "\n")
            report(UsageErrors.line(String(lines.first ?? "wrong usage"), arguments))
            exit(withError: ExitCode(2))
        }
    }
}
