package import Files

extension FolderIndex {
    /// Returns the rules that the last update of the index of a folder used; the default ones if
    /// there is no index, or if it cannot be read.
    package static func rules(in folder: FilePath) -> FolderRules {
        guard let place = place(in: folder) else { return FolderRules() }
        let path = place.appending(IndexDatabase.fileName.utf8)
        guard let database = try? IndexDatabase(path: path, isForWriting: false),
            (try? database.isBegun()) == true, let rules = try? database.rules()
        else { return FolderRules() }
        return rules
    }
}

extension IndexDatabase {
    /// Returns the rules of the last update; an older version stored none.
    ///
    /// - Throws: `FileError` if a pattern is invalid.
    func rules() throws(FileError) -> FolderRules {
        var rules = FolderRules(includesHidden: try fact("hidden") == "1")
        // The patterns have no line breaks.
        for line in (try fact("excluded") ?? "").split(separator: "\n") {
            do throws(GlobPattern.SyntaxError) {
                rules.excluded.append(try GlobPattern(String(line)))
            } catch {
                throw Self.damage("the pattern \(line.prefix(200)) of excluded files is invalid")
            }
        }
        return rules
    }

    /// Stores the rules of an update.
    func setRules(_ rules: FolderRules) throws(FileError) {
        // Without these facts, the index is the same as one of an older version.
        if rules.includesHidden {
            try setFact("hidden", "1")
        } else {
            try removeFact("hidden")
        }
        if rules.excluded.isEmpty {
            try removeFact("excluded")
        } else {
            try setFact("excluded", rules.excluded.map(\.text).joined(separator: "\n"))
        }
    }
}
