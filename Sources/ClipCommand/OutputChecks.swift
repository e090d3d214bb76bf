import Files
import CLIPSearch

/// Checks of an output's name and location, made before any work is done.
enum OutputChecks {
    /// Suffixes that stand for a format; an output of another format must not have them.
    private static let suffixes: Set<String> = [
        "arrow", "avif", "bin", "bmp", "csv", "db", "f32", "feather", "gif", "gz", "h5", "hdf5",
        "heic", "htm",
        "html", "jpeg", "jpg", "json", "jsonl", "mat", "md", "ndjson", "npy", "npz", "onnx",
        "parquet", "pdf", "pickle", "pkl", "png", "pq", "pt", "pth", "safetensors", "sqlite", "svg",
        "tar", "tif", "tiff", "tsv", "txt", "webp", "xml", "zip",
    ]

    /// Rejects a name whose suffix contradicts the format that is written.
    ///
    /// - Parameters:
    ///   - path: The path of the output; nil is standard output.
    ///   - option: The option whose value is the name, for the message.
    ///   - accepted: The suffixes of the format, without a dot, the usual one first; empty for a
    ///     folder.
    ///   - format: The name of the format; nil if `clip encode` derives it from the suffix.
    /// - Throws: `Failure` with status 2 for such a name.
    static func checkSuffix(
        of path: String?, _ option: String, is accepted: [String], format: String?
    ) throws {
        guard let path, !isStandardOutput(path) else { return }
        let suffix = FilePath(argument: path).pathExtension
        guard suffixes.contains(suffix), !accepted.contains(suffix) else { return }
        guard let format else {
            throw Failure(
                """
                \(option) \(path): unsupported suffix; end the name in .jsonl, .json, .npy or \
                .parquet, or in / for a folder
                """, status: 2)
        }
        let wanted = accepted.first.map { "a name that ends in .\($0)" } ?? "a folder"
        throw Failure(
            "\(option) \(path): its suffix contradicts the format, \(format); give \(wanted)",
            status: 2)
    }

    /// Rejects a location where the output cannot be written.
    ///
    /// - Parameters:
    ///   - path: The path of the output; nil is standard output.
    ///   - isFolder: True if the output is a folder, created with its parents, rather than a file.
    /// - Throws: `Failure` with status 2 for such a location.
    static func checkPlace(of path: String?, isFolder: Bool = false) throws {
        guard let path, !isStandardOutput(path) else { return }
        func refuse(_ reason: String) -> Failure {
            Failure("cannot write \(path): \(reason)", status: 2)
        }
        let bytes = FilePath(argument: path).bytes
        switch kind(of: bytes) {
        case .folder:
            guard isFolder else { throw refuse("it is a directory") }
            if let error = errorAgainstWriting(bytes) { throw refuse(error.reason) }
        case .other:
            guard !isFolder else { throw refuse("it is not a directory") }
            if let error = errorAgainstWriting(bytes) { throw refuse(error.reason) }
        case .file:
            guard !isFolder else { throw refuse("it is not a directory") }
            guard !isWrittenThrough(FilePath(bytes)) else {
                if let error = errorAgainstWriting(bytes) { throw refuse(error.reason) }
                return
            }
            try checkFolder(above: bytes, isMade: false, refuse)
        case .missing:
            try checkFolder(above: bytes, isMade: isFolder, refuse)
        }
    }

    /// Rejects an output that would replace an input.
    ///
    /// - Parameters:
    ///   - path: The path of the output; nil is standard output.
    ///   - option: The option of the output, for the message.
    ///   - inputs: The files that are read, with their roles for messages.
    /// - Throws: `Failure` with status 2 if the output is the same file as an input.
    static func checkOverwriting(
        of path: String?, _ option: String, inputs: [(role: String, path: String?)]
    ) throws {
        guard let path, !isStandardOutput(path), mayBeReplaced(path) else { return }
        for (role, input) in inputs {
            guard let input, ErrorsFile.isSame(path, input) else { continue }
            throw Failure("\(option) \(path): it is the same file as \(role)", status: 2)
        }
    }

    /// Returns the output of `clip encode -o` and the files that the command writes beside it.
    ///
    /// Files in an output folder are not included.
    static func files(of output: String) -> [String] {
        guard output.hasSuffix(".npy") else { return [output, output + ".job"] }
        let base = output.dropLast(4)
        return [output, output + ".job", base + ".names.jsonl", base + ".model.json"]
    }

    /// Rejects a path whose folder is missing or not writable.
    ///
    /// - Parameters:
    ///   - path: The path of the output.
    ///   - isMade: True if missing folders will be created.
    ///   - refuse: Creates the error for a reason.
    /// - Throws: `Failure` for such a path.
    private static func checkFolder(
        above path: [UInt8], isMade: Bool, _ refuse: (String) -> Failure
    ) throws {
        var folder = parent(of: path)
        while isMade, kind(of: folder) == .missing { folder = parent(of: folder) }
        let isCurrent = folder == [UInt8(ascii: ".")]
        let name = isCurrent ? "the current folder" : FilePath(folder).description
        switch kind(of: folder) {
        case .missing: throw refuse("the folder \(name) does not exist")
        case .file, .other: throw refuse("\(name) is not a directory")
        case .folder:
            if let error = errorAgainstWriting(folder) {
                throw refuse("\(error.reason) in \(name)")
            }
        }
    }

    private enum Kind { case missing, file, folder, other }

    private static func kind(of path: [UInt8]) -> Kind {
        guard let status = try? FileStatus(path: path) else { return .missing }
        return status.isFolder ? .folder : status.isRegular ? .file : .other
    }

    private static func parent(of path: [UInt8]) -> [UInt8] {
        let slash = UInt8(ascii: "/")
        var path = path[...]
        while path.count > 1, path.last == slash { path.removeLast() }
        guard let end = path.lastIndex(of: slash) else { return [UInt8(ascii: ".")] }
        return end == path.startIndex ? [slash] : Array(path[..<end])
    }
}
