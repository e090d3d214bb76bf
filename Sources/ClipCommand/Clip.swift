import ArgumentParser
import CLIP
import CLIPAnalysis
import CLIPHub
import CLIPSearch
import Files
import CLIPServer

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The `clip` command: parses arguments, calls the libraries and prints their results.
@main
struct Clip: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clip",
        abstract: "Embed, classify, search and compare images and texts with CLIP models.",
        discussion: """
            Results go to standard output, messages to standard error. The exit status is 0 if \
            everything succeeded, 1 if something failed (the rest was done; clip index counts only \
            new failures), 2 for wrong usage, and 130 after Ctrl-C.

            clip --generate-completion-script bash|zsh|fish prints a completion script; man clip \
            and the documentation (The command) say where to install it.

            Examples:
              clip zeroshot bike.jpg "a man riding bicycle" "a man climbing mountain"
              clip encode bike.jpg
              clip index . --model tiny
              clip search "a dog on a beach" --top 3
              clip bench --tower text --model tiny --repetitions 3
            """,
        subcommands: [
            Zeroshot.self, Encode.self, Index.self, Search.self, Dedupe.self, Cluster.self,
            Map.self, Export.self, Similarity.self, Score.self, Eval.self, Probe.self, Serve.self,
            Worker.self, Tokenize.self, Preprocess.self, Models.self, Pull.self, Info.self,
            Verify.self, Convert.self, Merge.self, Bench.self, Version.self,
        ])

    /// The arguments of the process, with a leading `--version` or `-V` replaced by `version`.
    ///
    /// ArgumentParser's own `--version` would compute the version report at every start.
    private static var arguments: [String] {
        let given = Array(CommandLine.arguments.dropFirst())
        return given.first == "--version" || given.first == "-V"
            ? ["version"] + given.dropFirst() : given
    }

    private static func isLibraryError(_ error: any Error) -> Bool {
        error is CLIPError || error is HubError || error is IndexError
            || error is EmbeddingFileError || error is RemovalError || error is VectorError
            || error is AnalysisError || error is DatasetError || error is ProbeFileError
            || error is ServerError || error is WorkerError
    }

    /// True for an error of a library that is wrong usage: the model's tokenizer does not have the
    /// rules of `--tokenizer`.
    private static func isWrongUsage(_ error: any Error) -> Bool {
        if case CLIPError.unavailableRules = error { true } else { false }
    }

    /// Prints a help text and ends the process: with status 1 if it cannot be written.
    private static func printHelp(_ text: String) -> Never {
        printBytes(Array((text + "\n").utf8))
        do {
            try finishOutput()
        } catch {
            report(error)
            exit(withError: ExitCode(1))
        }
        exit(withError: ExitCode.success)
    }

    static func main() {
        takeStandardDescriptors()
        // Decoded images are large and short-lived: fresh pages for each cost as much as resizing.
        keepFreedMemory()
        // Exceeding the file size limit then fails the write, and the error names the file.
        signal(SIGXFSZ, SIG_IGN)
        let arguments = arguments
        do {
            if let script = CompletionScript.requested(by: arguments) {
                print(script)
                try finishOutput()
                return
            }
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
        } catch  where isWrongUsage(error) {
            report(UsageErrors.line("--tokenizer: \(error)", arguments))
            exit(withError: ExitCode(2))
        } catch  where isLibraryError(error) {
            report(error)
            exit(withError: ExitCode(1))
        } catch let error as Failure {
            report(error.status == 2 ? UsageErrors.line("\(error)", arguments) : "\(error)")
            exit(withError: ExitCode(error.status))
        } catch {
            // The parser throws for --help too, with status 0.
            guard !(error is ExitCode) else { exit(withError: error) }
            guard exitCode(for: error) != .success else { printHelp(fullMessage(for: error)) }
            let reason =
                UsageErrors.fileTakenForOption(in: arguments)
                ?? UsageErrors.termTakenForOption(in: arguments)
                ?? UsageErrors.firstLine(of: message(for: error))
            report(UsageErrors.line(reason, arguments))
            exit(withError: ExitCode(2))
        }
    }
}
