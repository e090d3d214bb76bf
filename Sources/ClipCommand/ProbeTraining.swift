import CLIP
import CLIPAnalysis
import Files
import Tensors

/// The training of a probe with one of the methods.
struct ProbeTraining {
    let method: StoredProbe.Method
    /// The inverse strength of the penalty of `linear`, if it is not chosen by a sweep.
    let c: Double
    /// The share of each class's examples with which a sweep chooses C; nil for no sweep.
    let validation: Double?
    let seed: UInt64
    let threads: Int
    let progress: JobProgress

    /// A trained classifier, and how it was trained.
    struct Trained {
        let content: StoredProbe.Content
        /// The parameters and the validation accuracy, for the printed summary.
        let description: String
        /// The parameters and results for the JSON summary.
        let facts: [JSONValue.Member]
        /// True if the optimiser converged; nil for a method without one.
        let isConverged: Bool?
    }

    /// Trains a classifier.
    ///
    /// - Parameters:
    ///   - examples: The embeddings as the model gives them, and their classes.
    ///   - texts: The embedding of each class's text; needed by all methods but `linear`.
    /// - Returns: The classifier.
    /// - Throws: `AnalysisError`; `Failure` if there are too few examples for a sweep.
    func train(_ examples: LabelledVectors, texts: Embeddings?) throws -> Trained {
        switch (method, texts) {
        case (.zslinear, let texts?): return try zeroShotLinear(examples, texts)
        case (.tip, let texts?):
            let tip = try StoredProbe.StoredTipAdapter(examples: examples, labelEmbeddings: texts)
            let (alpha, beta) = (tip.adapter.alpha, tip.adapter.beta)
            return Trained(
                content: .tipAdapter(tip), description: "alpha \(alpha), beta \(beta)",
                facts: [("alpha", .float(alpha)), ("beta", .float(beta))], isConverged: nil)
        default: return try linear(examples)
        }
    }

    private func linear(_ examples: LabelledVectors) throws -> Trained {
        var probe = LinearProbe(c: c, threads: threads)
        var swept: LinearProbe.Sweep?
        if let validation {
            let parts = try Self.divided(examples, share: validation, seed: seed)
            let found = try LinearProbe.sweep(
                training: parts.training, validation: parts.validation, options: probe
            ) { share in
                progress.show("choosing C", share: share)
                return true
            }
            (swept, probe.c) = (found, found.c)
        }
        let result = try probe.run(
            on: examples, progress: showingIterations(of: probe.maximumIterations))
        var facts: [JSONValue.Member] = [
            ("C", .number(probe.c)), ("loss", .number(result.loss)),
            ("iterations", .integer(result.iterations)), ("converged", .bool(result.isConverged)),
        ]
        if let swept { facts.append(("validation_accuracy", .number(swept.accuracy))) }
        let chosen = swept.map { ", validation accuracy \(fixed(100 * $0.accuracy, 1)) %" } ?? ""
        return Trained(
            content: .linear(result.classifier), description: "C \(Self.short(probe.c))\(chosen)",
            facts: facts, isConverged: result.isConverged)
    }

    private func zeroShotLinear(
        _ examples: LabelledVectors, _ texts: Embeddings
    ) throws -> Trained {
        let probe = ZeroShotLinearProbe(labelEmbeddings: texts, threads: threads)
        let result = try probe.run(
            on: examples, progress: showingIterations(of: probe.maximumIterations))
        return Trained(
            content: .zeroShotLinear(result.classifier),
            description: "penalty \(Self.short(result.penalty))",
            facts: [
                ("penalty", .number(result.penalty)), ("loss", .number(result.loss)),
                ("iterations", .integer(result.iterations)),
                ("converged", .bool(result.isConverged)),
            ], isConverged: result.isConverged)
    }

    /// Returns a progress function that shows the number of iterations.
    ///
    /// A percentage of the largest number would mislead: most trainings need far fewer iterations.
    private func showingIterations(of limit: Int) -> (Double) -> Bool {
        { share in
            progress.show("training, iteration \(Int((share * Double(limit)).rounded()))")
            return true
        }
    }

    /// Returns a number from 0.001 to 10,000 with four decimal places, any other with all digits.
    private static func short(_ number: Double) -> String {
        (0.001..<10_000).contains(number) ? fixed(number, 4) : "\(number)"
    }

    /// Divides the examples of each class at random into two parts.
    ///
    /// - Parameters:
    ///   - examples: The examples. The only example of a class is used for training.
    ///   - share: The share for validation, between 0 and 1.
    ///   - seed: The seed of the random choice.
    /// - Returns: The two parts, each in the order of the examples.
    /// - Throws: `Failure` if no class has two examples.
    static func divided(
        _ examples: LabelledVectors, share: Double, seed: UInt64
    ) throws -> (training: LabelledVectors, validation: LabelledVectors) {
        var random = SplitMix64(state: seed)
        var rows = [[Int]](repeating: [], count: examples.classCount)
        for (row, label) in examples.labels.enumerated() { rows[label].append(row) }
        var isValidation = [Bool](repeating: false, count: examples.labels.count)
        for var rest in rows where rest.count >= 2 {
            let count = Int((share * Double(rest.count)).rounded())
            for _ in 0..<min(rest.count - 1, max(1, count)) {
                let place = Int(random.next() % UInt64(rest.count))
                isValidation[rest.remove(at: place)] = true
            }
        }
        guard isValidation.contains(true) else {
            throw Failure("--sweep needs at least two examples of a class; give --C instead")
        }
        func part(_ isWanted: Bool) throws(AnalysisError) -> LabelledVectors {
            let rows = isValidation.indices.filter { isValidation[$0] == isWanted }
            let vectors = examples.vectors
            return try LabelledVectors(
                Embeddings(rows: vectors.values(ofRows: rows), dimension: vectors.dimension),
                labels: rows.map { examples.labels[$0] }, classCount: examples.classCount)
        }
        return (try part(false), try part(true))
    }

    /// Returns the share of examples whose class has the largest logit, 0...1.
    ///
    /// - Parameters:
    ///   - probe: The probe.
    ///   - examples: The embeddings as the model gives them, and their classes.
    /// - Returns: The accuracy.
    /// - Throws: `AnalysisError`.
    func accuracy(
        of probe: StoredProbe, on examples: LabelledVectors
    ) throws(AnalysisError) -> Double {
        let (vectors, labels) = (examples.vectors, examples.labels)
        var correct = 0
        // The logits of all examples at once could take too much memory.
        for start in stride(from: 0, to: labels.count, by: 4096) {
            progress.show("training accuracy", share: Double(start) / Double(labels.count))
            let rows = start..<min(start + 4096, labels.count)
            let part = Embeddings(rows: vectors.values(ofRows: rows), dimension: vectors.dimension)
            for (row, logits) in zip(rows, try probe.logits(of: part)) {
                let best = topClasses(1, of: logits).first
                if best == labels[row] { correct += 1 }
            }
        }
        return Double(correct) / Double(labels.count)
    }
}
