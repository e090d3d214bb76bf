internal import Files

extension EvaluationDataset {
    /// The layout on the disk: the location of the images and their targets.
    enum Layout: Sendable {
        case archives(DatasetArchives)
        case classFolders([ClassFolder])
        case table(DatasetTable)
    }

    /// A folder with the images of one class.
    struct ClassFolder: Sendable {
        let path: FilePath
        let target: Target
    }
}

/// The archives of a split, in order.
struct DatasetArchives: Sendable {
    /// The archives found in the folder; empty if `nshards.txt` states their number.
    private let listed: [FilePath]
    private let folder: FilePath
    /// The number of archives that `nshards.txt` states; nil without that file.
    let stated: Int?

    var count: Int { stated ?? listed.count }

    /// The path of an archive by its index.
    subscript(index: Int) -> FilePath {
        stated == nil ? listed[index] : folder.appending("\(index).tar".utf8)
    }

    /// Makes a split of a single archive.
    init(archive: FilePath) { (listed, folder, stated) = ([archive], "", nil) }

    /// Finds the archives in a folder; nil if it has neither archives nor `nshards.txt`.
    init?(in folder: FilePath, entries: [FolderEntry]) throws(DatasetError) {
        self.folder = folder
        guard !entries.contains(where: { $0.name == Array(ArchiveCount.fileName.utf8) }) else {
            stated = try Self.statedCount(in: folder)
            listed = []
            return
        }
        stated = nil
        let names = entries.filter { $0.isFolder != true && $0.isArchive }
        guard !names.isEmpty else { return nil }
        let numbers = names.compactMap { entry -> (Int, FolderEntry)? in
            let stem = String(decoding: entry.name.dropLast(4), as: UTF8.self)
            return digits(stem).map { ($0, entry) }
        }
        // By number, 2.tar comes before 10.tar.
        let sorted =
            numbers.count == names.count ? numbers.sorted { $0.0 < $1.0 }.map(\.1) : names
        listed = sorted.map { folder.appending($0.name) }
    }

    private static func statedCount(in folder: FilePath) throws(DatasetError) -> Int? {
        let found = try DatasetDescriptions.text(of: ArchiveCount.fileName, in: [folder])
        guard let (path, text) = found else { return nil }
        guard let count = Int(text.pythonStripped), ArchiveCount.range.contains(count) else {
            throw .invalidContent(
                path: path.description, expected: "the number of archives, \(ArchiveCount.range)",
                found: text.pythonStripped.quotedStart)
        }
        return count
    }

    /// Returns true if the entries of a folder include an archive or `nshards.txt`.
    static func areArchives(_ entries: [FolderEntry]) -> Bool {
        entries.contains { entry in
            entry.name == Array(ArchiveCount.fileName.utf8)
                || entry.isFolder != true && entry.isArchive
        }
    }

    /// Returns the kind that the fields of the first readable sample suggest; classification if
    /// there is none.
    func kind() -> EvaluationDataset.Kind {
        for index in 0..<count {
            let path = self[index].bytes
            // Only regular files: bytes that are read from a pipe cannot be read again.
            guard (try? FileStatus(path: path))?.isRegular == true,
                let file = try? InputFile(path: path)
            else { continue }
            var archive = WebDataset(self[index], file, target: "npy")
            var first = archive.next()
            while let sample = first, sample.isUnreadable { first = archive.next() }
            guard let sample = first else { continue }
            if sample.fields["cls"] != nil { return .classification }
            if sample.fields["npy"] != nil { return .multilabel }
            return sample.fields["txt"] != nil ? .retrieval : .classification
        }
        return .classification
    }
}

extension Sample {
    fileprivate var isUnreadable: Bool {
        if case .unreadable = content { true } else { false }
    }
}

extension FolderEntry {
    fileprivate var isArchive: Bool {
        name.first != UInt8(ascii: ".") && FilePath(name).pathExtension == "tar"
    }
}

/// Parses an integer of ASCII digits; nil for any other text.
func digits(_ text: String) -> Int? {
    text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ? Int(text) : nil
}

/// Finds the layout of a path.
struct DatasetFinder {
    let path: FilePath
    let options: EvaluationDataset.Options

    typealias ClassFolder = EvaluationDataset.ClassFolder

    /// The layout, and the folders in which the descriptions of the data set are looked for.
    struct Found {
        enum Place {
            case archives(DatasetArchives)
            case classFolders(FilePath, [FilePath])
            case table
        }
        let place: Place
        let folders: [FilePath]
    }

    /// Returns the layout of the path.
    func find() throws(DatasetError) -> Found {
        let status: FileStatus
        do throws(FileError) {
            status = try FileStatus(path: path.bytes)
        } catch {
            throw .unreadable(path: path.description, reason: error.reason)
        }
        guard !status.isFolder else { return try findInFolder() }
        let folder = path.parent
        switch path.pathExtension {
        case "tar":
            return Found(
                place: .archives(DatasetArchives(archive: path)), folders: [folder, folder.parent])
        case "csv", "tsv", "jsonl", "ndjson":
            // A table is read several times, which a pipe cannot be.
            guard status.isRegular else {
                throw .unreadable(path: path.description, reason: "it is not a regular file")
            }
            return Found(place: .table, folders: [folder])
        case "": throw .unsupportedLayout(path: path.description, found: "a file")
        case let suffix:
            throw .unsupportedLayout(path: path.description, found: "a file .\(suffix)")
        }
    }

    private func findInFolder() throws(DatasetError) -> Found {
        let entries = try Self.entries(path)
        let split = FilePath(options.split).bytes.isEmpty ? nil : path.appending(options.split.utf8)
        let splitEntries = split.flatMap { try? folderEntries($0.bytes) }
        if let split, let splitEntries,
            let archives = try DatasetArchives(in: split, entries: splitEntries)
        {
            return Found(place: .archives(archives), folders: [path, split])
        }
        if let archives = try DatasetArchives(in: path, entries: entries) {
            return Found(place: .archives(archives), folders: [path, path.parent])
        }
        if let split, let splitEntries, let folders = Self.classFolders(of: split, splitEntries) {
            return Found(place: .classFolders(split, folders), folders: [split, path])
        }
        let folders = Self.folders(path, entries)
        // If all folders are named like splits, none is a class. Otherwise, a folder is a split if
        // it has archives, or if it is named like a split and has subfolders like those of classes.
        let areSplits = folders.allSatisfy { Self.usualSplits.contains($0.lastName) }
        let splits = folders.filter { folder in
            guard !areSplits else { return true }
            guard let entries = try? folderEntries(folder.bytes) else { return false }
            return DatasetArchives.areArchives(entries)
                || Self.usualSplits.contains(folder.lastName)
                    && Self.classFolders(of: folder, entries) != nil
        }
        let isDescribed = entries.contains { entry in
            entry.name == Array(DatasetDescriptions.kindFile.utf8)
        }
        guard splits.isEmpty && !isDescribed else {
            if let split, let splitEntries {
                let found =
                    Self.hasImages(splitEntries)
                    ? "images outside of folders" : "a folder without archives or subfolders"
                throw .unsupportedLayout(path: split.description, found: found)
            }
            throw .missingSplit(
                path: path.description, split: options.split,
                found: splits.map(\.lastName))
        }
        guard !folders.isEmpty else {
            throw .unsupportedLayout(
                path: path.description, found: "a folder without archives or subfolders")
        }
        return Found(place: .classFolders(path, folders), folders: [path, path.parent])
    }

    private static func hasImages(_ entries: [FolderEntry]) -> Bool {
        entries.contains { entry in
            entry.isFolder != true
                && FolderWalk.imageExtensions.contains(FilePath(entry.name).pathExtension)
        }
    }

    private static let usualSplits: Set<String> = [
        "train", "training", "val", "valid", "validation", "dev", "test", "testing",
    ]

    private static func entries(_ path: FilePath) throws(DatasetError) -> [FolderEntry] {
        do throws(FileError) {
            return try folderEntries(path.bytes)
        } catch {
            throw .unreadable(path: path.description, reason: error.reason)
        }
    }

    /// Returns the subfolders of the folder of a split; nil if it has none, or has images itself.
    private static func classFolders(
        of split: FilePath, _ entries: [FolderEntry]
    ) -> [FilePath]? {
        let hasImages = entries.contains { entry in
            entry.isFolder != true
                && FolderWalk.imageExtensions.contains(FilePath(entry.name).pathExtension)
        }
        let folders = hasImages ? [] : folders(split, entries)
        return folders.isEmpty ? nil : folders
    }

    /// Returns the subfolders of a folder that are not hidden, sorted by the bytes of their names.
    private static func folders(_ path: FilePath, _ entries: [FolderEntry]) -> [FilePath] {
        entries.compactMap { entry in
            guard entry.name.first != UInt8(ascii: "."), entry.isFolder != false else { return nil }
            let folder = path.appending(entry.name)
            let isFolder =
                entry.isFolder ?? (try? FileStatus(path: folder.bytes))?.isFolder ?? false
            return isFolder ? folder : nil
        }
    }

    /// Returns the folders of the classes with their labels, and the names of the classes.
    static func classes(
        in folder: FilePath, _ folders: [FilePath], _ descriptions: DatasetDescriptions
    ) throws(DatasetError) -> (folders: [ClassFolder], names: [String]) {
        let own = folders.map(\.lastName)
        let numbers = own.compactMap(digits)
        if numbers.count == own.count {
            let names = try descriptions.requiredClassNames()
            let order = numbers.indices.sorted { (numbers[$0], $0) < (numbers[$1], $1) }
            let classes = order.map { index in
                ClassFolder(
                    path: folders[index],
                    target: TargetReader.label(numbers[index], classCount: names.count))
            }
            return (classes, names)
        }
        guard let names = try descriptions.classNames() else {
            return (folders.enumerated().map { ClassFolder(path: $1, target: .label($0)) }, own)
        }
        let index = ClassIndex(names)
        let labels = own.compactMap { index.only($0) }
        if labels.count == own.count {
            return (zip(folders, labels).map { ClassFolder(path: $0, target: .label($1)) }, names)
        }
        guard names.count == folders.count else {
            throw .wrongClassCount(
                path: folder.description, expected: folders.count, found: names.count)
        }
        // Names in another order would give wrong labels.
        let misplaced = own.indices.first { place in
            index.only(own[place]).map { $0 != place } ?? false
        }
        if let place = misplaced {
            throw .invalidContent(
                path: folder.description,
                expected: "the names of the subfolders, or other names in their order",
                found: "\(names[place].quotedStart) for \(own[place].quotedStart)")
        }
        return (folders.enumerated().map { ClassFolder(path: $1, target: .label($0)) }, names)
    }
}

/// The labels by class name.
struct ClassIndex: Sendable {
    /// The labels by the bytes of the name, because Strings of different bytes may be equal.
    private var labels: [[UInt8]: [Int]] = [:]
    let count: Int

    init(_ names: [String]) {
        count = names.count
        for (label, name) in names.enumerated() {
            labels[Array(name.utf8), default: []].append(label)
        }
    }

    /// Returns the labels of all classes with a name.
    func all(_ name: String) -> [Int] { labels[Array(name.utf8)] ?? [] }

    /// Returns the label of a name; nil if no class, or more than one, has that name.
    func only(_ name: String) -> Int? {
        let found = all(name)
        return found.count == 1 ? found[0] : nil
    }
}

extension FilePath {
    /// The last component as text; bytes that are not UTF-8 become U+FFFD.
    fileprivate var lastName: String { String(decoding: lastComponent, as: UTF8.self) }

    /// The folder that contains the file or folder.
    var parent: FilePath {
        var folder = bytes[...]
        while folder.count > 1, folder.last == UInt8(ascii: "/") { folder.removeLast() }
        let name = FilePath(folder).lastComponent
        guard !name.isEmpty, name != [UInt8(ascii: ".")], name != ArraySlice("..".utf8) else {
            return FilePath(folder).appending("..".utf8)
        }
        folder.removeLast(name.count)
        while folder.count > 1, folder.last == UInt8(ascii: "/") { folder.removeLast() }
        return folder.isEmpty ? "." : FilePath(folder)
    }
}
