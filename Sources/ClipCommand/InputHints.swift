import Files
import ArgumentParser
import CLIPSearch

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Advice for inputs that cannot be read as they are.
enum InputHints {
    static let imageSuffixes: Set<String> = [
        "avif", "bmp", "gif", "heic", "jfif", "jpe", "jpeg", "jpg", "png", "tif", "tiff", "webp",
    ]

    private static let unpackers = [
        "gz": "zcat", "tgz": "zcat", "xz": "xzcat", "txz": "xzcat", "bz2": "bzcat", "tbz2": "bzcat",
        "zst": "zstdcat", "tzst": "zstdcat",
    ]

    /// Refuses URLs and compressed archives, with the command that makes them readable.
    ///
    /// - Parameter command: the subcommand that takes such an input as `-`; nil if none does.
    static func check(_ inputs: [String], streamedBy command: String?) throws {
        for input in inputs {
            if isURL(input), !FileManager.default.fileExists(atPath: input) {
                let advice =
                    command.map { "curl -sL \(quoted(input)) | clip \($0) -" }
                    ?? "curl -LO \(quoted(input))"
                throw ValidationError("\(input) is a URL, and clip reads files: \(advice)")
            }
            let name = input.lowercased()
            let isArchive = ["gz", "xz", "bz2", "zst"].contains { name.hasSuffix(".tar.\($0)") }
            let suffix = FilePath(input).pathExtension
            if let unpack = unpackers[suffix], isArchive || suffix.hasPrefix("t"), let command {
                throw ValidationError(
                    "\(input) is compressed: \(unpack) \(quoted(input)) | clip \(command) -")
            }
        }
    }

    /// Whether an input is more likely a text than a file that is missing.
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

    /// A word for the shell.
    private static func quoted(_ word: String) -> String {
        let isPlain = word.allSatisfy {
            $0.isASCII && ($0.isLetter || $0.isNumber || "/._-:@%+=,".contains($0))
        }
        return isPlain ? word : "'" + word.replacing("'", with: "'\\''") + "'"
    }
}
