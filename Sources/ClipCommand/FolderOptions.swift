import ArgumentParser
import CLIPSearch

/// Options that select the files of folders.
struct FolderOptions: ParsableArguments {
    @Option(
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp(
            """
            Skip files and folders whose names match GLOB or, if it contains a slash, whose paths \
            below the given folder do; repeat for more. ** stands for any folders.
            """, valueName: "glob"))
    var exclude: [String] = []

    @Flag(help: "Include hidden files and folders, except .git, .clip-index and ._*.")
    var hidden = false

    /// True if an option is given.
    var isGiven: Bool { !exclude.isEmpty || hidden }

    func validate() throws { _ = try Self.patterns(exclude) }

    /// The rules that the options give.
    ///
    /// - Throws: `ValidationError` if a pattern is invalid.
    func rules() throws -> FolderRules {
        FolderRules(includesHidden: hidden, excluded: try Self.patterns(exclude))
    }

    /// Parses the values of `--exclude`.
    ///
    /// - Throws: `ValidationError` if a pattern is invalid.
    static func patterns(_ texts: [String]) throws -> [GlobPattern] {
        try texts.map { text throws(ValidationError) in
            do throws(GlobPattern.SyntaxError) {
                return try GlobPattern(text)
            } catch {
                switch error {
                case .empty:
                    throw ValidationError(
                        text.isEmpty
                            ? "--exclude is empty; is a shell variable unset?"
                            : "--exclude \(text) names no file or folder below the given folder")
                case .negated:
                    throw ValidationError(
                        """
                        unsupported: --exclude \(text) begins with !; write \\! for a name that \
                        begins with it
                        """)
                case .unsupportedCharacter:
                    throw ValidationError(
                        """
                        unsupported: --exclude has a line break or bytes that are not UTF-8; \
                        write ? in place of such a character
                        """)
                }
            }
        }
    }
}

/// The options of `clip index` that select the files of the folder, which the index records.
struct IndexedFolderOptions: ParsableArguments {
    @Option(
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp(
            """
            Skip files and folders whose names match GLOB or, if it contains a slash, whose paths \
            below FOLDER do; repeat for more. ** stands for any folders. (default: as recorded in \
            the index)
            """, valueName: "glob"))
    var exclude: [String] = []

    @Flag(help: "Forget the patterns of --exclude that the index records.")
    var noExclude = false

    @Flag(
        inversion: .prefixedNo,
        help: """
            Include hidden files and folders, except .git, .clip-index and ._*. (default: as \
            recorded in the index, at first no)
            """)
    var hidden: Bool?

    /// True if an option is given.
    var isGiven: Bool { !exclude.isEmpty || noExclude || hidden != nil }

    func validate() throws {
        if noExclude && !exclude.isEmpty {
            throw ValidationError("--exclude and --no-exclude cannot be combined.")
        }
        _ = try FolderOptions.patterns(exclude)
    }

    /// The rules that the options give; the others are those that the index records.
    ///
    /// - Throws: `ValidationError` if a pattern is invalid.
    func changes() throws -> FolderRuleChanges {
        FolderRuleChanges(
            includesHidden: hidden,
            excluded: exclude.isEmpty && !noExclude ? nil : try FolderOptions.patterns(exclude))
    }
}
