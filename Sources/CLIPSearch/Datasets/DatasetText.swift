internal import Files

extension String {
    /// The lines of the text, split as Python's `str.splitlines` does.
    ///
    /// A line end at the end of the text does not begin another line.
    var pythonLines: [String] {
        var lines: [String] = []
        var line = String.UnicodeScalarView()
        var isOpen = false
        var isAfterCR = false
        for scalar in unicodeScalars {
            defer { isAfterCR = scalar == "\r" }
            if isAfterCR && scalar == "\n" { continue }
            switch scalar {
            case "\n"..."\r", "\u{1C}"..."\u{1E}", "\u{85}", "\u{2028}", "\u{2029}":
                lines.append(String(line))
                line = String.UnicodeScalarView()
                isOpen = false
            default:
                line.append(scalar)
                isOpen = true
            }
        }
        return isOpen ? lines + [String(line)] : lines
    }

    /// The text without the whitespace at both ends that Python's `str.strip` removes.
    var pythonStripped: String {
        func isSpace(_ scalar: Unicode.Scalar) -> Bool {
            scalar.properties.isWhitespace || ("\u{1C}"..."\u{1F}").contains(scalar)
        }
        let start = unicodeScalars.drop(while: isSpace)
        let end = start.lastIndex { !isSpace($0) }
        guard let end else { return "" }
        return String(Substring(start[...end]))
    }

    /// The text in quotation marks for a message, at most 40 characters of it.
    var quotedStart: String {
        let start = prefix(40)
        return JSONValue.quoted(start.count < count ? start + "…" : self)
    }
}

/// The text files that describe a data set: class names, templates and the kind.
struct DatasetDescriptions {
    /// The path of the data set, for messages.
    let dataset: FilePath
    /// The folders in which a file is looked for, in order.
    let folders: [FilePath]
    let options: EvaluationDataset.Options

    static let classNamesFile = "classnames.txt"
    static let templatesFile = "zeroshot_classification_templates.txt"
    static let kindFile = "dataset_type.txt"
    /// The names of all files.
    static let files = [classNamesFile, templatesFile, kindFile]

    private static let largestFile = 1 << 26

    /// Returns the path and the text of the first file of a name; nil if no folder has one.
    static func text(
        of name: String, in folders: [FilePath]
    ) throws(DatasetError) -> (path: FilePath, text: String)? {
        for folder in folders {
            let path = folder.appending(name.utf8)
            let bytes: [UInt8]
            do throws(FileError) {
                bytes = try readFile(path: path.bytes, limit: largestFile)
            } catch {
                if error.isMissing { continue }
                throw .unreadable(path: path.description, reason: error.reason)
            }
            let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
            let content = bytes.starts(with: mark) ? bytes[3...] : bytes[...]
            guard let text = String(validating: content, as: UTF8.self) else {
                throw .unreadable(path: path.description, reason: "it is not UTF-8")
            }
            return (path, text)
        }
        return nil
    }

    private func lines(of name: String) throws(DatasetError) -> [String]? {
        try Self.text(of: name, in: folders)?.text.pythonLines.map(\.pythonStripped)
    }

    /// Returns the class names of the options or of the file; nil if there are none of either.
    func classNames() throws(DatasetError) -> [String]? {
        let given =
            options.classNames == nil ? try lines(of: Self.classNamesFile) : options.classNames
        guard let names = given else { return nil }
        guard !names.isEmpty else {
            throw .invalidContent(
                path: dataset.description, expected: "at least one class name", found: "none")
        }
        return names
    }

    /// Returns the class names of the options or of the file.
    ///
    /// - Throws: `DatasetError.missingFile` if there are none of either.
    func requiredClassNames() throws(DatasetError) -> [String] {
        if let names = try classNames() { return names }
        throw .missingFile(
            path: dataset.description,
            expected: folders.map { $0.appending(Self.classNamesFile.utf8).description },
            purpose: "class names")
    }

    /// Returns the templates, with `{}` in place of the class name; nil if there are none.
    func templates() throws(DatasetError) -> [String]? {
        let given =
            options.templates == nil ? try lines(of: Self.templatesFile) : options.templates
        guard let templates = given, !templates.isEmpty else { return nil }
        return templates.map { $0.replacing("{c}", with: "{}") }
    }

    /// Returns the kind of the options or of the file; nil if there is none of either.
    func kind() throws(DatasetError) -> EvaluationDataset.Kind? {
        if let kind = options.kind { return kind }
        guard let (path, text) = try Self.text(of: Self.kindFile, in: folders) else { return nil }
        let name = text.pythonStripped.lowercased()
        guard let kind = EvaluationDataset.Kind(rawValue: name) else {
            throw .invalidContent(
                path: path.description,
                expected: EvaluationDataset.Kind.allCases.map(\.rawValue).joined(separator: ", "),
                found: name.quotedStart)
        }
        return kind
    }
}
