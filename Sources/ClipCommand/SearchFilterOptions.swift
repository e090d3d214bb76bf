import ArgumentParser
import CLIPSearch
import Files

/// The options that restrict a search to a part of an index.
struct SearchFilterOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Search only images in FOLDER and its subfolders: a path below the indexed folder.",
            valueName: "folder"),
        completion: .directory)
    var under: String?

    @Option(
        help: ArgumentHelp(
            """
            Search only files modified at or after DATE, in local time: 2024, 2024-05, 2024-05-17 \
            or 2024-05-17T12:30, of the years 1680 to 2260; the index does not record when a \
            photo was taken.
            """, valueName: "date"),
        transform: LocalDate.init(option:))
    var since: LocalDate?

    @Option(
        help: ArgumentHelp("Search only files modified before DATE begins.", valueName: "date"),
        transform: LocalDate.init(option:))
    var before: LocalDate?

    func validate() throws {
        if under?.isEmpty == true {
            throw ValidationError("--under is empty; is a shell variable unset?")
        }
        if let since, let before, since.nanoseconds >= before.nanoseconds {
            throw ValidationError(
                "--since \(since.text) must be earlier than --before \(before.text).")
        }
    }

    /// True if at least one of the options is given.
    var isGiven: Bool { under != nil || since != nil || before != nil }

    /// The options as they were given, such as "--under 2024 --since 2024-05".
    var description: String {
        [("--under", under), ("--since", since?.text), ("--before", before?.text)]
            .compactMap { name, value in value.map { "\(name) \($0)" } }.joined(separator: " ")
    }

    /// Returns the filter for an index.
    ///
    /// - Parameters:
    ///   - index: The index.
    ///   - subfolder: The only folder to search, relative to the indexed folder; nil for all.
    /// - Returns: The filter.
    /// - Throws: `Failure` with status 2 if the folder of `--under` is not in the index.
    func filter(of index: FolderIndex, below subfolder: FilePath? = nil) throws -> IndexFilter {
        IndexFilter(
            folder: try under.map { try Self.folder($0, of: index, below: subfolder) } ?? subfolder,
            since: since?.nanoseconds, before: before?.nanoseconds)
    }

    /// Returns the path of a folder relative to the indexed folder; nil for that folder itself.
    private static func folder(
        _ name: String, of index: FolderIndex, below subfolder: FilePath?
    ) throws -> FilePath? {
        let start = parts(of: subfolder?.bytes ?? [])
        let given = FilePath(argument: name)
        let isAbsolute = given.bytes.first == UInt8(ascii: "/")
        let root = (try? realPath(index.folder.bytes)) ?? index.folder.bytes
        var candidates: [[ArraySlice<UInt8>]] = []
        if !isAbsolute {
            candidates.append(parts(of: (subfolder?.bytes ?? []) + "/".utf8 + given.bytes))
        }
        // An absolute path, or one from the current folder, by its name or by what its links mean.
        let current = isAbsolute ? [] : (currentFolder() ?? []) + "/".utf8
        let absolute = current + given.bytes
        for path in [absolute, (try? realPath(absolute)) ?? absolute] {
            for root in [root, index.folder.bytes] {
                let (whole, start) = (parts(of: path), parts(of: root))
                guard whole.starts(with: start) else { continue }
                candidates.append(Array(whole.dropFirst(start.count)))
            }
        }
        for parts in candidates
        where !parts.contains(Array("..".utf8)[...]) && parts.starts(with: start) {
            guard !parts.isEmpty else { return nil }
            let path = FilePath(parts.joined(separator: "/".utf8))
            if try index.hasFiles(below: path) { return path }
        }
        let place = subfolder.map { ", below \($0)," } ?? ""
        throw Failure(
            "--under \(name): the index of \(index.folder)\(place) has no images in this folder",
            status: 2)
    }

    /// Returns the components of a path, in which `..` is kept unless a name precedes it.
    private static func parts(of path: [UInt8]) -> [ArraySlice<UInt8>] {
        var parts: [ArraySlice<UInt8>] = []
        let (dot, dots) = (Array(".".utf8)[...], Array("..".utf8)[...])
        for part in path.split(separator: UInt8(ascii: "/")) where part != dot {
            if part == dots, let last = parts.last, last != dots {
                parts.removeLast()
            } else {
                parts.append(part)
            }
        }
        return parts
    }
}
