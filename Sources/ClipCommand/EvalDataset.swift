import CLIPHub
import CLIPSearch
import Files

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A data set as the command line names it: a path, or a repository of the hub.
struct DatasetChoice: Equatable {
    enum Place: Equatable {
        case path(String)
        /// A name such as `wds/imagenetv2`, or a repository `owner/name`.
        case hub(String)
    }

    /// The name as given.
    let name: String
    let place: Place

    /// The path; nil for a repository.
    var path: String? {
        if case .path(let path) = place { path } else { nil }
    }

    /// Chooses a data set by the rules of CLIP_benchmark's options.
    ///
    /// - Parameters:
    ///   - name: A path, `wds/NAME`, a repository `owner/name`, or a URL of a repository.
    ///   - root: The value of `--dataset_root`: the path of the data set or the URL of a
    ///     repository, in which `{dataset}` stands for the name without `wds/`, and
    ///     `{dataset_cleaned}` for the same with `-` for each `/`.
    /// - Throws: `Failure` with status 2 if the name is neither an existing path nor a valid name
    ///   of the hub, or the URL is not that of a data set of the hub.
    init(name: String, root: String?) throws {
        self.name = name
        guard name != "-" else {
            throw Failure(
                "unsupported: a data set on standard input; give a path or a name", status: 2)
        }
        if let root {
            let short = Self.withoutPrefix(name)
            let place = root.replacing("{dataset_cleaned}", with: short.replacing("/", with: "-"))
                .replacing("{dataset}", with: short)
            self.place = try Self.repository(ofURL: place).map { .hub($0) } ?? .path(place)
        } else if FileManager.default.fileExists(atPath: name) {
            place = .path(name)
        } else if let repository = try Self.repository(ofURL: name) {
            place = .hub(repository)
        } else if !Self.isPath(name), !name.hasPrefix("wds/"),
            let reason = Self.reason(forMissing: name)
        {
            let advice = ModelHub().datasetURL(name).map { "; to use the hub's, give \($0)" } ?? ""
            throw Failure(
                "data set not found: \(name) does not exist\(reason)\(advice)", status: 2)
        } else if !Self.isPath(name), ModelHub().datasetURL(name) != nil {
            place = .hub(name)
        } else {
            throw Failure(
                """
                data set not found: \(name) is no file or folder here; give a folder, a .tar, a \
                table, or a name of the hub such as wds/imagenetv2
                """, status: 2)
        }
    }

    /// Returns a name without its prefix `wds/`.
    static func withoutPrefix(_ name: String) -> String {
        name.hasPrefix("wds/") ? String(name.dropFirst(4)) : name
    }

    /// The suffixes of tables and archives, which the names of repositories do not have.
    private static let suffixes: Set<String> = [
        "7z", "arrow", "bz2", "csv", "gz", "json", "jsonl", "ndjson", "parquet", "rar", "tar",
        "tbz2", "tgz", "tsv", "txt", "txz", "xlsx", "xz", "zip", "zst",
    ]

    /// Returns true if a name has the form of a path, or the suffix of a table or an archive.
    private static func isPath(_ name: String) -> Bool {
        ["/", "./", "../", "~"].contains(where: name.hasPrefix)
            || suffixes.contains(FilePath(name).pathExtension)
    }

    /// Returns the reason why a path such as `data/birds` does not exist, if its first component is
    /// here; nil if it is not, or if the path is absolute or has one component.
    private static func reason(forMissing path: String) -> String? {
        guard let slash = path.firstIndex(of: "/"), slash > path.startIndex else { return nil }
        let first = FilePath(argument: String(path[..<slash]))
        if let status = try? FileStatus(path: first.bytes) {
            return status.isFolder ? " in the folder \(first)" : ": \(first) is not a folder"
        }
        let isLink = (try? FileStatus(path: first.bytes, followingLinks: false)) != nil
        return isLink ? ": the link \(first) leads to no folder" : nil
    }

    /// Returns the repository of a URL such as
    /// `https://huggingface.co/datasets/OWNER/NAME/tree/main`; nil if the text is not a URL.
    ///
    /// - Throws: `Failure` with status 2 for other URLs: another server is not asked.
    private static func repository(ofURL text: String) throws -> String? {
        guard text.hasPrefix("https://") || text.hasPrefix("http://") else { return nil }
        let start = ["https://huggingface.co", "https://hf.co", ModelHub().endpoint]
            .map { $0 + "/datasets/" }.first(where: text.hasPrefix)
        let names = text.dropFirst(start?.count ?? 0).split(separator: "/")
        guard start != nil, names.count >= 2,
            names.count == 2 || names[2...].elementsEqual(["tree", "main"])
        else {
            throw Failure(
                """
                unsupported data set: expected a URL such as \
                https://huggingface.co/datasets/OWNER/NAME/tree/main, found \(text)
                """, status: 2)
        }
        return names[..<2].joined(separator: "/")
    }

    /// The name in records: that of the folder or file for a path, the repository for its URL, else
    /// the name as given.
    func recordedName(_ dataset: EvaluationDataset) -> String {
        switch place {
        case .path(name): dataset.name
        case .hub(let repository) where name.contains("://"): repository
        default: name
        }
    }

    /// Opens the data set; one of the hub is downloaded first if it is not in the cache.
    ///
    /// - Parameters:
    ///   - options: The split, the classes and the kind of the data set.
    ///   - common: The options that all subcommands share.
    ///   - command: The subcommand, for messages.
    ///   - requiresClassNames: False if the class names are known from elsewhere, so that the data
    ///     set may lack them.
    /// - Returns: The data set.
    /// - Throws: `DatasetError` if it cannot be read, `HubError` if it cannot be downloaded,
    ///   `Failure` if the hub has no data set of a name that may also be meant as a path.
    func open(
        _ options: EvaluationDataset.Options, _ common: CommonOptions, for command: String = "eval",
        requiresClassNames: Bool = true
    ) throws -> EvaluationDataset {
        switch place {
        case .path(let path):
            return try EvaluationDataset(FilePath(argument: path), options: options)
        case .hub(let repository):
            let isRequired =
                requiresClassNames && options.classNames == nil && options.kind != .retrieval
            let path: String
            do {
                path = try Self.fetch(
                    repository, options.split, requiresClassNames: isRequired, common,
                    for: command)
            } catch let error as HubError
                where repository == name && !name.hasPrefix("wds/") && error.isOfUnknownDataset
            {
                throw Failure(
                    """
                    data set not found: no file or folder \(name) exists here; as a name of the \
                    hub: \(Hints.line(error))
                    """)
            }
            return try EvaluationDataset(path: path, options: options)
        }
    }

    /// Verifies a data set in the cache, or downloads it with a progress bar; after Ctrl-C, a later
    /// call resumes the download.
    private static func fetch(
        _ name: String, _ split: String, requiresClassNames: Bool, _ common: CommonOptions,
        for command: String
    ) throws -> String {
        let hub = ModelHub()
        if !common.quiet, !hub.isOffline, try hub.findDataset(name, split: split) == nil {
            note("clip: \(command): downloading the data set \(name)")
        }
        let bar = ProgressBar(isQuiet: common.quiet)
        defer { bar.clear() }
        return try Interruption.during {
            try hub.fetchDataset(
                name, split: split, requiresClassNames: requiresClassNames
            ) { progress in
                bar.show(progress)
                return true
            }
        } keep: {
            "\(command): the data received is saved; run the command again to resume"
        }
    }
}

extension HubError {
    /// True if the hub does not have the data set, or was not reached, so that it is unknown
    /// whether the hub has it.
    fileprivate var isOfUnknownDataset: Bool {
        switch self {
        case .incompleteDataset(_, let missing): missing.contains(ArchiveCount.fileName)
        case .refusedDataset, .offlineDataset, .noTransport, .unreachable, .untrusted, .busy,
            .badRedirect:
            true
        default: false
        }
    }
}
