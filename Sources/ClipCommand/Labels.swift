import CLIP
import Files
import CLIPSearch

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Reads and checks labels from a file or the command line.
enum Labels {
    /// Reads labels from a file, one per line; duplicates are kept, with a warning.
    ///
    /// Blank lines are skipped.
    ///
    /// - Throws: `Failure` if there are fewer than two labels or the file is not UTF-8; `CLIPError`
    ///   if the file cannot be read.
    static func read(_ path: String, _ common: CommonOptions) throws -> [String] {
        let labels = try readLines(path).filter { !$0.allSatisfy(\.isWhitespace) }
        let name = path == "-" ? "standard input" : path
        guard labels.count >= 2 else {
            throw Failure(
                "expected at least two labels in \(name), one per line; found \(labels.count)",
                status: 2)
        }
        if let label = firstDuplicate(labels), !common.quiet {
            note(
                """
                clip: warning: \(name) has "\(label)" more than once; the probability is divided \
                among equal labels
                """)
        }
        return labels
    }

    /// Reads the names of a data set's classes from a file, one per line.
    ///
    /// Blank lines at the end are skipped. A blank line between names is rejected: to skip it would
    /// shift the integer labels of all classes after it.
    ///
    /// - Throws: `Failure` with status 2 for such a line, or if the file is not UTF-8; `CLIPError`
    ///   if the file cannot be read.
    static func readClassNames(_ path: String) throws -> [String] {
        var names = try readLines(path)
        while let last = names.last, last.allSatisfy(\.isWhitespace) { names.removeLast() }
        if let blank = names.firstIndex(where: { $0.allSatisfy(\.isWhitespace) }) {
            throw Failure(
                "--classes \(path): line \(blank + 1) is empty: expected the name of a class",
                status: 2)
        }
        return names
    }

    /// Checks the labels on the command line.
    ///
    /// - Throws: `Failure` with status 2 for fewer than two labels, and for labels that are empty,
    ///   equal or image files.
    static func check(_ labels: [String], _ common: CommonOptions) throws {
        guard labels.count >= 2 else {
            throw Failure(
                "expected at least two labels after the image; found \(labels.count)", status: 2)
        }
        if let index = labels.firstIndex(where: { $0.allSatisfy(\.isWhitespace) }) {
            throw Failure(
                "label \(index + 1) is empty; is a shell variable unset?", status: 2)
        }
        if let label = firstDuplicate(labels) {
            throw Failure("the label \"\(label)\" is given twice", status: 2)
        }
        if let label = labels.first(where: isImageFile) {
            throw Failure(
                """
                \(label) is an image file, not a label; to classify several images, give \
                --labels FILE and then the images
                """, status: 2)
        }
        if let label = labels.first(where: { $0.contains("{}") }), !common.quiet {
            note(
                """
                clip: warning: the label "\(label)" contains {}; a second template needs its own \
                --template
                """)
        }
    }

    /// Prints a warning if a model's tokenizer leaves nothing of a label: SigLIP's deletes
    /// punctuation.
    static func warnAboutEmptyOnes(
        _ labels: [String], _ model: CLIPModel, _ common: CommonOptions
    ) throws {
        guard !common.quiet else { return }
        let tokenizer = try model.tokenizer
        guard let label = labels.first(where: { tokenizer.encode($0).isEmpty }) else { return }
        note(
            """
            clip: warning: the label "\(label)" has no tokens, because the model's tokenizer \
            deletes all its characters
            """)
    }

    private static func firstDuplicate(_ labels: [String]) -> String? {
        var seen: Set<String> = []
        return labels.first { !seen.insert($0).inserted }
    }

    private static func isImageFile(_ label: String) -> Bool {
        InputHints.imageSuffixes.contains(FilePath(label).pathExtension)
            && FileManager.default.fileExists(atPath: label)
    }
}
