import Files
import ArgumentParser
import CLIP
import CLIPSearch

#if canImport(Glibc)
    @preconcurrency import Glibc
#elseif canImport(Musl)
    @preconcurrency import Musl
#else
    import Darwin
#endif

/// True if the user can answer a question: standard input and standard error are a terminal.
var canAsk: Bool { isatty(0) == 1 && errorsAreTerminal }

/// Asks a question on standard error and reads the answer from the terminal.
///
/// - Returns: True for an answer that begins with y.
func askYesOrNo(_ question: String) -> Bool {
    flushOutput()
    fputs(TerminalText.oneLine(question) + " [y/N] ", stderr)
    let answer = readLine() ?? ""
    return answer.first == "y" || answer.first == "Y"
}

extension Search {
    /// Opens the index of a folder; a missing one is created first, if `--yes` is given or the user
    /// agrees.
    ///
    /// - Throws: `Failure` if there is no index and none is to be created; `IndexError` if the
    ///   index cannot be opened; the errors of creating it.
    func openIndex(_ folder: FilePath) throws -> FolderIndex {
        let threads = try model.threading.wanted()
        do throws(IndexError) {
            return try FolderIndex(folder: folder, threads: threads)
        } catch {
            guard error.isWithoutContent else { throw error }
            guard yes || canAsk && !common.quiet else {
                // The first hint is that of the error.
                throw Failure("\(Hints.line(error)), or give --yes to create it now")
            }
        }
        try createIndex(of: folder)
        return try FolderIndex(folder: folder, threads: threads)
    }

    /// Creates the index of a folder with the model that `clip index` would choose.
    private func createIndex(of folder: FilePath) throws {
        var command = try Index.parse(["--", index])
        (command.model, command.common, command.images) = (model, common, images)
        let choice = try model.choice()
        let rules = FolderIndex.rules(in: folder)
        let count = ImageCollection.count([.path(folder)], rules: rules) ?? 0
        guard count > 0 else {
            throw Failure("\(folder) has no index, and no images to make one of")
        }
        let amount = counted(count, "image")
        if choice.origin == .demonstration {
            // A stored result of the demonstration model needs consent to this model.
            guard !yes else { throw refusal(of: folder) }
            note(
                """
                clip: search: \(folder) has no index, and \(DefaultModel.recommended) is not \
                installed (clip pull \(DefaultModel.recommended)); tiny is a demonstration model \
                for pictograms, not for photographs
                """)
            guard askYesOrNo("Index its \(amount) with tiny now?") else {
                throw refusal(of: folder)
            }
            command.model.model = BundledModel.name
        } else if !yes {
            let question =
                "\(folder) has no index. Index its \(amount) with \(choice.name) now?"
            guard askYesOrNo(question) else {
                throw Failure("\(folder) has no index; create it with clip index \(folder)")
            }
        } else if !common.quiet {
            note("clip: search: \(folder) has no index; indexing \(amount) with \(choice.name)")
        }
        do {
            try command.run()
        } catch let status as ExitCode where status.rawValue == 1 {
            // Unreadable images were reported; the others can be searched.
        }
    }

    /// Returns the error for a missing index that only the demonstration model could make.
    private func refusal(of folder: FilePath) -> Failure {
        Failure(
            """
            \(folder) has no index, and \(DefaultModel.recommended) is not installed: run clip \
            pull \(DefaultModel.recommended) and then clip index \(folder); or, for the \
            demonstration model, clip index \(folder) --model tiny
            """, status: 2)
    }
}

extension IndexError {
    /// True if the folder has no index, or one in which nothing has been stored.
    fileprivate var isWithoutContent: Bool {
        switch self {
        case .missing, .empty: true
        default: false
        }
    }
}
