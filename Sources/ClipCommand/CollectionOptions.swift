import Files
import ArgumentParser
import CLIP
import CLIPSearch

/// Options that select the inputs of a collection and determine how failures are handled.
struct CollectionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Read names of inputs from FILE, one per line; - is standard input; repeat for more.",
            valueName: "file"),
        completion: .file())
    var filesFrom: [String] = []

    @Flag(
        name: [.customShort("0"), .customLong("null")],
        help: "Read names in --files-from and on standard input as NUL-terminated (find -print0).")
    var isNULTerminated = false

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Process only inputs I, I + N, I + 2N, ...: the share of machine I of N.",
            valueName: "i/n"),
        transform: Shard.init(option:))
    var shard: Shard?

    @Option(
        help: ArgumentHelp(
            "Also write the inputs that fail to FILE, as JSON Lines with path and reason.",
            valueName: "file"),
        completion: .file())
    var errors: String?

    @Flag(help: "Stop at the first input that fails.")
    var strict = false

    @OptionGroup var folders: FolderOptions

    /// The part of the inputs for machine `index`, from 1, of `count` machines.
    struct Shard {
        let index: Int
        let count: Int

        /// Reads the value of `--shard`.
        ///
        /// - Throws: `ValidationError` that says which values are allowed.
        init(option: String) throws {
            if let shard = Shard(argument: option) {
                self = shard
                return
            }
            let parts = option.split(separator: "/", omittingEmptySubsequences: false)
            let count = parts.count == 2 ? Int(parts[1]) : nil
            guard let count, count > 0 else {
                throw ValidationError("expected I/N, such as 2/8 for the second of eight parts")
            }
            throw ValidationError(
                "expected 1/\(count)\(count == 1 ? "" : " to \(count)/\(count)")")
        }

        init?(argument: String) {
            let parts = argument.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 2, let index = Int(parts[0]), let count = Int(parts[1]),
                count > 0, (1...count).contains(index)
            else { return nil }
            (self.index, self.count) = (index, count)
        }

        /// True if the input at a position, counted from 0, belongs to this shard.
        func contains(_ position: Int) -> Bool { position % count == index - 1 }
    }

    /// True if none of `--files-from`, `--shard`, `--errors`, `--strict`, `--exclude` and
    /// `--hidden` is given, which do not apply to a single image.
    var isDefault: Bool {
        filesFrom.isEmpty && shard == nil && errors == nil && !strict && !folders.isGiven
    }

    /// Returns the sources of images: the arguments, then the lists of `--files-from`.
    func sources(_ inputs: [String]) -> [ImageCollection.Source] {
        inputs.map { input in
            input == "-"
                ? .standardInput(isNULTerminated: isNULTerminated)
                : .path(FilePath(argument: input))
        }
            + filesFrom.map { file in
                file == "-"
                    ? .standardInput(isNULTerminated: isNULTerminated)
                    : .list(FilePath(argument: file), isNULTerminated: isNULTerminated)
            }
    }
}

extension FilePath {
    /// Creates a path with the exact bytes of a command-line argument.
    ///
    /// Swift's argument strings have U+FFFD in place of bytes that are not UTF-8. For such an
    /// argument, the bytes are taken from the raw arguments of the process.
    init(argument: String) {
        if argument.unicodeScalars.contains("\u{FFFD}") {
            for index in 1..<Int(CommandLine.argc) {
                guard let raw = CommandLine.unsafeArgv[index] else { continue }
                if String(cString: raw) == argument {
                    var bytes: [UInt8] = []
                    var next = raw
                    while next.pointee != 0 {
                        bytes.append(UInt8(bitPattern: next.pointee))
                        next += 1
                    }
                    self.init(bytes)
                    return
                }
            }
        }
        self.init(argument)
    }
}

/// The encoding of a collection of inputs, with its progress and its failures.
final class CollectionJob {
    let options: CollectionOptions
    private let progress: JobProgress
    private let failed: FailureList
    /// The number of image files of each unsupported format.
    private var skipped = SkippedFormats()
    /// The number of inputs seen, including those of other shards.
    private var inputCount = 0

    /// The number of inputs that failed.
    var failures: Int { failed.count }

    init(_ options: CollectionOptions, _ common: CommonOptions, name: String) {
        self.options = options
        failed = FailureList(path: options.errors)
        progress = JobProgress(name, isQuiet: common.quiet)
    }

    /// Opens the file of `--errors`, runs a closure, and reports the inputs that failed, even if
    /// the closure throws.
    ///
    /// The file is replaced only here, when the job is certain to start.
    func perform(_ body: () throws -> Void) throws {
        try failed.perform(body) {
            progress.finish()
            if inputCount == 0 && failures == 0 { progress.say("no inputs found") }
            if skipped.total > 0 { progress.say("\(skipped)") }
        }
    }

    /// True if `--strict` is given and an input has failed.
    var isStopped: Bool { options.strict && failures > 0 }

    /// Counts the next input; returns true if it belongs to this shard.
    func takesNext() -> Bool {
        inputCount += 1
        return options.shard?.contains(inputCount - 1) ?? true
    }

    /// Records an input that failed.
    ///
    /// - Throws: `Failure` if the file of `--errors` cannot be written.
    func fail(_ name: FilePath, _ error: CLIPError) throws {
        try failed.add(name, Hints.line(error))
        progress.advance()
    }

    /// Counts an input as processed, for the progress line.
    func advance() { progress.advance() }

    /// Encodes the images of the sources in order, and records those that fail.
    ///
    /// Images of other shards, images outside the sample, and images that are already done are
    /// omitted. With `--strict`, encoding stops at the first failure.
    ///
    /// - Parameters:
    ///   - sources: The sources of images.
    ///   - model: The model.
    ///   - decoding: The options for decoding images.
    ///   - sample: The random choice of inputs; all inputs if nil or without `--sample`.
    ///   - isDone: A function that returns true for an image whose vector an earlier run has
    ///     written. It is not called if a sample is drawn.
    ///   - receive: A function that receives each image with its vector, on the calling thread.
    /// - Throws: Errors of `receive`, of the weights, or of the file of `--errors`.
    func run(
        _ sources: [ImageCollection.Source], _ model: CLIPModel,
        _ decoding: RGBImage.DecodingOptions, sample: SampleOptions? = nil,
        isDone: (Sample) -> Bool = { _ in false }, receive: (Sample, [Float]) throws -> Void
    ) throws {
        let rules = try options.folders.rules()
        var collection = ImageCollection(sources, rules: rules)
        var drawn: ArraySlice<Sample>?
        if let sample, let size = sample.sample {
            var reservoir = Reservoir<Sample>(size: size, seed: sample.seed)
            while let input = collection.next() { if takesNext() { reservoir.add(input) } }
            drawn = reservoir.elements[...]
            progress.start()
        } else {
            progress.count(sources, share: options.shard?.count ?? 1, rules: rules)
        }
        defer { skipped = collection.skipped }
        try withoutActuallyEscaping(isDone) { isDone in
            let inputs = AnyIterator<Sample> {
                if drawn != nil { return drawn?.popFirst() }
                while let sample = collection.next() {
                    guard self.takesNext() else { continue }
                    if !isDone(sample) { return sample }
                    self.progress.skip()
                }
                return nil
            }
            let encodings = model.encodings(
                of: IteratorSequence(inputs),
                decode: { sample throws(CLIPError) in try sample.image(decoding) })
            for encoded in encodings {
                switch encoded.embedding {
                case .success(let vector):
                    try receive(encoded.input, vector)
                    progress.advance()
                case .failure(let error) where error.isOfWeights: throw error
                case .failure(let error): try fail(encoded.input.name, error)
                }
                // With --strict, later inputs are left to the next run.
                if isStopped { break }
            }
        }
    }
}
