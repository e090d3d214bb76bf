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
            be interrupted at any moment. Images that cannot be read are listed, with exit status 1.

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

    @Flag(help: "Print a summary as JSON.")
    var json = false

    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions
    @OptionGroup var pictures: PictureOptions

    func run() throws {
        Interruption.prepare()
        let folder = FilePath(argument: folder)
        try Self.checkFolder(self.folder)
        let (loaded, name) = try load(folder)
        let model = loaded.following(preprocessing: pictures.preprocess)
        let update = try IndexUpdate(
            folder: folder, model: model, modelName: name,
            decoding: pictures.decoding(for: model.preprocessor), isRebuild: rebuild)
        if !rebuild && !common.quiet && EmbeddingIndex.hasUnfinishedRebuild(in: folder) {
            note(
                """
                clip: index: a rebuild of this index was interrupted: run clip index --rebuild \
                \(folder) to go on with it
                """)
        }
        let progress = JobProgress("index", isQuiet: common.quiet)
        progress.count([.path(folder)])
        // `keep` may be called by any thread while `run` goes on: a lock is in it.
        nonisolated(unsafe) let running = update
        let (command, total) = (rebuild ? "index: the rebuild" : "index", progress.total)
        let summary = try Interruption.during {
            try update.run { isEncoded in
                if isEncoded { progress.advance() } else { progress.skip() }
            }
        } keep: {
            let all = total.value.withLock { $0 }.map { " of \(grouped($0))" } ?? ""
            return "\(command): \(grouped(running.keep()))\(all) are kept; run it again to go on"
        }
        progress.finish()
        for failure in summary.failures { report(failure.reason) }
        if json {
            printLine(
                .object([
                    "folder": .path(folder), "model": .string(name),
                    "unchanged": .integer(summary.unchanged),
                    "encoded": .integer(summary.encoded), "moved": .integer(summary.moved),
                    "deleted": .integer(summary.deleted),
                    "failed": .integer(summary.failures.count),
                    "skipped": .integer(summary.skipped.total),
                    "skipped_formats": .members(
                        summary.skipped.sorted.map { .init($0.format, .integer($0.count)) }),
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
        if !summary.failures.isEmpty { throw ExitCode(1) }
    }

    /// The model of the index that is there, or the model that is given, and the name that finds it again.
    private func load(_ folder: FilePath) throws -> (CLIPModel, name: String) {
        let vectors = StoredVectors.index(of: folder)
        guard let record = try EmbeddingIndex.model(ofIndexIn: folder),
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
