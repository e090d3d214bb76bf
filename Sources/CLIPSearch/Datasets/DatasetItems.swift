internal import Files

extension EvaluationDataset {
    /// A stream of the items of a data set.
    ///
    /// A missing archive, an unreadable folder or an invalid row is an item with the target
    /// `.unusable`; the stream goes on. Copies share the position in files that are being read.
    public struct Items: Sequence, IteratorProtocol {
        // Exactly one of these is set.
        private var archives: ArchiveItems?
        private var folders: FolderItems?
        private var rows: TableItems?

        /// The numbers of files found so far in unsupported image formats.
        public var skipped: SkippedFormats {
            archives?.skipped ?? folders?.skipped ?? SkippedFormats()
        }

        init(_ dataset: EvaluationDataset) {
            switch dataset.layout {
            case .archives(let found):
                let reader = TargetReader(
                    kind: dataset.kind, classCount: dataset.classNames.count)
                archives = ArchiveItems(archives: found, reader: reader)
            case .classFolders(let found): folders = FolderItems(folders: found)
            case .table(let table): rows = TableItems(table, ClassIndex(dataset.classNames))
            }
        }

        /// Returns the next item; nil at the end.
        public mutating func next() -> Item? {
            // Each is advanced in place: a copy would duplicate the list of what is left to visit.
            if archives != nil { return archives?.next() }
            if folders != nil { return folders?.next() }
            return rows?.next()
        }
    }

    /// The items of archives.
    private struct ArchiveItems {
        let archives: DatasetArchives
        let reader: TargetReader
        private var index = 0
        private var archive: WebDataset?
        private var skippedBefore = SkippedFormats()

        init(archives: DatasetArchives, reader: TargetReader) {
            (self.archives, self.reader) = (archives, reader)
        }

        var skipped: SkippedFormats {
            var all = skippedBefore
            if let archive { all += archive.skipped }
            return all
        }

        mutating func next() -> Item? {
            while true {
                if let sample = archive?.next() {
                    return Item(sample: sample, target: reader.target(of: sample))
                }
                if let archive { skippedBefore += archive.skipped }
                archive = nil
                guard index < archives.count else { return nil }
                let path = archives[index]
                index += 1
                do throws(FileError) {
                    archive = WebDataset(path, try open(path), target: reader.suffix)
                } catch {
                    let stated = archives.stated.map {
                        " (\(ArchiveCount.fileName) states \($0) archives)"
                    }
                    return .unreadable(path, reason: error.reason + (stated ?? ""))
                }
            }
        }

        /// Opens an archive; a pipe or a device only if it is the only one, which the user named.
        private func open(_ path: FilePath) throws(FileError) -> InputFile {
            let isRegular = try FileStatus(path: path.bytes).isRegular
            guard isRegular || archives.count == 1 else {
                throw FileError(reason: "it is not a regular file")
            }
            return try InputFile(path: path.bytes)
        }
    }

    /// The items of class folders.
    private struct FolderItems {
        let folders: [ClassFolder]
        private var index = 0
        private var walk: FolderWalk?
        private var skippedBefore = SkippedFormats()

        init(folders: [ClassFolder]) { self.folders = folders }

        var skipped: SkippedFormats {
            var all = skippedBefore
            if let walk { all += walk.skipped }
            return all
        }

        mutating func next() -> Item? {
            while true {
                while let found = walk?.next() {
                    switch found {
                    case .file(let path):
                        return Item(sample: Sample(path), target: folders[index - 1].target)
                    case .unreadable(let path, let reason):
                        return .unreadable(path, reason: reason)
                    case .dangling: continue
                    }
                }
                if let walk { skippedBefore += walk.skipped }
                walk = nil
                guard index < folders.count else { return nil }
                walk = FolderWalk(folders[index].path)
                index += 1
            }
        }
    }

    /// The items of a table; all rows with captions of one image form one item.
    private struct TableItems {
        private let table: DatasetTable
        private let classes: ClassIndex
        private var rows: DatasetTable.Rows
        /// The items of a table with captions, which is read at once; nil before that.
        private var captioned: IndexingIterator<[Item]>?

        init(_ table: DatasetTable, _ classes: ClassIndex) {
            (self.table, self.classes) = (table, classes)
            rows = DatasetTable.Rows(table)
        }

        mutating func next() -> Item? {
            if table.kind == .retrieval {
                if captioned == nil { captioned = readCaptions().makeIterator() }
                return captioned?.next()
            }
            switch rows.next() {
            case nil: return nil
            case .invalid(let reason): return .unreadable(table.path, reason: reason)
            case .row(let row):
                let sample = Sample(row.path)
                if let problem = row.problem {
                    return Item(sample: sample, target: .unusable(reason: problem))
                }
                return Item(
                    sample: sample, target: table.label(row.texts.first ?? "", among: classes))
            }
        }

        /// Reads the whole table and returns an item for each image, in the order of first rows.
        ///
        /// An image in two items would compete with itself in the ranks of retrieval.
        private mutating func readCaptions() -> [Item] {
            var elements: [DatasetTable.Element] = []
            // Both have one entry for each element.
            var texts: [[String]] = []
            var problems: [String?] = []
            var places: [FilePath: Int] = [:]
            while let element = rows.next() {
                if case .row(let row) = element {
                    if let place = places[row.path] {
                        texts[place] += row.texts
                        problems[place] = problems[place] ?? row.problem
                        continue
                    }
                    places[row.path] = elements.count
                    texts.append(row.texts)
                    problems.append(row.problem)
                } else {
                    texts.append([])
                    problems.append(nil)
                }
                elements.append(element)
            }
            return elements.enumerated().map { place, element in
                switch element {
                case .invalid(let reason): .unreadable(table.path, reason: reason)
                case .row(let row):
                    Item(
                        sample: Sample(row.path),
                        target: problems[place].map { .unusable(reason: $0) }
                            ?? .captions(texts[place]))
                }
            }
        }
    }
}

extension EvaluationDataset.Item {
    /// Makes an item for an archive, folder or row that cannot be read.
    fileprivate static func unreadable(_ path: FilePath, reason: String) -> Self {
        Self(
            sample: Sample(path, .unreadable(reason: reason)), target: .unusable(reason: reason))
    }
}
