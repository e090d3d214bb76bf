import CLIPAnalysis
import CLIPSearch
import Files

/// Prints groups of similar images for `clip dedupe`.
struct DedupeOutput {
    enum Form { case text, json, paths, nulTerminated }

    let vectors: Vectors
    let form: Form

    func show(_ group: DuplicateSearch.Group, isFirst: Bool) {
        switch form {
        case .text: showText(group, isFirst: isFirst)
        case .json:
            printLine(
                .object([
                    "kept": object(group.kept, nil),
                    "duplicates": .array(group.members.map { object($0.row, $0) }),
                ]))
        case .paths, .nulTerminated:
            for member in group.members where isShown(member) {
                let name = vectors.names[member.row]
                printBytes(
                    form == .nulTerminated
                        ? name.bytes + [0] : TerminalText.shown(name) + [UInt8(ascii: "\n")])
            }
        }
    }

    /// True if `--paths` and `-0` print a member of a group.
    ///
    /// The paths may go to a command that deletes files, so images of an index that are similar but
    /// not duplicates are omitted. For a file of vectors, whose images are not compared, all
    /// members are printed.
    private func isShown(_ member: DuplicateSearch.Member) -> Bool {
        member.isDuplicate || vectors.images == nil
    }

    private func object(_ row: Int, _ member: DuplicateSearch.Member?) -> JSONValue {
        var members: [JSONValue.Member] = [("path", .path(vectors.names[row]))]
        if let images = vectors.images {
            members.append(("width", .integer(images[row].width)))
            members.append(("height", .integer(images[row].height)))
        }
        guard let member else { return .object(members) }
        members.append(("cosine", .float(member.cosine)))
        if vectors.images != nil {
            members.append(("identical", .bool(member.verdict == .identical)))
            members.append(("duplicate", .bool(member.isDuplicate)))
        }
        return .object(members)
    }

    private func showText(_ group: DuplicateSearch.Group, isFirst: Bool) {
        func line(_ word: String, _ row: Int, _ verdict: String = "") {
            let size = vectors.images.map { "\t\($0[row].width)x\($0[row].height)" } ?? ""
            printBytes(
                Array("\(word)\(size)\t".utf8) + TerminalText.shown(vectors.names[row])
                    + Array("\(verdict)\n".utf8))
        }
        if !isFirst { print() }
        line("kept", group.kept)
        for member in group.members {
            let verdict = vectors.images == nil ? "" : "\t\(Self.word(member))"
            line(fixed(member.cosine, 4), member.row, verdict)
        }
    }

    private static func word(_ member: DuplicateSearch.Member) -> String {
        switch member.verdict {
        case .identical, .duplicate: "duplicate"
        case .similar: "similar"
        case .changed where member.changedRow != member.row:
            "similar, the kept image has changed since it was indexed"
        case .changed: "similar, changed since it was indexed"
        case .unreadable: "similar, cannot be decoded"
        }
    }

    /// Returns a message for each reason for which images of an index are not compared.
    static func omissions(_ names: IndexedNames?, _ vectors: Vectors) -> [String] {
        guard let names, let folder = vectors.index?.folder else { return [] }
        func images(_ rows: Set<Int>, _ one: String, _ many: String) -> String? {
            rows.isEmpty ? nil : "\(counted(rows.count, "image")) \(rows.count == 1 ? one : many)"
        }
        return [
            images(names.gone, "is", "are").map { "\($0) missing: run clip index \(folder)" },
            images(names.links, "is a link", "are links").map {
                "\($0) (symbolic or hard) and not compared"
            },
        ].compactMap(\.self)
    }

    /// Returns a summary such as "3 of 20 images are duplicates of 2 that are kept; 4 more are
    /// similar and kept", or "no duplicates among 20 images".
    static func summary(_ groups: [DuplicateSearch.Group], _ vectors: Vectors) -> String {
        let members = groups.flatMap(\.members)
        let count = vectors.names.count
        guard vectors.images != nil else {
            guard !members.isEmpty else { return "no similar images among \(count)" }
            return """
                \(members.count) of \(count) images \(isOrAre(members.count)) similar to \
                \(groups.count) that \(isOrAre(groups.count)) kept
                """
        }
        let duplicates = members.count { $0.isDuplicate }
        let kept = groups.count { $0.members.contains(where: \.isDuplicate) }
        let similar = members.count - duplicates
        let rest = "\(isOrAre(similar)) similar and kept"
        guard duplicates > 0 else {
            let none = "no duplicates among \(counted(count, "image"))"
            return similar > 0 ? "\(none); \(similar) \(rest)" : none
        }
        var words = "\(duplicates) of \(count) images \(isOrAre(duplicates)) "
        words += duplicates == 1 ? "a duplicate" : "duplicates"
        words += " of \(kept) that \(isOrAre(kept)) kept"
        if similar > 0 { words += "; \(similar) more \(rest)" }
        return words
    }

    static func isOrAre(_ count: Int) -> String { count == 1 ? "is" : "are" }
}
