import Files
import ArgumentParser
import CLIP
import CLIPSearch

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct Index: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Create or update the index of a folder of images, for clip search.",
        discussion: """
            Encodes all images in the folder and its subfolders, and stores their vectors in \
            .clip-index in the folder. Run it again after changes: it encodes new and changed \
            images, recognises moved ones by their content, and removes deleted ones. It can be \
            interrupted at any time. Images in folders that cannot be listed, or behind dangling \
            links (an unmounted disk), stay in the index.

            Skipped are hidden files and folders, folders with a file .clip-ignore, @eaDir, \
            node_modules, and what --exclude names. The index records --exclude and --hidden for \
            later runs.

            Unreadable images are listed, with exit status 1. Later runs retry those that may have \
            become readable (permissions, memory, limits), and list only images that fail for the \
            first time. --list-errors prints all unreadable images.

            --watch keeps the model loaded and updates the index after each burst of changes: \
            when a second has passed without a change and no image is open for writing, at the \
            latest after 30 seconds. It needs inotify, which only Linux has and which reports no \
            changes by other machines on a network file system. An update that changes nothing \
            prints nothing. The exit status is 0 after SIGTERM and 130 after Ctrl-C.

            A new index needs a model that --model, CLIP_MODEL or clip pull --default names, or \
            ViT-B/32 (clip pull ViT-B/32). The index records its model and the model's options; \
            later runs and searches use them. If the model was moved, give its new path with \
            --model.

            Examples:
              clip index . --model tiny
              clip index --rebuild . --model tiny
              clip index . --exclude screenshots --exclude 'raw/**/*.png'
              clip index --watch . --model tiny
            """)

    @Argument(help: "Index the images in FOLDER and its subfolders.", completion: .directory)
    var folder: String

    @Flag(help: "Build a new index, for example with another model, then replace the old one.")
    var rebuild = false

    @Flag(help: "Check the index for damage, and read every image to find changes of its content.")
    var verify = false

    @Option(
        help: ArgumentHelp(
            "Write all unreadable images, old and new, to FILE as JSON Lines (path, reason).",
            valueName: "file"),
        completion: .file())
    var errors: String?

    @Flag(help: "Print the images that earlier runs could not read, and do not update the index.")
    var listErrors = false

    @Flag(help: "Keep running and update the index when files change, until Ctrl-C or SIGTERM.")
    var watch = false

    @Flag(
        help: """
            Print a JSON summary, with --watch one for each update; with --list-errors, JSON Lines \
            of the failures.
            """)
    var json = false

    @OptionGroup var folders: IndexedFolderOptions
    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions
    @OptionGroup var images: ImageOptions

    func validate() throws {
        guard listErrors else { return }
        if watch { throw ValidationError("--watch and --list-errors cannot be combined.") }
        if folders.isGiven {
            throw ValidationError(
                "--list-errors cannot be combined with --exclude, --no-exclude and --hidden.")
        }
    }

    func run() throws {
        let folder = FilePath(argument: folder)
        try Self.checkFolder(self.folder)
        if listErrors { return try printErrors(of: folder) }
        try ErrorsFile.check(errors, others: [])
        if watch { return try updateContinuously(folder) }
        Interruption.prepare()
        let summary = try update(folder, with: try loadModel(folder))
        if summary.failures.contains(where: \.isNew) { throw ExitCode(1) }
    }

    /// Updates the index and prints the outcome.
    ///
    /// - Parameters:
    ///   - folder: The indexed folder.
    ///   - model: The model, and the name to record.
    ///   - changes: The changes to watch for from now on; nil for none.
    ///   - isFirst: False for a repeated update, which continues the index that the first one made
    ///     and prints nothing if nothing has changed.
    /// - Returns: The outcome.
    /// - Throws: `IndexError`; `Failure` if the outcome cannot be written.
    func update(
        _ folder: FilePath, with model: (CLIPModel, name: String), _ changes: IndexChanges? = nil,
        isFirst: Bool = true
    ) throws -> IndexUpdate.Summary {
        let (model, name) = model
        let update = try IndexUpdate(
            folder: folder, model: model, modelName: name,
            decoding: images.decoding(for: model.preprocessor), isRebuild: rebuild && isFirst,
            isVerifying: verify && isFirst,
            rules: isFirst ? try folders.changes() : FolderRuleChanges())
        if isFirst && !rebuild && !common.quiet && FolderIndex.hasUnfinishedRebuild(in: folder) {
            note(
                """
                clip: index: an interrupted rebuild of this index was found; run clip index \
                --rebuild \(folder) to continue it
                """)
        }
        let summary = try run(update, of: folder, changes, isFirst: isFirst)
        let hasChanged = summary.encoded + summary.moved + summary.deleted > 0
        if isFirst || hasChanged || summary.failures.contains(where: \.isNew) {
            try printOutcome(summary, of: folder, model: name, isFirst: isFirst)
        }
        return summary
    }

    /// Runs an update with a progress line; a signal saves what is done.
    private func run(
        _ update: IndexUpdate, of folder: FilePath, _ changes: IndexChanges?, isFirst: Bool
    ) throws -> IndexUpdate.Summary {
        let progress = JobProgress("index", isQuiet: common.quiet)
        if isFirst {
            progress.count([.path(folder)], rules: update.rules)
        } else {
            progress.start()
        }
        let (command, total) = (rebuild && isFirst ? "index: the rebuild" : "index", progress.total)
        changes?.begin(rules: update.rules)
        let watch = changes?.watch
        let summary = try Interruption.during {
            try update.run(willList: { watch?.add($0) }) { isEncoded in
                if isEncoded {
                    progress.advance()
                } else if isFirst {
                    progress.skip()
                }
            }
        } keep: {
            let all = total.value.withLock { $0 }.map { " of \(grouped($0))" } ?? ""
            return """
                \(command): \(grouped(update.keep()))\(all) images are indexed; run the command \
                again to continue
                """
        }
        changes?.end()
        progress.finish()
        return summary
    }

    private func printOutcome(
        _ summary: IndexUpdate.Summary, of folder: FilePath, model: String, isFirst: Bool
    ) throws {
        let newFailures = summary.failures.filter(\.isNew)
        for failure in newFailures { report(Hints.line(failure)) }
        if !common.quiet { notePeculiarities(of: summary, folder, isFirst: isFirst) }
        if let errors {
            let lines = summary.failures.flatMap { Self.object($0).bytes + [UInt8(ascii: "\n")] }
            try write(lines, to: errors)
        }
        if json {
            printLine(
                .object([
                    "folder": .path(folder), "model": .string(model),
                    "unchanged": .integer(summary.unchanged),
                    "encoded": .integer(summary.encoded), "moved": .integer(summary.moved),
                    "deleted": .integer(summary.deleted),
                    "excluded": .integer(summary.excluded),
                    "failed": .integer(summary.failures.count),
                    "newly_failed": .integer(newFailures.count),
                    "skipped": .integer(summary.skipped.total),
                    "skipped_formats": .object(
                        summary.skipped.sorted.map { ($0.format, .integer($0.count)) }),
                ]))
        } else if !common.quiet {
            note(
                """
                clip: index: \(summary.encoded) encoded, \(summary.unchanged) unchanged, \
                \(summary.moved) moved, \(summary.deleted) deleted, \(summary.failures.count) failed
                """)
        }
        if isFirst && summary.skipped.total > 0 && !common.quiet {
            note("clip: index: \(summary.skipped)")
        }
        // The next line of a continuous update may come much later.
        if watch { flushOutput() }
    }

    /// Prints notes on files that were not encoded; of a repeated update, only on excluded ones.
    private func notePeculiarities(
        of summary: IndexUpdate.Summary, _ folder: FilePath, isFirst: Bool
    ) {
        let known = summary.failures.count { !$0.isNew }
        if isFirst && known > 0 {
            note(
                """
                clip: index: \(counted(known, "image")) still unreadable; clip index --list-errors \
                \(folder) lists them
                """)
        }
        if summary.excluded > 0 {
            note(
                """
                clip: index: \(counted(summary.excluded, "image")) removed from the index, \
                because the rules for skipped files exclude them now
                """)
        }
        for link in isFirst ? summary.dangling : [] {
            note("clip: index: \(link) is a dangling link; its images stay in the index")
        }
    }

    private func printErrors(of folder: FilePath) throws {
        for failure in try FolderIndex(folder: folder).failures() {
            if json {
                printLine(Self.object(failure))
            } else {
                printBytes(Array(Hints.line(failure).utf8) + [UInt8(ascii: "\n")])
            }
        }
    }

    private static func object(_ failure: IndexUpdate.Failure) -> JSONValue {
        .object(["path": .path(failure.file), "reason": .string(Hints.line(failure))])
    }

    /// Loads the model as `load` does, with the chosen rules of preprocessing.
    func loadModel(_ folder: FilePath) throws -> (CLIPModel, name: String) {
        let (loaded, name) = try load(folder)
        return (loaded.following(preprocessing: images.preprocess), name)
    }

    /// Loads the given model, or else the model of the existing index.
    ///
    /// - Parameter folder: The indexed folder.
    /// - Returns: The model, and the name or absolute path to record, which loads it again.
    /// - Throws: `Failure` if a new index would get the demonstration model, or if a rebuild
    ///   without `--model` cannot read the record of the old model; `IndexError` if the index is
    ///   damaged or was made with another model; the errors of loading the model.
    private func load(_ folder: FilePath) throws -> (CLIPModel, name: String) {
        let vectors = StoredVectors.index(of: folder)
        let stored: ModelRecord?
        do {
            stored = try FolderIndex.model(ofIndexIn: folder)
        } catch {
            if case .unreadableFolder = error { throw error }
            guard rebuild else { throw error }
            stored = nil
        }
        if rebuild && model.model == nil && stored == nil && FolderIndex.exists(in: folder) {
            throw Failure(
                """
                cannot read which model made the index of \(folder); give the model of the new \
                index with --model
                """)
        }
        guard let record = stored,
            !rebuild || model.model == nil
        else {
            return (
                try model.load(common, for: .record("the index")),
                ModelOptions.storedName(of: try model.name())
            )
        }
        guard rebuild else { return try model.load(record, of: vectors, isUpdate: true, common) }
        // A rebuild may use other options of the same model.
        let name = ModelOptions.place(of: record, near: vectors)
        return (try model.load(record, from: name, common), ModelOptions.storedName(of: name))
    }

    private static func checkFolder(_ folder: String) throws {
        // Foundation cannot check a name that is not UTF-8; opening the index does.
        guard !folder.unicodeScalars.contains("\u{FFFD}") else { return }
        guard FileManager.default.fileExists(atPath: folder) else {
            throw Failure("cannot index \(folder): No such file or directory")
        }
        let attributes = try? FileManager.default.attributesOfItem(atPath: resolved(folder))
        let type = attributes?[.type] as? FileAttributeType
        guard type == nil || type == .typeDirectory else {
            throw Failure(
                "cannot index \(folder): it is a file; give the folder that holds the images")
        }
    }
}
