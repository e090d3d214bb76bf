import Files
import CLIPSearch

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Labels from a file or the command line, checked.
enum Labels {
    /// Labels from a file, one a line; duplicates stay, with a warning.
    ///
    /// - Throws: `Failure` if there are fewer than two.
    static func read(_ path: String, _ common: CommonOptions) throws -> [String] {
        let labels = try readLines(path).filter { !$0.allSatisfy(\.isWhitespace) }
        let name = path == "-" ? "standard input" : path
        guard labels.count >= 2 else {
            throw Failure(
                "\(name) must have at least two labels, one a line; it has \(labels.count)",
                status: 2)
        }
        if let label = firstDuplicate(labels), !common.quiet {
            note(
                """
                clip: warning: \(name) has "\(label)" more than once; labels that are the same share \
                their probability
                """)
        }
        return labels
    }

    /// Checks labels that stand on the command line after the image.
    ///
    /// - Throws: `Failure` with status 2 for what cannot be meant.
    static func check(_ labels: [String], _ common: CommonOptions) throws {
        guard labels.count >= 2 else {
            throw Failure(
                "give at least two labels after the image, not \(labels.count)", status: 2)
        }
        if let index = labels.firstIndex(where: { $0.allSatisfy(\.isWhitespace) }) {
            throw Failure(
                "label \(index + 1) is empty; is a variable of the shell unset?", status: 2)
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
                clip: warning: the label "\(label)" contains {}; a second prompt needs its own \
                --template
                """)
        }
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
