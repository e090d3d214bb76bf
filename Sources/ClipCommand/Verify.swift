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
        abstract: "Compare a model's numbers with those that others published.",
        discussion: """
            Checks that this program, with these weights on this machine, gives the numbers of the \
            other libraries. Published numbers are known for \(Verify.names.joined(separator: ", ")).

            Examples:
              clip verify tiny
            """)

    @Argument(help: ArgumentHelp("The model.", valueName: "name|path"), completion: .model)
    var name: String

    @Option(
        name: .customLong("as"),
        help: ArgumentHelp(
            "The model whose numbers are expected, if the name does not say it.",
            valueName: "model"),
        completion: .list(Verify.names))
    var expected: String?

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var common: CommonOptions

    static var names: [String] {
        KnownAnswer.all.map(\.model).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    func run() throws {
        let whose = expected ?? identity
        if whose == nil, !FileManager.default.fileExists(atPath: name) {
            _ = try CLIPHub().find(name)  // says so of a name that is not known
        }
        guard let whose, Self.names.contains(whose) else {
            throw Failure(
                """
                no published numbers are known for \(expected ?? name), only for \
                \(Self.names.joined(separator: ", ")); if the weights are one of these, say so with --as
                """)
        }
        let official = OfficialModel(rawValue: whose)
        let model = try ModelOptions.open(
            name, activation: official.map { _ in .quickGELU }, common)
        var rows: [JSONValue] = []
        var wrong = 0
        let answers = KnownAnswer.all.filter { $0.model == whose }
        for answer in answers {
            let outcome = try answer.check(model)
            wrong += outcome.isRight ? 0 : 1
            if json {
                rows.append(
                    .object([
                        "answer": .string(answer.description), "source": .string(answer.source),
                        "passed": .bool(outcome.isRight), "difference": .number(outcome.difference),
                        "tolerance": .number(answer.tolerance),
                        "expected": .array(outcome.expected.map { .number($0) }),
                        "found": .array(outcome.found.map { .number($0) }),
                    ]))
            } else {
                print(
                    outcome.isRight ? "passed" : "FAILED",
                    "difference \(scientific(outcome.difference)) of \(answer.tolerance) allowed ",
                    "\(answer.description) (\(answer.source))")
            }
        }
        if json {
            print(
                JSONValue.object([
                    "model": .string(name), "as": .string(whose), "failed": .integer(wrong),
                    "answers": .array(rows),
                ]))
        } else {
            print("\(answers.count - wrong) of \(answers.count) answers of \(whose) are right")
        }
        if wrong > 0 { throw ExitCode(1) }
    }

    /// The model, among those of which answers are known, that the name is one of.
    private var identity: String? {
        if Self.names.contains(name) { return name }
        if let model = HubModel.named(name) ?? HubModel.inRepository(name) {
            return model.official?.name
        }
        let stem = name.split(separator: "/").last?.split(separator: ".").first.map(String.init)
        return OfficialModel.allCases.first { $0.fileStem == stem }?.rawValue
    }

    /// Two digits and an exponent.
    private func scientific(_ value: Double) -> String {
        guard value > 0, value.isFinite else { return "\(value)" }
        var (digits, exponent) = (value, 0)
        while digits < 1 { (digits, exponent) = (digits * 10, exponent - 1) }
        while digits >= 10 { (digits, exponent) = (digits / 10, exponent + 1) }
        return "\(fixed(digits, 1))e\(exponent)"
    }
}
