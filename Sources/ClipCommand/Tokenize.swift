import ArgumentParser
import CLIP

struct Tokenize: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the ids that texts become.",
        discussion: """
            One JSON array a text: start (49406), the text, end (49407). Without texts, the lines of \
            standard input are taken.
            """)

    @Argument(help: ArgumentHelp("Texts.", valueName: "text"))
    var texts: [String] = []

    @Flag(help: "Fill up to 77 ids with 0.")
    var pad = false

    @Flag(help: "Cut texts of more than 77 ids instead of refusing them.")
    var truncate = false

    @Flag(help: "Print an object of text and ids for each.")
    var json = false

    @OptionGroup var common: CommonOptions

    func run() throws {
        let tokenizer = BPETokenizer()
        let contextLength = 77
        var failures = 0

        func show(_ text: String) {
            do throws(CLIPError) {
                var ids = try tokenizer.tokenize(
                    text, contextLength: contextLength, truncating: truncate)
                if pad { ids += [Int](repeating: 0, count: contextLength - ids.count) }
                let array = JSON.array(ids.map { .integer($0) })
                print(json ? JSON.object(["text": .string(text), "ids": array]) : array)
            } catch {
                report(error)
                failures += 1
            }
        }
        texts.forEach(show)
        if texts.isEmpty {
            while let line = readLine() { show(line) }
        }
        if failures > 0 { throw ExitCode(1) }
    }
}
