import ArgumentParser
import CLIP
import Files

struct Tokenize: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the token ids of texts.",
        usage: "clip tokenize [<options>] [<text> ...]",
        discussion: """
            Prints one JSON array per text: start (49406), the text's tokens, end (49407). Without \
            texts, reads standard input, one text per line; with -0, texts end with NUL. \
            --tokenizer open_clip differs from openai only in the names of the special tokens.

            Examples:
              clip tokenize "a photo of a cat"
              clip tokenize --count "a photo of a cat" "a photo of a dog"
            """)

    @Argument(
        help: ArgumentHelp(
            "Tokenize these texts. (default: the lines of standard input)", valueName: "text"))
    var texts: [String] = []

    @Flag(help: "Pad to 77 ids with 0, or with 49407 if --tokenizer is hf.")
    var pad = false

    @Flag(
        name: [.customShort("0"), .customLong("null")],
        help: "Read the texts on standard input as NUL-terminated instead of as lines.")
    var nulTerminated = false

    @Flag(help: "Truncate texts of more than 77 ids instead of rejecting them.")
    var truncate = false

    @Flag(help: "Accept texts of any length, even beyond the models' 77 ids.")
    var noLimit = false

    @Flag(help: "Print only the number of ids, including start and end.")
    var count = false

    @Flag(help: "Print JSON Lines with text and ids, or text and count with --count.")
    var json = false

    @OptionGroup var tokenizerOptions: TokenizerOptions
    @OptionGroup var common: CommonOptions

    func validate() throws {
        if truncate && noLimit {
            throw ValidationError("--truncate and --no-limit cannot be combined.")
        }
        if nulTerminated && !texts.isEmpty {
            throw ValidationError("-0 applies to standard input, not to texts on the command line.")
        }
    }

    func run() throws {
        let tokenizer = tokenizerOptions.tokenizer
        let (contextLength, limit) = (77, noLimit ? Int.max : 77)
        let (pad, truncate, count, json) = (pad, truncate, count, json)
        var failures = 0

        func show(_ text: String) {
            do throws(CLIPError) {
                var ids = try tokenizer.tokenize(
                    text, contextLength: limit, truncating: truncate)
                if pad { ids = tokenizer.padded(ids, to: contextLength) }
                let shown = count ? JSONValue.integer(ids.count) : .array(ids.map { .integer($0) })
                let key = count ? "count" : "ids"
                printLine(json ? .object(["text": .string(text), key: shown]) : shown)
            } catch {
                report(error)
                failures += 1
            }
        }
        texts.forEach(show)
        if texts.isEmpty {
            if nulTerminated {
                try readNULTerminated("-").forEach(show)
            } else {
                var lines = StandardInputLines()
                while let line = try lines.next() { show(line) }
            }
        }
        if failures > 0 { throw ExitCode(1) }
    }
}
