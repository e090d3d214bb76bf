import ArgumentParser
import CLIP
import Files

struct Tokenize: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the token ids of texts.",
        usage: "clip tokenize [<options>] [<text> ...]",
        discussion: """
            One JSON array a text: start (49406), the text, end (49407). Without texts, the lines of \
            standard input are taken, or with -0 the parts that end with NUL.

            Examples:
              clip tokenize "a photo of a cat"
              clip tokenize --count "a photo of a cat" "a photo of a dog"
            """)

    @Argument(help: ArgumentHelp("Texts.", valueName: "text"))
    var texts: [String] = []

    @Flag(help: "Pad to 77 ids: with 0, or by Hugging Face's rules with 49407.")
    var pad = false

    @Flag(
        name: [.customShort("0"), .customLong("null")],
        help: "Texts of standard input end with NUL, as find -print0 writes.")
    var nulTerminated = false

    @Flag(help: "Cut texts of more than 77 ids instead of refusing them.")
    var truncate = false

    @Flag(help: "Allow texts of any length, longer than models take.")
    var noLimit = false

    @Flag(help: "Print the number of ids, start and end included, instead of the ids.")
    var count = false

    @Flag(help: "Print a JSON object with text and ids for each text.")
    var json = false

    @OptionGroup var tokenizerOptions: TokenizerOptions
    @OptionGroup var common: CommonOptions

    func validate() throws {
        if truncate && noLimit {
            throw ValidationError("--truncate and --no-limit exclude each other.")
        }
        if nulTerminated && !texts.isEmpty {
            throw ValidationError("-0 is for texts of standard input, not for those given.")
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
                var number = 1
                while let line = try readLine(number: number) {
                    show(line)
                    number += 1
                }
            }
        }
        if failures > 0 { throw ExitCode(1) }
    }
}
