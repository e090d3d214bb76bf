import ArgumentParser

/// What every subcommand takes.
struct CommonOptions: ParsableArguments {
    @Flag(name: .shortAndLong, help: "Print nothing but data and errors.")
    var quiet = false
}
