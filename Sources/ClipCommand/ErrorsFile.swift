import Files
import CLIPSearch

/// Checks of the FILE of `--errors`, which a command replaces, made before any work is done.
enum ErrorsFile {
    /// Rejects a FILE that has content not written by `--errors`, that the command reads or writes
    /// for another purpose, or that lies in a `.clip-index` folder.
    ///
    /// A device, a pipe or an open descriptor is accepted if it can be written.
    ///
    /// - Parameters:
    ///   - path: The FILE; nil if `--errors` is not given.
    ///   - others: The other files of the command line, each with its option or its role for the
    ///     message.
    /// - Throws: `Failure` with status 2 if the file cannot be written or may not be replaced.
    static func check(_ path: String?, others: [(role: String, path: String?)]) throws {
        guard let path else { return }
        try OutputChecks.checkPlace(of: path)
        func refuse(_ reason: String) -> Failure {
            Failure("--errors \(path): \(reason); give the name of a new file", status: 2)
        }
        guard mayBeReplaced(path) else { return }
        let file = status(of: path)
        if (path + "/" + absolutePath(resolved(path))).split(separator: "/").contains(".clip-index")
        {
            throw refuse("it is in the .clip-index folder of an index")
        }
        for (role, other) in others {
            guard let other, other != "-", isSame(path, file, other) else { continue }
            throw refuse("it is the same file as \(role)")
        }
        if let file, file.size > 0, !isListOfFailures(path) {
            throw refuse("the file exists and was not written by --errors")
        }
    }

    /// Returns true if two paths lead to one file, whether it exists or not.
    static func isSame(_ path: String, _ other: String) -> Bool {
        isSame(path, status(of: path), other)
    }

    private static func isSame(_ path: String, _ file: FileStatus?, _ other: String) -> Bool {
        let otherFile = status(of: other)
        if let file, let otherFile {
            return (file.device, file.inode) == (otherFile.device, otherFile.inode)
        }
        return file == nil && otherFile == nil
            && absolutePath(resolved(path)) == absolutePath(resolved(other))
    }

    private static func status(of path: String) -> FileStatus? {
        try? FileStatus(path: FilePath(argument: path).bytes)
    }

    /// True if the first line is a JSON object with path and reason, as `--errors` writes it.
    private static func isListOfFailures(_ path: String) -> Bool {
        let file = try? InputFile(path: FilePath(argument: path).bytes)
        guard let beginning = try? file?.peek(1 << 16) else { return false }
        let line = beginning.prefix { $0 != UInt8(ascii: "\n") }
        return line.starts(with: "{\"path\":".utf8)
            && line.firstRange(of: Array(",\"reason\":".utf8)) != nil
    }
}

extension CollectionOptions {
    /// Rejects a FILE of `--errors` that must not be replaced or cannot be written.
    ///
    /// - Parameters:
    ///   - inputs: Images, folders and archives of the command line.
    ///   - others: The other files of the command line, each with its option.
    /// - Throws: `Failure` with status 2 for such a FILE.
    func checkErrors(
        inputs: [String], others: [(role: String, path: String?)] = []
    ) throws {
        try ErrorsFile.check(
            errors,
            others: inputs.map { ("the input \($0)", $0) }
                + filesFrom.map { ("--files-from", $0) } + others)
    }
}
