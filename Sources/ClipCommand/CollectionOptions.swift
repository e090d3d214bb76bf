import Files
import ArgumentParser
import CLIP
import CLIPSearch

/// The images of a collection, and what becomes of those that fail.
struct CollectionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            Take the inputs that a file names, one a line; - is standard input. Repeat the option \
            for more.
            """, valueName: "file"),
        completion: .file())
    var filesFrom: [String] = []

    @Flag(
        name: [.customShort("0"), .customLong("null")],
        help: "Names in --files-from and standard input end with NUL, as find -print0 writes.")
    var isNULTerminated = false

    @Option(
        help: ArgumentHelp(
            "Take one in every N inputs, from the Ith on, as one of N machines: 1/4 to 4/4.",
            valueName: "i/n"))
    var shard: Shard?

    @Option(
        help: ArgumentHelp(
            "Also write each failure to FILE, as a JSON object with path and reason.",
            valueName: "file"),
        completion: .file())
    var errors: String?

    @Flag(help: "Stop at the first input that fails.")
    var strict = false

    struct Shard: ExpressibleByArgument {
        let index: Int
        let count: Int

        init?(argument: String) {
            let parts = argument.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 2, let index = Int(parts[0]), let count = Int(parts[1]),
                count > 0, (1...count).contains(index)
            else { return nil }
            (self.index, self.count) = (index, count)
        }

        /// Whether it has the input of an ordinal number, from 0 on.
        func contains(_ number: Int) -> Bool { number % count == index - 1 }
    }

    /// Whether nothing is asked for that one image has no use for.
    var isDefault: Bool { filesFrom.isEmpty && shard == nil && errors == nil && !strict }

    /// Where images come from.
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
    /// A path as it was given to the command: its own bytes, which Swift repairs if they are not UTF-8.
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

/// A job over a collection: how far it is, and what failed.
final class CollectionJob {
    let options: CollectionOptions
    private let progress: JobProgress
    private(set) var failures = 0
    /// Image files of formats that are not read.
    private var skipped = SkippedFormats()
    /// What failed, as long as it is not too much to list.
    private var listed: [String] = []
    /// All that failed, in JSON Lines.
    private var log: LineFile?
    /// How many inputs came, those of other machines included.
    private var number = 0

    private static let listLimit = 1000

    init(_ options: CollectionOptions, _ common: CommonOptions, name: String) {
        self.options = options
        progress = JobProgress(name, isQuiet: common.quiet)
    }

    /// Begins the list of failures, once it is certain that there is something to do; does it; says what
    /// failed, however it ends.
    func perform(_ body: () throws -> Void) throws {
        log = try options.errors.map { try LineFile(FilePath(argument: $0)) }
        do {
            try body()
        } catch {
            try? report()
            throw error
        }
        try report()
    }

    /// True if the job ends at its first failure and has had one.
    var isStopped: Bool { options.strict && failures > 0 }

    /// Whether the next input is for this machine.
    func takesNext() -> Bool {
        number += 1
        return options.shard?.contains(number - 1) ?? true
    }

    /// Notes an input that failed.
    ///
    /// - Throws: An error of the file of failures.
    func fail(_ name: FilePath, _ error: CLIPError) throws {
        failures += 1
        let line = Hints.line(error)
        if listed.count < Self.listLimit { listed.append(line) }
        let object = JSON.object(["path": .path(name), "reason": .string(line)])
        try log?.write(object.bytes + [UInt8(ascii: "\n")])
        progress.advance()
    }

    /// Notes an input that is done.
    func advance() { progress.advance() }

    /// The vectors of all images, in order.
    ///
    /// - Parameters:
    ///   - sample: how many of the inputs to take at random, if not all of them.
    ///   - isDone: whether an image needs no vector any more.
    ///   - receive: takes each image with its vector.
    func run(
        _ sources: [ImageCollection.Source], _ model: CLIPModel,
        _ decoding: RGBImage.DecodingOptions, sample: SampleOptions? = nil,
        isDone: (Sample) -> Bool = { _ in false }, receive: (Sample, [Float]) throws -> Void
    ) throws {
        var collection = ImageCollection(sources)
        var drawn: ArraySlice<Sample>?
        if let sample, let size = sample.sample {
            var reservoir = Reservoir<Sample>(size: size, seed: sample.seed)
            while let input = collection.next() { if takesNext() { reservoir.add(input) } }
            drawn = reservoir.elements[...]
            progress.start()
        } else {
            progress.count(sources, share: options.shard?.count ?? 1)
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
                // What comes after the first failure is left to the next run.
                if isStopped { break }
            }
        }
    }

    private func report() throws {
        progress.finish()
        if number == 0 && failures == 0 { progress.say("nothing was found") }
        if skipped.total > 0 { progress.say("\(skipped)") }
        for line in listed { ClipCommand.report(line) }
        if failures > listed.count {
            let rest = failures - listed.count
            note("clip: and \(rest) more" + (log == nil ? "; --errors FILE lists all" : ""))
        }
        try log?.flush()
    }
}
