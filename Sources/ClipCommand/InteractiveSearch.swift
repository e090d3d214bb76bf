import ArgumentParser
import CLIP
import CLIPSearch
import Files

#if canImport(Glibc)
    @preconcurrency import Glibc
#elseif canImport(Musl)
    @preconcurrency import Musl
#else
    import Darwin
#endif

/// A session of `clip search --interactive`: queries are read from standard input, one per line.
struct InteractiveSearch {
    private var options: Search
    private var target: SearchTarget
    /// The states of the files of the index when it was opened; nil for a file of vectors.
    private var states: FolderIndex.FileStates?
    /// The matches of the last query, which `:like` refers to.
    private var last: [FolderIndex.Match] = []
    private let input = InputFile()
    /// The drawing of thumbnails, if the terminal allows it.
    private var preview: Preview?
    private var isPreviewing: Bool

    /// The largest length of a line, in bytes.
    private static let longestLine = 1 << 20

    static let help = """
        QUERY          search for a text or an image file; + and - stand between several of them
        "A + B"        search for a text with a sign or a quotation mark in it
        :like N        search for images like match N of the last result
        :preview       draw thumbnails, or stop to draw them
        :top N         print at most N matches
        :under FOLDER  search only images in FOLDER; without FOLDER, in all folders
        :since DATE    search only files modified at or after DATE; without DATE, of any time
        :before DATE   search only files modified before DATE; without DATE, of any time
        :help          print this list
        :quit          end the session (so does Ctrl-D)
        """

    /// Opens the index and loads the model.
    init(_ options: Search) throws {
        self.options = options
        isPreviewing = options.previews.isGiven
        preview = options.previews.drawing(isQuiet: options.common.quiet)
        states = FolderIndex.fileStates(in: options.place().root)
        target = try options.openTarget()
    }

    /// Answers the lines of standard input to their end.
    ///
    /// An error of one line is reported and does not end the session.
    ///
    /// - Throws: `Failure` if standard input cannot be read.
    mutating func run() throws {
        let isPrompting = isatty(0) == 1 && errorsAreTerminal
        if isPrompting && !options.common.quiet {
            note(
                """
                clip: search: \(counted(try target.count, "image")); type a query, or :help
                """)
        }
        while true {
            flushOutput()
            if isPrompting { fputs("> ", stderr) }
            guard let line = try nextLine() else { break }
            do {
                if try !answer(line) { return }
            } catch {
                flushOutput()
                report(message(of: error))
            }
        }
        if isPrompting { fputs("\n", stderr) }
    }

    private func message(of error: any Error) -> String {
        error is ValidationError
            ? "\((error as? ValidationError)?.message ?? "")" : Hints.line(error)
    }

    /// Returns the next line; nil at the end of standard input.
    private func nextLine() throws -> [UInt8]? {
        do throws(FileError) {
            return try input.read(upTo: UInt8(ascii: "\n"), limit: Self.longestLine)
        } catch {
            throw Failure("cannot read standard input: \(error.reason)")
        }
    }

    /// Answers a line; returns false if it ends the session.
    private mutating func answer(_ bytes: [UInt8]) throws -> Bool {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Failure("the line is not UTF-8")
        }
        let words = text.split(whereSeparator: \.isWhitespace)
        guard let first = words.first else { return true }
        if first.hasPrefix(":") {
            let rest = text.drop(while: \.isWhitespace).dropFirst(first.count)
            return try command(String(first), Self.trimmed(rest))
        }
        try search(Search.terms(of: SearchQuery.quotedWords(ofLine: text)), named: text)
        return true
    }

    /// Runs a line that begins with a colon; returns false if it ends the session.
    private mutating func command(_ name: String, _ argument: String) throws -> Bool {
        func number() throws -> Int {
            guard let number = Int(argument), number > 0 else {
                throw Failure("\(name) needs a number of at least 1, such as \(name) 5")
            }
            return number
        }
        switch name {
        case ":quit", ":q": return false
        case ":help": printBytes(Array((Self.help + "\n").utf8))
        case ":preview":
            guard outputIsTerminal else { throw Failure("standard output is not a terminal") }
            isPreviewing.toggle()
            if isPreviewing && preview == nil {
                options.previews.preview = true
                preview = options.previews.drawing(isQuiet: false)
            }
        case ":top": options.top = try number()
        case ":under", ":since", ":before": try filter(name, argument)
        case ":like":
            let number = try number()
            guard number <= last.count else {
                throw Failure(
                    last.isEmpty
                        ? "there is no result yet that \(name) could refer to"
                        : "the last result has no match \(number), but \(last.count)")
            }
            try search(like: last[number - 1])
        default: throw Failure("unknown command \(name); :help lists the commands")
        }
        return true
    }

    /// Changes a filter of the session, or removes it if the argument is empty.
    private mutating func filter(_ name: String, _ argument: String) throws {
        if let layout = EmbeddingTable.layout(of: FilePath(argument: options.index)) {
            throw Failure("\(name) needs an indexed folder, not \(layout.description)")
        }
        let value = argument.isEmpty ? nil : argument
        var changed = options
        switch name {
        case ":under": changed.filters.under = value
        case ":since": changed.filters.since = try value.map { try date($0, of: name) }
        default: changed.filters.before = try value.map { try date($0, of: name) }
        }
        try changed.filters.validate()
        let now = FolderIndex.fileStates(in: target.place.root)
        target = try changed.openTarget(reusing: target)
        (options, states) = (changed, now)
    }

    private func date(_ text: String, of name: String) throws -> LocalDate {
        do {
            return try LocalDate(option: text)
        } catch let error as ValidationError {
            throw Failure("\(name) \(text): \(error.message)")
        }
    }

    /// Returns a text without the white space around it and, if it has both, its quotation marks.
    private static func trimmed(_ text: Substring) -> String {
        let start = text.drop(while: \.isWhitespace)
        let end = start.lastIndex { !$0.isWhitespace }
        guard let first = start.first, let end else { return "" }
        let whole = start[...end]
        let isQuoted = whole.count > 1 && (first == "\"" || first == "'") && whole.last == first
        return String(isQuoted ? whole.dropFirst().dropLast() : whole)
    }

    private mutating func search(_ terms: [SearchQuery.Term], named name: String) throws {
        try reopenIfChanged()
        try show(try target.vector(of: terms, options), named: name)
    }

    /// Searches for images like a match, whose file is read by the bytes of its path.
    private mutating func search(like match: FolderIndex.Match) throws {
        try reopenIfChanged()
        let decoding = options.images.decoding(for: target.model.preprocessor)
        let image = try Sample(file: match.file).image(decoding)
        let vector = try target.model.encode(images: [image]).normalized()[0]
        try show(Array(vector), named: match.path)
    }

    private mutating func show(_ vector: [Float], named name: String) throws {
        let matches = try target.search(
            vector, top: options.top, threshold: options.threshold)
        guard !matches.isEmpty else { return try options.noteNothingFound(for: vector, in: target) }
        last = matches
        let trimmed = name.split(whereSeparator: \.isNewline).joined(separator: " ")
        options.show(
            matches, of: target, query: trimmed, preview: isPreviewing ? preview : nil)
        // An empty line separates results.
        if !options.json { printBytes([UInt8(ascii: "\n")]) }
    }

    /// Opens the index again if an update has changed it; the model is loaded again only if the
    /// index has another one.
    private mutating func reopenIfChanged() throws {
        let now = FolderIndex.fileStates(in: target.place.root)
        guard let now, now != states else { return }
        target = try options.openTarget(reusing: target)
        states = now
    }
}
