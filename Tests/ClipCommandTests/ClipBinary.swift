import Foundation
import TestSupport
import Testing

/// The command, run as a user runs it.
struct ClipBinary {
    /// The built command, which lies beside the tests.
    static var built: URL {
        URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
            .deletingLastPathComponent().appendingPathComponent("clip")
    }

    /// The folder in which the command runs, and which holds its output.
    let folder: TemporaryFolder
    var executable = built

    /// An exit status whose description in a failing test has the command and its output.
    struct Status: Equatable, ExpressibleByIntegerLiteral, CustomTestStringConvertible {
        let code: Int32
        var command = ""

        init(_ code: Int32, command: String) { (self.code, self.command) = (code, command) }
        init(integerLiteral code: Int32) { self.code = code }

        static func == (one: Self, other: Self) -> Bool { one.code == other.code }
        var testDescription: String { command.isEmpty ? "\(code)" : "\(code) of \(command)" }
    }

    struct Result {
        let status: Status
        let output: Data
        let errors: String
        var text: String { String(decoding: output, as: UTF8.self) }

        /// Standard output as one JSON object.
        func json() throws -> [String: Any] {
            let object = try? JSONSerialization.jsonObject(with: output)
            return try #require(object as? [String: Any], "\(status.command)")
        }

        /// The same result; the exit status is expected to be 0.
        func successful(_ sourceLocation: SourceLocation = #_sourceLocation) -> Self {
            #expect(status == 0, sourceLocation: sourceLocation)
            return self
        }
    }

    /// An unstarted process, in an environment in which nothing points to models.
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
        // Files rather than pipes, so that nothing waits for a reader.
        let standard = ["in", "out", "err"].map { folder.path + "/\(UUID().uuidString).\($0)" }
        try Data(input.utf8).write(to: URL(fileURLWithPath: standard[0]))
        for path in standard[1...] { try Data().write(to: URL(fileURLWithPath: path)) }
        process.standardInput = FileHandle(forReadingAtPath: standard[0])
        process.standardOutput = FileHandle(forWritingAtPath: standard[1])
        process.standardError = FileHandle(forWritingAtPath: standard[2])
        try process.run()
        process.waitUntilExit()
        let output = try Data(contentsOf: URL(fileURLWithPath: standard[1]))
        let errors = String(
            decoding: try Data(contentsOf: URL(fileURLWithPath: standard[2])), as: UTF8.self)
        let start = String(decoding: output.prefix(500), as: UTF8.self)
        return Result(
            status: Status(
                process.terminationStatus,
                command: """
                    clip \(arguments.joined(separator: " "))
                    standard error: \(errors.prefix(2000))
                    standard output, \(output.count) bytes: \(start)
                    """),
            output: output, errors: errors)
    }
}

/// Expects one line on standard error that states the failure, and nothing on standard output.
func expectFailure(
    _ result: ClipBinary.Result, status: Int32, says: String,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(result.status.code == status, "\(result.status)", sourceLocation: sourceLocation)
    #expect(result.output.isEmpty, "\(result.status)", sourceLocation: sourceLocation)
    #expect(
        result.errors.hasPrefix("clip: error: "),
        "\(result.errors)", sourceLocation: sourceLocation)
    #expect(
        result.errors.contains(says),
        "\(result.errors)", sourceLocation: sourceLocation)
    let lines = result.errors.split(separator: "\n")
    #expect(lines.count == 1, "\(result.errors)", sourceLocation: sourceLocation)
}

func json(_ data: Data) throws -> [String: Any] {
    let object = try? JSONSerialization.jsonObject(with: data)
    return try #require(
        object as? [String: Any], "not JSON: \(String(decoding: data.prefix(500), as: UTF8.self))")
}
