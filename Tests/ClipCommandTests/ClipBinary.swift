import Foundation
import TestSupport
import Testing

/// The command, run as a user runs it.
struct ClipBinary {
    /// Where it lies: beside the tests.
    static var built: URL {
        URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
            .deletingLastPathComponent().appendingPathComponent("clip")
    }

    /// Where it runs, and where its output is kept.
    let folder: TemporaryFolder
    var executable = built

    struct Result {
        let status: Int32
        let output: Data
        let errors: String
        var text: String { String(decoding: output, as: UTF8.self) }
    }

    /// A process to be started, in an environment in which nothing points to models.
    func process(_ arguments: [String], environment: [String: String] = [:]) -> Process {
        let process = Process()
        process.executableURL = executable
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: folder.path)
        let variables = ProcessInfo.processInfo.environment.filter { name, _ in
            !["CLIP_", "HF_", "HUGGING"].contains { name.hasPrefix($0) }
        }
        process.environment = variables.merging(["HOME": folder.path]) { $1 }
            .merging(environment) { $1 }
        return process
    }

    func run(
        _ arguments: [String], input: String = "", in place: String? = nil,
        environment: [String: String] = [:]
    ) throws -> Result {
        let process = process(arguments, environment: environment)
        if let place {
            process.currentDirectoryURL = URL(fileURLWithPath: "\(folder.path)/\(place)")
        }
        // Files rather than pipes: nothing waits for a reader.
        let standard = ["in", "out", "err"].map { folder.path + "/\(UUID().uuidString).\($0)" }
        try Data(input.utf8).write(to: URL(fileURLWithPath: standard[0]))
        for path in standard[1...] { try Data().write(to: URL(fileURLWithPath: path)) }
        process.standardInput = FileHandle(forReadingAtPath: standard[0])
        process.standardOutput = FileHandle(forWritingAtPath: standard[1])
        process.standardError = FileHandle(forWritingAtPath: standard[2])
        try process.run()
        process.waitUntilExit()
        return Result(
            status: process.terminationStatus,
            output: try Data(contentsOf: URL(fileURLWithPath: standard[1])),
            errors: String(
                decoding: try Data(contentsOf: URL(fileURLWithPath: standard[2])), as: UTF8.self))
    }
}

/// One line on standard error that says what is wrong, nothing on standard output.
func expectFailure(
    _ result: ClipBinary.Result, status: Int32, says: String,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(result.status == status, "\(result.errors)", sourceLocation: sourceLocation)
    #expect(result.output.isEmpty, sourceLocation: sourceLocation)
    #expect(
        result.errors.hasPrefix("clip: error: ") && result.errors.contains(says),
        "\(result.errors)", sourceLocation: sourceLocation)
    let lines = result.errors.split(separator: "\n")
    #expect(lines.count == 1, "\(result.errors)", sourceLocation: sourceLocation)
}

func json(_ data: Data) throws -> [String: Any] {
    try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
}
