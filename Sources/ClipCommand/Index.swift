import ArgumentParser
import CLIP
import CLIPSearch

struct Index: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make or update the index of a folder of pictures, for clip search.",
        discussion: """
            All pictures in the folder and the folders in it are encoded once; the index, .clip-index in \
            the folder, keeps their vectors. Run it again after changes: what is new or changed is encoded, \
            what was moved is recognised by its content, what is gone is forgotten. It may be interrupted at \
            any moment. What cannot be read is listed, with exit status 1.
            """)

    @Argument(help: "The folder.")
    var folder: String

    @Flag(help: "Print what was done as JSON.")
    var json = false

    @OptionGroup var pictures: PictureOptions
    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions

    func run() throws {
        let folder = FilePath(argument: folder)
        let model = try self.model.load(common).following(preprocessing: pictures.preprocess)
        let update = try IndexUpdate(
            folder: folder, model: model, modelName: try self.model.name(),
            decoding: pictures.decoding(for: model.preprocessor))
        let progress = JobProgress("index", isQuiet: common.quiet)
        progress.count([.path(folder)])
        let summary = try update.run { isEncoded in
            if isEncoded { progress.advance() } else { progress.skip() }
        }
        progress.finish()
        for failure in summary.failures { report(failure.reason) }
        if json {
            printLine(
                .object([
                    "folder": .path(folder), "unchanged": .integer(summary.unchanged),
                    "encoded": .integer(summary.encoded), "moved": .integer(summary.moved),
                    "deleted": .integer(summary.deleted),
                    "failed": .integer(summary.failures.count),
                ]))
        } else if !common.quiet {
            note(
                """
                clip: index: \(summary.encoded) encoded, \(summary.unchanged) unchanged, \
                \(summary.moved) moved, \(summary.deleted) deleted, \(summary.failures.count) failed
                """)
        }
        if !summary.failures.isEmpty { throw ExitCode(1) }
    }
}
