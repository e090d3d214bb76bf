import ArgumentParser

/// A random choice among the inputs.
struct SampleOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Take N of the inputs at random, in their order; the same ones for the same --seed.",
            valueName: "n"))
    var sample: Int?

    @Option(help: ArgumentHelp("The seed of --sample.", valueName: "n"))
    var seed: UInt64 = 0

    func validate() throws {
        if let sample, sample < 1 {
            throw ValidationError("--sample must be at least 1, not \(sample).")
        }
    }
}
