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
        abstract: "Make or update the index of a folder of images, for clip search.",
        discussion: """
            All images in the folder and its subfolders are encoded once; the index, .clip-index in \
            the folder, keeps their vectors. Run it again after changes: new and changed images are \
            encoded, moved ones are recognised by their content, deleted ones are forgotten. It may \
            be interrupted at any moment. A folder that cannot be listed loses nothing: its images are kept. \
            So are those behind a link to a disk that is not mounted.

            Images that cannot be read are listed, with exit status 1; later runs try again those that may \
            be readable now (permissions, memory, limits) and list only new failures, and exit with status 0 \
            if there are none. --list-errors prints all that are known.

            Without --model, a new index needs an installed model: clip pull ViT-B/32 gets one. The \
            index keeps the path or name of its model and the model's options; later runs and searches \
            take them from there. --model names the new place of a model that was moved.

            Examples:
              clip index . --model tiny
              clip index --rebuild . --model tiny
            """)

    @Argument(help: "The folder of images.", completion: .directory)
    var folder: String

    @Flag(help: "Make the index anew, of another model; the old one is searched meanwhile.")
    var rebuild = false

    @Flag(help: "Verify the index, and compare the content of every file with it.")
    var verify = false

    @Option(
        help: ArgumentHelp(
            "Write all known failures to FILE, as JSON objects with path and reason.",
            valueName: "file"),
        completion: .file())
    var errors: String?

    @Flag(help: "Print the images that could not be read, and do nothing else.")
    var listErrors = false

    @Flag(help: "Print a summary as JSON; with --list-errors, a JSON object for each.")
    var json = false

    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions
    @OptionGroup var images: ImageOptions

    func run() throws {
        let folder = FilePath(argument: folder)
        try Self.checkFolder(self.folder)
        if listErrors { return try printErrors(of: folder) }
        try ErrorsFile.check(errors, others: [])
        Interruption.prepare()
        let (loaded, name) = try load(folder)
        let model = loaded.following(preprocessing: images.preprocess)
        let update = try IndexUpdate(
            folder: folder, model: model, modelName: name,
            decoding: images.decoding(for: model.preprocessor), isRebuild: rebuild,
            isVerifying: verify)
        if !rebuild && !common.quiet && FolderIndex.hasUnfinishedRebuild(in: folder) {
            note(
                """
                clip: index: a rebuild of this index was interrupted: run clip index --rebuild \
                \(folder) to go on with it
                """)
        }
        let progress = JobProgress("index", isQuiet: common.quiet)
        progress.count([.path(folder)])
        let (command, total) = (rebuild ? "index: the rebuild" : "index", progress.total)
        let summary = try Interruption.during {
            try update.run { isEncoded in
                if isEncoded { progress.advance() } else { progress.skip() }
            }
        } keep: {
            let all = total.value.withLock { $0 }.map { " of \(grouped($0))" } ?? ""
            return """
                \(command): \(grouped(update.keep()))\(all) images are indexed; run the command again \
                to continue
                """
        }
        progress.finish()
        let newFailures = summary.failures.filter(\.isNew)
        for failure in newFailures { report(Hints.line(failure)) }
        let known = summary.failures.count - newFailures.count
        if known > 0 && !common.quiet {
            note(
                """
                clip: index: \(counted(known, "image")) could not be read, as before: clip index \
                --list-errors \(folder) lists them
                """)
        }
        if !common.quiet {
            for link in summary.dangling {
                note("clip: index: \(link) is a link that leads nowhere: its images are kept")
            }
        }
        if let errors {
            let lines = summary.failures.flatMap { Self.object($0).bytes + [UInt8(ascii: "\n")] }
            try write(lines, to: errors)
        }
        if json {
            printLine(
                .object([
                    "folder": .path(folder), "model": .string(name),
                    "unchanged": .integer(summary.unchanged),
                    "encoded": .integer(summary.encoded), "moved": .integer(summary.moved),
                    "deleted": .integer(summary.deleted),
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
        if summary.skipped.total > 0 && !common.quiet {
            note("clip: index: \(summary.skipped)")
        }
        if !newFailures.isEmpty { throw ExitCode(1) }
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

    /// The model of the index that is there, or the model that is given, and the name that finds it again.
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
                cannot read the model of the index of \(folder): give the model of the new index with \
                --model
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
        // Its options may be other ones.
        let name = ModelOptions.place(of: record, near: vectors)
        return (try model.load(record, from: name, common), ModelOptions.storedName(of: name))
    }

    private static func checkFolder(_ folder: String) throws {
        // A name that is not UTF-8 is left to the index itself.
        guard !folder.unicodeScalars.contains("\u{FFFD}") else { return }
        guard FileManager.default.fileExists(atPath: folder) else {
            throw Failure("cannot index \(folder): No such file or directory")
        }
        let attributes = try? FileManager.default.attributesOfItem(atPath: resolved(folder))
        let type = attributes?[.type] as? FileAttributeType
        guard type == nil || type == .typeDirectory else {
            throw Failure("cannot index \(folder): it is a file; give the folder of the images")
        }
    }
}
