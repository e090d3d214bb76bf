import Files

/// The file of `--predictions`, which gets its name when it is complete.
///
/// Until then, the suffix `.partial` is added. An incomplete file of a killed run is overwritten,
/// and two runs cannot write one file at the same time.
final class PredictionsFile {
    private enum Storage {
        case growing(GrowingFile)
        /// A device, a pipe or an open descriptor.
        case written(OutputFile)
    }

    private let path: String
    private let storage: Storage

    /// The path of the incomplete file; nil for a device, a pipe or an open descriptor.
    var partialPath: [UInt8]? {
        if case .growing(let file) = storage { file.partialPath } else { nil }
    }

    /// Opens the file.
    ///
    /// - Parameter path: The value of `--predictions`.
    /// - Throws: `Failure` if the file cannot be written, or another process is writing it.
    init(path: String) throws {
        self.path = path
        storage = try Self.naming(path) { () throws(FileError) in
            let bytes = FilePath(argument: path).bytes
            guard mayBeReplaced(path) else { return .written(try OutputFile(path: bytes)) }
            let file = try GrowingFile(path: finalPath(of: bytes))
            try file.truncate(to: 0)
            return .growing(file)
        }
    }

    /// Appends a line to a buffer, which is written at `finish` at the latest.
    func append(_ line: JSONValue) throws {
        let bytes = line.bytes + [UInt8(ascii: "\n")]
        try Self.naming(path) { () throws(FileError) in
            switch storage {
            case .growing(let file): try file.append(bytes)
            case .written(let file): try file.write(bytes)
            }
        }
    }

    /// Writes everything to the disk and gives the file its name.
    func finish() throws {
        try Self.naming(path) { () throws(FileError) in
            switch storage {
            case .growing(let file): try file.finish()
            case .written(let file): try file.finish()
            }
        }
    }

    /// Removes the incomplete file; a complete one of an earlier run stays.
    func discard() {
        if let partialPath { try? removeFile(partialPath) }
    }

    /// Runs an operation on the file; an error of it names the file.
    private static func naming<Result>(
        _ path: String, _ body: () throws(FileError) -> Result
    ) throws -> Result {
        do throws(FileError) {
            return try body()
        } catch {
            throw Failure("cannot write \(path): \(error.reason)")
        }
    }
}
