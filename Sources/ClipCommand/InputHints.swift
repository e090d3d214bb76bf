import Files
import ArgumentParser
import CLIPSearch

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Checks for inputs that `clip` cannot read, such as URLs, with advice on how to read them.
enum InputHints {
    static let imageSuffixes: Set<String> = [
        "avif", "bmp", "gif", "heic", "jfif", "jpe", "jpeg", "jpg", "png", "tif", "tiff", "webp",
    ]

    private static let unpackers = [
        "gz": "zcat", "tgz": "zcat", "xz": "xzcat", "txz": "xzcat", "bz2": "bzcat", "tbz2": "bzcat",
        "zst": "zstdcat", "tzst": "zstdcat",
    ]

    /// Rejects URLs and, unless `command` is nil, compressed archives.
    ///
    /// The error has a command that fetches the URL or unpacks the archive.
    ///
    /// - Parameters:
    ///   - inputs: The inputs of the command line.
    ///   - command: The subcommand that can read the content from standard input; nil if none can.
    /// - Throws: `ValidationError` for such an input.
    static func check(_ inputs: [String], streamedBy command: String?) throws {
        for input in inputs {
            if isURL(input), !FileManager.default.fileExists(atPath: input) {
                let advice =
                    command.map { "curl -sL \(quoted(input)) | clip \($0) -" }
                    ?? "curl -LO \(quoted(input))"
                throw ValidationError("unsupported: \(input) is a URL; run \(advice)")
            }
            let name = input.lowercased()
            let isArchive = ["gz", "xz", "bz2", "zst"].contains { name.hasSuffix(".tar.\($0)") }
            let suffix = FilePath(input).pathExtension
            if let unpack = unpackers[suffix], isArchive || suffix.hasPrefix("t"), let command {
                throw ValidationError(
                    """
                    unsupported: \(input) is compressed; run \(unpack) \(quoted(input)) | clip \
                    \(command) -
                    """)
            }
        }
    }

    /// True if an input is more likely a text than the path of a missing file.
    static func isText(_ input: String) -> Bool {
        let suffix = FilePath(input).pathExtension
        return input != "-" && suffix != "tar" && !imageSuffixes.contains(suffix)
            && !input.contains(where: { "*?[/".contains($0) })
            && !FileManager.default.fileExists(atPath: input)
    }

    private static func isURL(_ input: String) -> Bool {
        guard let end = input.firstRange(of: "://")?.lowerBound else { return false }
        return end > input.startIndex
            && input[..<end].allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) }
    }

    /// Returns a word quoted for the shell, if necessary.
    private static func quoted(_ word: String) -> String {
        let isPlain = word.allSatisfy {
            $0.isASCII && ($0.isLetter || $0.isNumber || "/._-:@%+=,".contains($0))
        }
        return isPlain ? word : "'" + word.replacing("'", with: "'\\''") + "'"
    }
}
