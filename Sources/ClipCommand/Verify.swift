import ArgumentParser
import CLIP
import CLIPHub
import Files

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check a model's outputs against reference values.",
        discussion: """
            Encodes fixed inputs with these weights on this machine, and compares the outputs with \
            reference values from PyTorch and other CLIP implementations. There are values for \
            \(Verify.names.joined(separator: ", ")).

            Examples:
              clip verify tiny
            """)

    @Argument(
        help: ArgumentHelp(
            "Check a model that clip models lists, or a file or folder of weights.",
            valueName: "name|path"), completion: .model)
    var name: String

    @Option(
        name: .customLong("as"),
        help: ArgumentHelp(
            "Compare with the reference values of MODEL. (default: the model that NAME implies)",
            valueName: "model"),
        completion: .list(Verify.names))
    var expected: String?

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var common: CommonOptions

    static var names: [String] { KnownAnswer.models }

    func validate() throws {
        guard let expected, !Self.names.contains(expected) else { return }
        throw ValidationError(
            """
            No reference values for --as \(expected); there are values for \
            \(Self.names.joined(separator: ", ")).
            """)
    }

    func run() throws {
        let modelName = expected ?? impliedModel
        if modelName == nil, !FileManager.default.fileExists(atPath: name) {
            _ = try ModelHub().find(name)  // throws for an unknown or missing model
        }
        guard let modelName, Self.names.contains(modelName) else {
            throw Failure(
                """
                no reference values for \(name); there are values for \
                \(Self.names.joined(separator: ", ")); if the weights are of one of these models, \
                name it with --as
                """)
        }
        let official = OfficialModel(rawValue: modelName)
        let model: CLIPModel
        do {
            model = try ModelOptions.open(
                name, activation: official.map { _ in .quickGELU }, common)
        } catch let error as CLIPError {
            guard case .contradictoryActivation(_, let stated, let requested) = error else {
                throw error
            }
            throw Failure(
                """
                the weights \(name) are not of \(modelName): they state the activation \
                \(stated.rawValue), \(modelName) has \(requested.rawValue)
                """)
        }
        var rows: [JSONValue] = []
        var failureCount = 0
        let answers = KnownAnswer.all.filter { $0.model == modelName }
        for answer in answers {
            let outcome = try answer.check(model)
            failureCount += outcome.isRight ? 0 : 1
            if json {
                rows.append(
                    .object([
                        "answer": .string(answer.description), "source": .string(answer.source),
                        "passed": .bool(outcome.isRight), "difference": .number(outcome.difference),
                        "tolerance": .number(answer.tolerance),
                        "relative_tolerance": .number(answer.relativeTolerance),
                        "expected": .array(outcome.expected.map { .number($0) }),
                        "found": .array(outcome.found.map { .number($0) }),
                    ]))
            } else {
                print(
                    outcome.isRight ? "passed" : "FAILED",
                    "difference \(scientific(outcome.difference)) of \(allowed(answer)) ",
                    "\(answer.description) (\(answer.source))")
            }
        }
        if json {
            printLine(
                JSONValue.object([
                    "model": .string(name), "as": .string(modelName),
                    "failed": .integer(failureCount),
                    "answers": .array(rows),
                ]))
        } else {
            let passed = answers.count - failureCount
            print("\(passed) of \(answers.count) answers of \(modelName) are right")
        }
        if failureCount > 0 { throw ExitCode(1) }
    }

    /// The name of the model that the argument `name` implies; nil if it implies none.
    ///
    /// The argument may be a name or repository of a model with reference values, or a path that
    /// ends in OpenAI's file name.
    private var impliedModel: String? {
        if let model = KnownAnswer.model(named: name) { return model }
        let stem = name.split(separator: "/").last?.split(separator: ".").first.map(String.init)
        return OfficialModel.allCases.first { $0.fileStem == stem }?.rawValue
    }

    /// Returns the accepted difference in words.
    private func allowed(_ answer: KnownAnswer) -> String {
        let relative = answer.relativeTolerance
        return relative == 0
            ? "\(answer.tolerance) allowed"
            : "\(answer.tolerance) + \(relative) of the value allowed"
    }

    /// Formats a value with two significant digits and an exponent.
    private func scientific(_ value: Double) -> String {
        guard value > 0, value.isFinite else { return "\(value)" }
        var (digits, exponent) = (value, 0)
        while digits < 1 { (digits, exponent) = (digits * 10, exponent - 1) }
        while digits >= 10 { (digits, exponent) = (digits / 10, exponent + 1) }
        return "\(fixed(digits, 1))e\(exponent)"
    }
}
