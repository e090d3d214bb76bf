import ArgumentParser

struct Version: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the version, as clip --version does.",
        discussion: """
            Examples:
              clip version
            """)

    func run() { print(Clip.version) }
}
