import Files
import CLIPAnalysis
import ArgumentParser
import CLIP
import CLIPSearch

struct Dedupe: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Find images that are similar, and move or delete duplicates.",
        usage: "clip dedupe [<options>] <vectors>",
        discussion: """
            Images are similar if the cosine of their vectors reaches --threshold. For an index, similar \
            images are decoded and compared. Duplicates are identical files, and images whose pixels \
            agree within what JPEG, WebP and resizing do. In doubt, images are only similar. \
            Prints groups with an empty line between them: the image that is kept, then each other with \
            its cosine, size, path, and duplicate or similar. In each group the image with the most \
            pixels is kept; of these the largest file, then the first path.

            Nothing is changed unless --move-to or --delete is given, which act on duplicates alone. \
            Both files are read again immediately before. A file stays if it has changed since it was \
            indexed, is a symbolic link, or is reached through one. Each action is logged before and \
            after it, in clip-dedupe-DATE.jsonl in FOLDER (--move-to) or in the indexed folder \
            (--delete). A FOLDER inside the indexed one gets a file .clip-ignore, and clip passes over \
            folders that hold such a file.

            Examples:
              clip dedupe .
              clip dedupe . --threshold 0.99 --move-to duplicates
              clip dedupe . -0 | xargs -0 ls -l
            """)

    @Argument(
        help: ArgumentHelp(
            "A folder that clip index has indexed, or the .npy of clip encode.",
            valueName: "vectors"),
        completion: .file(extensions: ["npy"]))
    var source: String?

    @Option(
        help: ArgumentHelp(
            "Report two images of this cosine or more as similar.", valueName: "cosine"))
    var threshold: Float = 0.97

    @Flag(help: "Print only the paths of duplicates, one a line.")
    var paths = false

    @Flag(
        name: [.customShort("0"), .customLong("null")],
        help: "Print only the paths of duplicates, each ended by NUL, for xargs -0.")
    var isNULTerminated = false

    @Flag(help: "Print a JSON object for each group.")
    var json = false

    @Option(
        help: ArgumentHelp(
            "Move duplicates into FOLDER, keeping their relative paths.", valueName: "folder"),
        completion: .directory)
    var moveTo: String?

    @Flag(help: "Delete the duplicates; asks once at a terminal, elsewhere --yes is needed.")
    var delete = false

    @Flag(help: "Delete without asking.")
    var yes = false

    @Option(
        help: ArgumentHelp(
            "Append the log of --move-to or --delete to FILE instead.", valueName: "file"),
        completion: .file())
    var log: String?

    @Option(
        help: ArgumentHelp(
            "Put back what a log of --move-to says was moved; may be repeated.", valueName: "log"),
        completion: .file(extensions: ["jsonl"]))
    var undo: String?

    @OptionGroup var threading: ThreadOptions
    @OptionGroup var common: CommonOptions

    func validate() throws {
        if !(0...1).contains(threshold) {
            throw ValidationError("--threshold must be 0 to 1, not \(threshold).")
        }
        if moveTo != nil && delete {
            throw ValidationError("--move-to and --delete exclude each other.")
        }
        if yes && !delete { throw ValidationError("--yes is for --delete.") }
        if log != nil && !delete && moveTo == nil {
            throw ValidationError("--log is for --delete and --move-to.")
        }
        if undo != nil {
            guard source == nil, moveTo == nil, !delete else {
                throw ValidationError("--undo takes a log and nothing else.")
            }
        } else if source == nil {
            throw ValidationError(
                "Missing expected argument '<vectors>': give a folder that clip index has indexed.")
        }
    }

    func run() throws {
        guard let source else {
            try DuplicateActions.undo(FilePath(argument: undo ?? ""), isQuiet: common.quiet)
            return
        }
        if delete && !yes && !DuplicateActions.canAsk {
            throw Failure(
                "--delete needs --yes where standard input or standard error is not a terminal",
                status: 2)
        }
        let loaded = try VectorOptions.load(source, threading)
        let names = loaded.index.map {
            IndexedNames(of: loaded.images ?? [], in: $0.folder)
        }
        let found = loaded.without(names.map { $0.gone.union($0.links) } ?? [])
        guard found.images != nil || moveTo == nil && !delete else {
            throw Failure(
                "--move-to and --delete need an indexed folder, not a .npy file",
                status: 2)
        }
        let log = log.map { FilePath(argument: $0) }
        if let log { try DuplicateActions.check(log: log) }
        let groups = try groups(of: found)
        let output = DedupeOutput(
            vectors: found,
            form: isNULTerminated ? .nulTerminated : paths ? .paths : json ? .json : .text)
        for (number, group) in groups.enumerated() { output.show(group, isFirst: number == 0) }
        if !common.quiet {
            note("clip: dedupe: \(DedupeOutput.summary(groups, found))")
            for line in DedupeOutput.omissions(names, loaded) { note("clip: dedupe: \(line)") }
        }
        try finishOutput()
        guard let images = found.images, let folder = found.index?.folder else { return }
        let actions = DuplicateActions(
            folder: folder, images: images, groups: groups, isQuiet: common.quiet)
        if delete {
            try actions.delete(log: log, isAsked: !yes)
        } else if let moveTo {
            try actions.move(to: FilePath(argument: moveTo), log: log)
        }
    }

    /// The groups of an index, with verdicts by pixels; those of a file of vectors, which has no
    /// images, are similar only.
    private func groups(of found: Vectors) throws -> [DuplicateSearch.Group] {
        let preference = found.names.indices.sorted { Self.isPreferred($0, $1, found) }
        if let images = found.images {
            let search = DuplicateSearch(
                threshold: threshold, preference: preference, threads: try threading.wanted())
            let input = DuplicateSearch.Input(
                embeddings: found.embeddings, digests: images.map(\.digest)
            ) { try? images[$0].file.contents() }
            return try search.run(on: input).groups
        }
        let search = NearDuplicates(
            threshold: threshold, preference: preference, threads: try threading.wanted())
        return try search.run(on: found.embeddings).groups.map(DuplicateSearch.Group.init)
    }

    /// True if a row is rather kept than another.
    private static func isPreferred(_ a: Int, _ b: Int, _ vectors: Vectors) -> Bool {
        guard let images = vectors.images else { return a < b }
        func key(_ row: Int) -> (Int, Int) {
            (
                images[row].width.multipliedReportingOverflow(by: images[row].height)
                    .partialValue,
                images[row].size
            )
        }
        return key(a) == key(b) ? a < b : key(a) > key(b)
    }
}
