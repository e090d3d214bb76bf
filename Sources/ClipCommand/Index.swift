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

            Without --model, the index needs an installed model: clip pull ViT-B/32 gets one.

            Examples:
              clip index . --model tiny
            """)

    @Argument(help: "The folder of images.")
    var folder: String

    @Flag(help: "Print a summary as JSON.")
    var json = false

    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions
    @OptionGroup var pictures: PictureOptions

    func run() throws {
        let folder = FilePath(argument: folder)
        try Self.checkFolder(self.folder)
        let model = try self.model.load(common, for: .record("the index"))
            .following(preprocessing: pictures.preprocess)
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
                    "folder": .path(folder), "model": .string(try self.model.name()),
                    "unchanged": .integer(summary.unchanged),
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
