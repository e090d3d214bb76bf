import Files
import CLIP

/// The inputs of a job that failed: counted, listed on standard error at the end, and written to
/// the file of `--errors`.
final class FailureList {
    private(set) var count = 0
    /// The messages of the first `listLimit` failures.
    private var listed: [String] = []
    private let path: FilePath?
    /// The file of `--errors`, to which every failure is written.
    private var log: LineFile?

    private static let listLimit = 1000

    /// Creates an empty list.
    ///
    /// - Parameter path: The file of `--errors`; nil if the option is not given.
    init(path: String?) { self.path = path.map { FilePath(argument: $0) } }

    /// Opens the file of `--errors`, runs a closure, and reports the failures even if it throws.
    ///
    /// The file is replaced only here, when the job is certain to start.
    ///
    /// - Parameters:
    ///   - body: The job.
    ///   - summary: Prints what precedes the list of failures.
    /// - Throws: Errors of the job, and `Failure` if the file cannot be written.
    func perform(_ body: () throws -> Void, summary: () -> Void) throws {
        try withFile { path throws(FileError) in log = try LineFile(path: path.bytes) }
        do {
            try body()
        } catch {
            try? report(summary)
            throw error
        }
        try report(summary)
    }

    /// Records an input that failed.
    ///
    /// - Parameters:
    ///   - name: The path of the input.
    ///   - line: The message, which names the input.
    /// - Throws: `Failure` if the file of `--errors` cannot be written.
    func add(_ name: FilePath, _ line: String) throws {
        count += 1
        if listed.count < Self.listLimit { listed.append(line) }
        let object = JSONValue.object(["path": .path(name), "reason": .string(line)])
        try withFile { _ throws(FileError) in try log?.append(object.bytes) }
    }

    private func report(_ summary: () -> Void) throws {
        summary()
        for line in listed { ClipCommand.report(line) }
        if count > listed.count {
            note(
                "clip: and \(count - listed.count) more of the inputs failed"
                    + (log == nil ? "; --errors FILE lists all" : ""))
        }
        try withFile { _ throws(FileError) in try log?.flush() }
    }

    /// Runs an operation on the file of `--errors`, if given; an error of it names the file.
    private func withFile(_ body: (FilePath) throws(FileError) -> Void) throws {
        guard let path else { return }
        try writing(to: path) { () throws(FileError) in try body(path) }
    }
}
