import ArgumentParser
import CLIP
import CLIPSearch

struct Dedupe: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Find images that are nearly the same.",
        usage: "clip dedupe [<options>] <vectors>",
        discussion: """
            In each group the image with the most pixels is kept; of these the largest file, then the \
            first path. Prints groups with an empty line between them: the image that is kept, then \
            each duplicate with its cosine to that. Nothing is changed unless --move-to or --delete is \
            given; files that have changed since they were indexed stay.

            Examples:
              clip dedupe .
              clip dedupe . --threshold 0.99 --move-to duplicates
              clip dedupe . -0 | xargs -0 ls -l
            """)

    @OptionGroup var vectors: VectorOptions

    @Option(
        help: ArgumentHelp(
            "Count two images of this cosine or more as the same.", valueName: "cosine"))
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
            "Move the duplicates into FOLDER, under the paths they have.", valueName: "folder"),
        completion: .directory)
    var moveTo: String?

    @Flag(help: "Delete the duplicates.")
    var delete = false

    @OptionGroup var threading: ThreadOptions
    @OptionGroup var common: CommonOptions

    func validate() throws {
        if !(0...1).contains(threshold) {
            throw ValidationError("--threshold must be 0 to 1, not \(threshold).")
        }
        if moveTo != nil && delete {
            throw ValidationError("--move-to and --delete exclude each other.")
        }
    }

    func run() throws {
        let found = try vectors.load(threading)
        guard found.pictures != nil || moveTo == nil && !delete else {
            throw Failure(
                "files are moved and deleted only by an index, which knows what they were",
                status: 2)
        }
        let preference = found.names.indices.sorted { Self.isPreferred($0, $1, found) }
        let groups = NearDuplicates.groups(
            in: found.embeddings, preference: preference, threshold: threshold,
            threads: try threading.wanted())
        for (number, group) in groups.enumerated() {
            show(group, found, isFirst: number == 0)
        }
        let count = groups.reduce(0) { $0 + $1.duplicates.count }
        if !common.quiet {
            note(
                """
                clip: dedupe: \(count) of \(found.names.count) images are similar to \
                \(groups.count) that are kept
                """)
        }
        try finishOutput()
        guard let pictures = found.pictures, let folder = found.index?.folder else { return }
        let action: DuplicateRemoval.Action? =
            delete ? .delete : moveTo.map { .move(to: FilePath(argument: $0)) }
        guard let action else { return }
        let removal = DuplicateRemoval(folder: folder, action: action)
        var failures = 0
        for group in groups {
            for duplicate in group.duplicates {
                do throws(CLIPError) {
                    try removal.remove(pictures[duplicate.row], keeping: pictures[group.kept])
                } catch {
                    report(error)
                    failures += 1
                }
            }
        }
        if !common.quiet {
            note("clip: dedupe: \(count - failures) \(delete ? "deleted" : "moved")")
        }
        if failures > 0 { throw ExitCode(1) }
    }

    /// Whether a row is rather kept than another.
    private static func isPreferred(_ a: Int, _ b: Int, _ vectors: Vectors) -> Bool {
        guard let pictures = vectors.pictures else { return a < b }
        func key(_ row: Int) -> (Int, Int) {
            (pictures[row].width * pictures[row].height, pictures[row].size)
        }
        return key(a) == key(b) ? a < b : key(a) > key(b)
    }

    private func show(_ group: NearDuplicates, _ vectors: Vectors, isFirst: Bool) {
        func size(_ row: Int) -> String? {
            vectors.pictures.map { "\($0[row].width)x\($0[row].height)" }
        }
        func object(_ row: Int, _ cosine: Float?) -> JSON {
            var members: [JSON.Member] = [.init("path", .path(vectors.names[row]))]
            if let pictures = vectors.pictures {
                members.append(.init("width", .integer(pictures[row].width)))
                members.append(.init("height", .integer(pictures[row].height)))
            }
            guard let cosine else { return .members(members) }
            members.append(.init("cosine", .float(cosine)))
            if let pictures = vectors.pictures {
                let isIdentical = pictures[row].digest == pictures[group.kept].digest
                members.append(.init("identical", .bool(isIdentical)))
            }
            return .members(members)
        }
        if isNULTerminated || paths {
            for duplicate in group.duplicates {
                let name = vectors.names[duplicate.row]
                printBytes(
                    isNULTerminated
                        ? name.bytes + [0] : TerminalText.shown(name) + [UInt8(ascii: "\n")])
            }
        } else if json {
            printLine(
                .object([
                    "kept": object(group.kept, nil),
                    "duplicates": .array(group.duplicates.map { object($0.row, $0.cosine) }),
                ]))
        } else {
            func line(_ word: String, _ row: Int) {
                let size = size(row).map { "\t\($0)" } ?? ""
                printBytes(
                    Array("\(word)\(size)\t".utf8) + TerminalText.shown(vectors.names[row])
                        + [UInt8(ascii: "\n")]
                )
            }
            if !isFirst { print() }
            line("kept", group.kept)
            for duplicate in group.duplicates { line(fixed(duplicate.cosine, 4), duplicate.row) }
        }
    }
}
