import ArgumentParser
import CLIP
import CLIPServer

#if canImport(Glibc)
    @preconcurrency import Glibc
#elseif canImport(Musl)
    @preconcurrency import Musl
#else
    import Darwin
#endif

struct Worker: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Encode images and texts for another program, over pipes.",
        discussion: #"""
            Reads framed requests from standard input, image files or texts with an id, and \#
            writes one reply of fixed size per request to standard output, in the same order: a \#
            vector, or the reason why there is none. The article WorkerProtocol in the \#
            documentation describes the protocol, with a client in Python.

            The model is loaded once. Many requests may be in flight; a reply never waits for \#
            requests that have not come yet. The vectors equal those of clip encode bit for bit. \#
            A broken image is a reply, not a failure. The worker ends with status 0 at the end of \#
            its input, and with status 1 after a violation of the protocol.

            The replies need a model that --model, CLIP_MODEL or clip pull --default names, or \#
            ViT-B/32 (clip pull ViT-B/32).

            Examples:
              clip worker -m tiny < <(printf 'CLIPWORK\1\0\0\0\14\0\0\0request1\2cat') > out
            """#)

    @Flag(help: "Send vectors as the model computes them, without L2 normalisation.")
    var noNormalize = false

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Accept images and texts of up to SIZE bytes; larger ones end the worker.",
            valueName: "size"))
    var maxRequestSize = ByteCount(EncodingWorker.defaultLargestPayload)

    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions
    @OptionGroup var texts: TextOptions
    @OptionGroup var images: ImageOptions

    func validate() throws {
        guard (1...EncodingWorker.payloadLimit).contains(maxRequestSize.bytes) else {
            throw ValidationError(
                """
                --max-request-size must be 1 to \(EncodingWorker.payloadLimit) bytes, not \
                \(maxRequestSize).
                """)
        }
    }

    func run() throws {
        for (descriptor, name) in [(Int32(0), "input"), (1, "output")] where isatty(descriptor) == 1
        {
            throw Failure(
                """
                standard \(name) is a terminal, but other programs use clip worker, over pipes; \
                the article WorkerProtocol in the documentation describes how
                """, status: 2)
        }
        // Before any thread starts.
        Interruption.prepare()
        // A write to a client that has gone then fails, and the error says so.
        signal(SIGPIPE, SIG_IGN)
        shareFreedMemory()
        let model = try self.model.load(texts, images, common, for: .record("clip worker"))
        // Rules that the tokenizer does not have are wrong usage, not an error of each text.
        if texts.rules != nil { _ = try model.tokenizer }
        var worker = EncodingWorker(model: model)
        worker.decoding = images.decoding(for: model.preprocessor)
        worker.truncatesTexts = texts.truncate
        worker.isNormalized = !noNormalize
        worker.largestPayload = maxRequestSize.bytes
        worker.describe = { Hints.line($0) }
        try worker.run()
    }
}
