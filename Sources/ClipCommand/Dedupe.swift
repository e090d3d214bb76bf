import Files
import CLIPAnalysis
import ArgumentParser
import CLIP
import CLIPSearch

struct Dedupe: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Find similar images, and move or delete duplicates.",
        usage: "clip dedupe [<options>] <vectors>",
        discussion: """
            Images are similar if the cosine of their vectors is at least --threshold. Similar \
            images of an index are decoded and compared: they are duplicates if the files are \
            identical, or if the pixels differ by no more than JPEG, WebP and resizing explain. \
            Images whose comparison is inconclusive are reported as similar. Each group is printed \
            as the image to keep, then the others with cosine, size, path and verdict; an empty \
            line separates groups. The image to keep is the one with the most pixels, then the \
            largest file, then the first path.

            Without --move-to, --delete or --undo nothing is changed. --move-to and --delete act \
            only on duplicates; before each action, the duplicate and the image to keep are read \
            again. A file stays if it has changed since it was indexed, is a symbolic link, or is \
            reached through one. Each action is logged before and after it, in the file of --log \
            or else in clip-dedupe-DATE.jsonl in FOLDER (--move-to) or in the indexed folder \
            (--delete). A FOLDER inside the indexed one gets a file .clip-ignore, which makes clip \
            skip it.

            Examples:
              clip dedupe .
              clip dedupe . --threshold 0.99 --move-to duplicates
              clip dedupe . -0 | xargs -0 ls -l
            """)

    @Argument(
        help: ArgumentHelp(
            """
            Compare the images of an indexed folder, or the rows of an .npy file from clip encode, \
            of Parquet, or of a folder of them (shards, Spark, clip-retrieval).
            """, valueName: "vectors"),
        completion: .file(extensions: ["npy", "parquet"]))
    var source: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Report images as similar if the cosine of their vectors is at least COSINE, 0 to 1.",
            valueName: "cosine"))
    var threshold: Float = 0.97

    @Flag(
        help:
            "Print only paths of duplicates (of files of vectors: similar images), one per line."
    )
    var paths = false

    @Flag(
        name: [.customShort("0"), .customLong("null")],
        help: "Print what --paths prints, each path followed by NUL, for xargs -0.")
    var isNULTerminated = false

    @Flag(help: "Print JSON Lines, one object per group.")
    var json = false

    @Option(
        help: ArgumentHelp(
            "Move duplicates into FOLDER under their relative paths.", valueName: "folder"),
        completion: .directory)
    var moveTo: String?

    @Flag(help: "Delete duplicates, after asking at the terminal; without a terminal, give --yes.")
    var delete = false

    @Flag(help: "Let --delete delete duplicates without asking.")
    var yes = false

    @Option(
        help: ArgumentHelp(
            """
            Append the log of --move-to or --delete to FILE. (default: a new file \
            clip-dedupe-DATE.jsonl)
            """, valueName: "file"),
        completion: .file())
    var log: String?

    @Option(
        help: ArgumentHelp(
            "Move back the files that the log of a --move-to lists; safe to repeat.",
            valueName: "log"),
        completion: .file(extensions: ["jsonl"]))
    var undo: String?

    @OptionGroup var threading: ThreadOptions
    @OptionGroup var common: CommonOptions

    func validate() throws {
        if !(0...1).contains(threshold) {
            throw ValidationError("--threshold must be 0 to 1, not \(threshold).")
        }
        if moveTo != nil && delete {
            throw ValidationError("--move-to and --delete cannot be combined.")
        }
        if yes && !delete { throw ValidationError("--yes needs --delete.") }
        if log != nil && !delete && moveTo == nil {
            throw ValidationError("--log needs --delete or --move-to.")
        }
        if undo != nil {
            guard source == nil, moveTo == nil, !delete else {
                throw ValidationError(
                    "--undo cannot be combined with <vectors>, --move-to or --delete.")
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
                "--delete needs --yes unless standard input and standard error are terminals",
                status: 2)
        }
        let loaded = try VectorOptions.load(source, threading, quiet: common.quiet)
        let names = loaded.index.map {
            IndexedNames(of: loaded.images ?? [], in: $0.folder)
        }
        let found = loaded.without(names.map { $0.gone.union($0.links) } ?? [])
        guard found.images != nil || moveTo == nil && !delete else {
            throw Failure(
                "--move-to and --delete need an indexed folder, not files of vectors",
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

    /// Returns the groups of similar images.
    ///
    /// For an index, verdicts are based on pixels. For a file of vectors, which has no images,
    /// every verdict is "similar".
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

    /// True if image `a`, rather than `b`, is the one to keep of two similar images.
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
