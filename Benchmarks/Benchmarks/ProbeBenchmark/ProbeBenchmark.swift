import CLIP
import CLIPAnalysis
import Foundation

/// Trains a linear probe once for each line of standard input and prints the milliseconds, the
/// loss and the number of iterations.
///
///     ProbeBenchmark FEATURES LABELS DIMENSION CLASSES OUTPUT [--c C] [--tolerance T]
///         [--threads N]
///
/// FEATURES holds float32 rows, LABELS an int32 for each row, both without a header and in the
/// byte order of the CPU. OUTPUT receives the weights of the last classifier, row by row, and then
/// its biases. `Scripts/bench/probe.py` writes and reads these files.
@main struct ProbeBenchmark {
    static func main() throws {
        var arguments = CommandLine.arguments.dropFirst()
        var probe = LinearProbe()
        while let name = arguments.dropLast().last, name.hasPrefix("--") {
            let value = arguments.removeLast()
            arguments.removeLast()
            switch name {
            case "--c": probe.c = try number(value)
            case "--tolerance": probe.tolerance = try number(value)
            case "--threads": probe.threads = Int(try number(value))
            default: throw Failure(description: "unknown option \(name)")
            }
        }
        guard arguments.count == 5 else {
            throw Failure(description: "expected FEATURES LABELS DIMENSION CLASSES OUTPUT")
        }
        let names = Array(arguments)
        let examples = try LabelledVectors(
            Embeddings(values: values(of: names[0], Float.self), dimension: Int(number(names[2]))),
            labels: values(of: names[1], Int32.self).map { Int($0) },
            classCount: Int(number(names[3])))
        while readLine() != nil {
            let clock = ContinuousClock()
            let start = clock.now
            let result = try probe.run(on: examples)
            let milliseconds = (clock.now - start) / .milliseconds(1)
            print(milliseconds, result.loss, result.iterations, result.isConverged)
            fflush(nil)
            let parameters = result.classifier.weights + result.classifier.biases
            try parameters.withUnsafeBytes { Data($0) }.write(to: URL(fileURLWithPath: names[4]))
        }
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    static func number(_ text: String) throws -> Double {
        guard let number = Double(text) else {
            throw Failure(description: "expected a number, found \(text)")
        }
        return number
    }

    static func values<Value>(of path: String, _: Value.Type) throws -> [Value] {
        let data = try Data(contentsOf: URL(fileURLWithPath: path))
        return data.withUnsafeBytes { Array($0.bindMemory(to: Value.self)) }
    }
}
