import ArgumentParser
import Files

struct Version: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the version, as clip --version does.",
        discussion: """
            Examples:
              clip version
            """)

    @Flag(help: "Print JSON with the instruction sets, engines and libraries found.")
    var json = false

    func run() throws {
        // Reject an unknown CLIP_ENGINE, as the commands that run a model do.
        _ = try EngineOptions.inEnvironment()
        if json { printLine(VersionReport.json) } else { print(VersionReport.line) }
    }
}
