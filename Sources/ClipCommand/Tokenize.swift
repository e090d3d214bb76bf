import ArgumentParser
import CLIP
import Files

struct Tokenize: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the token ids of texts.",
        usage: "clip tokenize [<options>] [<text> ...]",
        discussion: """
            Prints one JSON array per text: start token, the text's tokens, end token. For CLIP, \
            start and end are 49406 and 49407; SigLIP has no start token. Without texts, reads \
            standard input, one text per line; with -0, texts end with NUL. --tokenizer open_clip \
            differs from openai only in the names of the special tokens. Without --model, the \
            vocabulary is CLIP's; SigLIP, SigLIP 2 and MetaCLIP 2 have others.

            Examples:
              clip tokenize "a photo of a cat"
              clip tokenize --count "a photo of a cat" "a photo of a dog"
              clip tokenize --model tiny --pad "a photo of a cat"
            """)

    @Argument(
        help: ArgumentHelp(
            "Tokenize these texts. (default: the lines of standard input)", valueName: "text"))
    var texts: [String] = []

    @Option(
        name: [.customShort("m"), .long],
        help: ArgumentHelp(
            "Use the tokenizer and the context length of this model. (default: CLIP's)",
            valueName: "name"),
        completion: .model)
    var model: String?

    @Flag(
        help: """
            Pad to the context length, 77 for CLIP, with the tokenizer's id for padding: for CLIP \
            0, or 49407 if --tokenizer is hf.
            """)
    var pad = false

    @Flag(
        name: [.customShort("0"), .customLong("null")],
        help: "Read the texts on standard input as NUL-terminated instead of as lines.")
    var nulTerminated = false

    @Flag(help: "Truncate texts of more ids than the context length instead of rejecting them.")
    var truncate = false

    @Flag(help: "Accept texts of any length, even beyond the context length.")
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
        let (tokenizer, contextLength) = try chosen()
        let limit = noLimit ? Int.max : contextLength
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

    /// Returns the tokenizer and the number of positions of the model, or of CLIP.
    private func chosen() throws -> (Tokenizer, contextLength: Int) {
        guard let model else {
            let rules = tokenizerOptions.rules ?? .openAI
            guard let own = rules.ofBytePairs else {
                throw ValidationError(
                    "--tokenizer \(rules.rawValue) needs --model, because CLIP has no such rules.")
            }
            return (.bytePairs(BPETokenizer(rules: own)), 77)
        }
        let found = try ModelOptions.inspect(model, activation: nil, common).model
        return (
            try found.following(tokenizer: tokenizerOptions.rules).tokenizer,
            found.configuration.text.contextLength
        )
    }
}
