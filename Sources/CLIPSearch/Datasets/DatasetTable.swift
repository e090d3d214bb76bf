internal import Files

/// A table with a row for each image: CSV, TSV or JSON Lines.
struct DatasetTable: Sendable {
    /// A column: its name or JSON key, and its index in a record.
    struct Column: Sendable {
        let name: String
        let index: Int
    }

    let path: FilePath
    /// The byte between fields; nil for JSON Lines.
    private let separator: UInt8?
    /// The number of columns; 0 for JSON Lines.
    private let columnCount: Int
    private let image: Column
    let target: Column
    let kind: EvaluationDataset.Kind

    private static let imageColumns = [
        "filepath", "path", "image", "image_path", "file_name", "filename",
    ]
    private static let labelColumns = ["label", "class", idColumn]
    private static let captionColumns = ["caption", "title", "text"]
    private static let idColumn = "label_id"

    /// True if an integer in the column is a label even if it is also the name of a class.
    var hasIDs: Bool { target.name == Self.idColumn }

    /// Reads the names of the columns, which decide the kind.
    ///
    /// - Parameters:
    ///   - path: The path of the table.
    ///   - kind: The kind to read; nil for classification if the table has labels, else retrieval.
    /// - Throws: `DatasetError`.
    init(_ path: FilePath, kind: EvaluationDataset.Kind?) throws(DatasetError) {
        guard kind != .multilabel else {
            throw .unsupportedKind(path: path.description, kind: .multilabel)
        }
        self.path = path
        switch path.pathExtension {
        case "csv": separator = UInt8(ascii: ",")
        case "tsv": separator = UInt8(ascii: "\t")
        default: separator = nil
        }
        let names: [String]
        do throws(FileError) {
            names = try Self.columns(of: path, separator)
        } catch {
            throw .unreadable(path: path.description, reason: error.reason)
        }
        columnCount = separator == nil ? 0 : names.count
        func column(_ wanted: [String]) -> Column? {
            for name in wanted {
                if let index = names.firstIndex(of: name) {
                    return Column(name: name, index: index)
                }
            }
            return nil
        }
        func missing(_ expected: [String]) -> DatasetError {
            .missingColumn(path: path.description, expected: expected, found: names)
        }
        guard let image = column(Self.imageColumns) else { throw missing(Self.imageColumns) }
        self.image = image
        if kind != .retrieval, let target = column(Self.labelColumns) {
            (self.target, self.kind) = (target, .classification)
        } else if kind != .classification, let target = column(Self.captionColumns) {
            (self.target, self.kind) = (target, .retrieval)
        } else {
            throw missing(
                (kind == .retrieval ? [] : Self.labelColumns)
                    + (kind == .classification ? [] : Self.captionColumns))
        }
    }

    /// Returns the names of the columns, or the keys of the first object.
    private static func columns(
        of path: FilePath, _ separator: UInt8?
    ) throws(FileError) -> [String] {
        var records = try RecordFile(InputFile(path: path.bytes))
        if let separator {
            let names = try records.nextRecord(separator: separator) { bytes, _ in bytes }
            if let first = names?.first, [[0xFF, 0xFE], [0xFE, 0xFF]].contains(first.prefix(2)) {
                throw FileError(reason: "it is UTF-16, expected UTF-8")
            }
            return (names ?? []).map { String(decoding: $0, as: UTF8.self).pythonStripped }
        }
        guard let (object, _) = try nextObject(&records) else { return [] }
        return try object.get().members?.map(\.key) ?? []
    }

    /// Parses the next line that is not blank.
    ///
    /// - Returns: The object, or the reason why the line is not one; and the number of the line.
    ///   nil at the end.
    private static func nextObject(
        _ records: inout RecordFile
    ) throws(FileError) -> (object: Result<JSONValue, FileError>, line: Int)? {
        while let text = try records.nextLine() {
            if text.allSatisfy({ [0x20, 0x09, 0x0D].contains($0) }) { continue }
            let line = records.line
            do throws(JSONValue.SyntaxError) {
                let value = try JSONValue(parsing: text)
                guard value.members == nil else { return (.success(value), line) }
                return (.failure(FileError(reason: "line \(line) is not a JSON object")), line)
            } catch {
                return (.failure(FileError(reason: "line \(line): \(error.reason)")), line)
            }
        }
        return nil
    }

    // MARK: Rows

    /// A row of the table.
    struct Row {
        /// The path of the image.
        let path: FilePath
        /// The label as the only element, or the captions; empty if there is a problem.
        let texts: [String]
        /// The reason why the target cannot be used; nil if it can.
        let problem: String?
    }

    /// A row, or the reason why it or the rest of the table cannot be read.
    enum Element {
        case row(Row)
        case invalid(reason: String)
    }

    /// The rows of a table; copies share the position in the file.
    struct Rows {
        private let table: DatasetTable
        private var records: RecordFile?
        private var failure: String?

        init(_ table: DatasetTable) {
            self.table = table
            do throws(FileError) {
                var records = try RecordFile(InputFile(path: table.path.bytes))
                if let separator = table.separator {
                    _ = try records.nextRecord(separator: separator) { bytes, _ in bytes }
                }
                self.records = records
            } catch {
                failure = error.reason
            }
        }

        /// Returns the next row; nil at the end.
        mutating func next() -> Element? {
            if let reason = failure {
                failure = nil
                return .invalid(reason: reason)
            }
            do throws(FileError) {
                return try nextRow()
            } catch {
                records?.end()
                return .invalid(reason: error.reason)
            }
        }

        private mutating func nextRow() throws(FileError) -> Element? {
            guard var records else { return nil }
            defer { self.records = records }
            guard let separator = table.separator else {
                guard let (object, line) = try DatasetTable.nextObject(&records) else {
                    return nil
                }
                switch object {
                case .success(let object): return table.row(object, line: line)
                case .failure(let error): return .invalid(reason: error.reason)
                }
            }
            let fields = try records.nextRecord(separator: separator) { bytes, _ in bytes }
            return fields.map { table.row($0, line: records.line) }
        }
    }

    private func row(_ fields: [[UInt8]], line: Int) -> Element {
        for column in [image, target] where !fields.indices.contains(column.index) {
            return .invalid(
                reason: "the record that ends in line \(line) has no column \"\(column.name)\"")
        }
        // A separator that is not quoted would shift the fields after it.
        if fields.dropFirst(columnCount).contains(where: { !$0.isEmpty }) {
            return .invalid(
                reason: """
                    the record that ends in line \(line) has \(fields.count) fields: expected \
                    \(columnCount)
                    """)
        }
        let name = fields[image.index]
        guard !name.isEmpty, !name.contains(0) else { return invalidPath(line: line) }
        guard let text = String(validating: fields[target.index], as: UTF8.self) else {
            let problem = "its \(target.name) in line \(line) is not UTF-8"
            return .row(Row(path: place(of: name), texts: [], problem: problem))
        }
        return row(place(of: name), [text], line: line)
    }

    private func row(_ object: JSONValue, line: Int) -> Element {
        guard let name = object[image.name]?.string.map({ Array($0.utf8) }), !name.isEmpty,
            !name.contains(0)
        else { return invalidPath(line: line) }
        let texts: [String]? =
            switch object[target.name] {
            case .string(let text): [text]
            case .integer(let number) where kind == .classification: ["\(number)"]
            case .array(let values) where kind == .retrieval:
                values.allSatisfy { $0.string != nil } ? values.compactMap(\.string) : nil
            default: nil
            }
        guard let texts else {
            let expected =
                kind == .retrieval ? "a string or an array of strings" : "a string or an integer"
            let problem = "line \(line): expected \(expected) in \"\(target.name)\""
            return .row(Row(path: place(of: name), texts: [], problem: problem))
        }
        return row(place(of: name), texts, line: line)
    }

    /// Returns a row, which has a problem if one of its captions is empty.
    private func row(_ path: FilePath, _ texts: [String], line: Int) -> Element {
        let hasEmpty = kind == .retrieval && texts.contains { $0.pythonStripped.isEmpty }
        let problem = hasEmpty ? "its \(target.name) in line \(line) is empty" : nil
        return .row(Row(path: path, texts: texts, problem: problem))
    }

    private func invalidPath(line: Int) -> Element {
        .invalid(reason: "line \(line): expected the path of an image in \"\(image.name)\"")
    }

    /// Returns the path of an image, which the table names relative to its own folder.
    private func place(of name: [UInt8]) -> FilePath {
        guard name.first != UInt8(ascii: "/") else { return FilePath(name) }
        let folder = path.bytes.dropLast(path.lastComponent.count)
        return FilePath(folder + name)
    }

    // MARK: Classes

    /// Returns the distinct labels, sorted by their bytes; nil if all are integers.
    ///
    /// - Throws: `DatasetError.invalidContent` if there are no labels.
    /// - Complexity: Reads the whole table.
    func labelNames() throws(DatasetError) -> [String]? {
        var names: Set<[UInt8]> = []
        var problem: String?
        var rows = Rows(self)
        while let element = rows.next() {
            switch element {
            case .row(let row):
                if let text = row.texts.first { names.insert(Array(text.pythonStripped.utf8)) }
                problem = problem ?? row.problem
            case .invalid(let reason): problem = problem ?? reason
            }
        }
        names.remove([])
        guard !names.isEmpty else {
            throw .invalidContent(
                path: path.description, expected: "rows with an image and a \(target.name)",
                found: problem.map { "none (\($0))" } ?? "none")
        }
        let texts = names.sorted { $0.lexicographicallyPrecedes($1) }
            .map { String(decoding: $0, as: UTF8.self) }
        return texts.allSatisfy { Int($0) != nil } ? nil : texts
    }

    /// Returns the target of an image with a label.
    func label(_ text: String, among classes: ClassIndex) -> EvaluationDataset.Target {
        let text = text.pythonStripped
        guard !text.isEmpty else { return .unusable(reason: "its \(target.name) is empty") }
        let number = Int(text)
        if hasIDs, let number { return TargetReader.label(number, classCount: classes.count) }
        let labels = classes.all(text)
        if labels.count == 1 { return .label(labels[0]) }
        guard labels.isEmpty else {
            return .unusable(
                reason: "its label \(text.quotedStart) is the name of \(labels.count) classes")
        }
        if let number { return TargetReader.label(number, classCount: classes.count) }
        return .unusable(reason: "its label \(text.quotedStart) is not the name of a class")
    }
}
