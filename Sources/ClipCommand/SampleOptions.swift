import ArgumentParser

/// Options for a random choice of inputs.
struct SampleOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            """
            Use a random sample of N inputs, in input order; the same --seed draws the same sample.
            """,
            valueName: "n"))
    var sample: Int?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Seed the random choice of --sample.", valueName: "n"))
    var seed: UInt64 = 0

    func validate() throws {
        if let sample, sample < 1 {
            throw ValidationError("--sample must be at least 1, not \(sample).")
        }
    }
}
