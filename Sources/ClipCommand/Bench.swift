import Files
import ArgumentParser
import CLIP
import CLIPSearch

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure the speed of a tower, of preprocessing or of search.",
        discussion: """
            Times are for a whole batch, after two warm-up runs. The times of the towers exclude \
            tokenizing and preprocessing.

            Examples:
              clip bench --tower image --model tiny --repetitions 3
              clip bench --tower preprocess --image bike.jpg
            """)

    @Option(
        help: """
            Measure the image or text tower, preprocess (with --image) or search (with --index).
            """)
    var tower: Tower

    @Option(
        help: ArgumentHelp(
            "Measure --tower preprocess with the image in FILE, on one thread.", valueName: "file"),
        completion: .file())
    var image: String?

    @Option(
        help: ArgumentHelp(
            "Measure --tower search with the index of FOLDER: find the 10 best images.",
            valueName: "folder"),
        completion: .directory)
    var index: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Encode N images or texts at once.", valueName: "n"))
    var batch = 1

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            """
            Use texts of N tokens, including start and end. (default: the model's context length)
            """, valueName: "n"))
    var tokens: Int?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Measure N times. (default: at least 10 times and 2 seconds)",
            valueName: "n"))
    var repetitions: Int?

    @Flag(
        help: "Measure once per line of standard input, and print each time in milliseconds.")
    var onRequest = false

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions

    @OptionGroup var images: ImageOptions

    enum Tower: String, ExpressibleByArgument, CaseIterable {
        case image, text, preprocess, search
    }

    func validate() throws {
        for (name, value) in [("batch", batch), ("repetitions", repetitions ?? 1)]
        where !(1...10_000).contains(value) {
            throw ValidationError("--\(name) must be 1 to 10000, not \(value).")
        }
        if (tower == .preprocess) != (image != nil) {
            throw ValidationError("--tower preprocess and --image must be given together.")
        }
        if (tower == .search) != (index != nil) {
            throw ValidationError("--tower search and --index must be given together.")
        }
        if let tokens, tokens < 2 {
            throw ValidationError("--tokens must be at least 2, not \(tokens).")
        }
    }

    func run() throws {
        guard tower != .preprocess else {
            let preprocessor =
                try self.model.isGiven ? self.model.preprocessor(common) : ImagePreprocessor()
            return try measure(threads: 1, batch: 1, .fp32, nil) {
                _ = preprocessor(try images.read(image ?? "", for: preprocessor))
            }
        }
        if let index {
            let found = try FolderIndex(
                folder: FilePath(argument: index), threads: self.model.threading.wanted())
            let query = (0..<found.dimension).map { Float($0 % 17) - 8 }
            return try measure(threads: found.threads, batch: 1, found.precision, nil) {
                _ = try found.search(query, top: 10)
            }
        }
        let model = try self.model.load(common)
        let configuration = model.configuration
        let once: () throws -> Void
        switch tower {
        case .preprocess, .search: return
        case .image:
            let side = configuration.resolution
            // Dense, varying values; the time does not depend on them.
            let pixels = (0..<(batch * 3 * side * side)).map { Float($0 % 255) / 64 - 2 }
            once = { _ = try model.encode(pixels: pixels) }
        case .text:
            let rows = try rows(of: configuration.text)
            once = { _ = try model.encode(tokens: rows) }
        }
        try measure(
            threads: model.threads, batch: batch, model.precision, model.engine, once)
    }

    /// Returns a row of token ids for each text of the batch, with the end token last.
    ///
    /// Models that attend to padding fill the rows up to their context.
    private func rows(of text: CLIPConfiguration.Text) throws -> [[Int]] {
        let count = tokens ?? text.contextLength
        guard count <= text.contextLength else {
            throw Failure(
                "--tokens must be at most the model's \(text.contextLength), not \(count)",
                status: 2)
        }
        let last = text.vocabularySize - 1
        var end = last
        if case .first(let id) = text.pooling { end = id }
        return (0..<batch).map { row in
            let words = (0..<max(0, count - 2)).map { (row * 31 + $0 * 7) % max(1, last - 1) }
            return [last - 1] + words.map { $0 == end ? $0 + 1 : $0 } + [end]
        }
    }

    private func measure(
        threads: Int, batch: Int, _ precision: Precision, _ engine: Engine?,
        _ once: () throws -> Void
    ) throws {
        func milliseconds() throws -> Double {
            let start = ContinuousClock.now
            try once()
            let taken = (ContinuousClock.now - start).components
            return 1000 * Double(taken.seconds) + Double(taken.attoseconds) / 1e15
        }
        try once()
        try once()
        if onRequest {
            var requests = StandardInputLines()
            while try requests.next() != nil {
                print(try milliseconds())
                flushOutput()
            }
            return
        }
        var times: [Double] = []
        while repetitions.map({ times.count < $0 })
            ?? (times.count < 10 || times.reduce(0, +) < 2000)
        {
            times.append(try milliseconds())
            if times.count >= 10_000 { break }
        }
        times.sort()
        let (median, fastest) = (times[times.count / 2], times[0])
        let perSecond = 1000 * Double(batch) / median
        let instructionSet = CLIPModel.instructionSet
        let blas = engine == .native ? nil : engine.flatMap { _ in Engine.blasLibrary }
        guard json else {
            let words = blas.map { ", \(engine?.rawValue ?? ""): \($0.version) \($0.core)" } ?? ""
            print(
                """
                \(tower.rawValue), batch \(batch), \(counted(threads, "thread")), \
                \(precision.rawValue): median \(fixed(median, 2)) ms, fastest \
                \(fixed(fastest, 2)) ms, \(fixed(perSecond, 1)) a second, \
                \(fixed(peakMegabytes, 0)) MB at most (\(instructionSet)\(words))
                """)
            return
        }
        printLine(
            JSONValue.object([
                "tower": .string(tower.rawValue), "batch": .integer(batch),
                "precision": .string(precision.rawValue),
                "threads": .integer(threads), "median_ms": .number(median),
                "min_ms": .number(fastest), "per_second": .number(perSecond),
                "peak_rss_mb": .number(peakMegabytes), "isa": .string(instructionSet),
                "engine": engine.map { .string($0.rawValue) } ?? .null,
                "blas": .string(blas.map { $0.version } ?? "none"),
                "blas_core": blas.map { .string($0.core) } ?? .null,
            ]))
    }

    /// The peak resident memory of this process, in megabytes (10⁶ bytes).
    private var peakMegabytes: Double {
        var usage = rusage()
        #if os(Linux)
            getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
            return Double(usage.ru_maxrss) * 1024 / 1e6
        #else
            getrusage(RUSAGE_SELF, &usage)
            return Double(usage.ru_maxrss) / 1e6
        #endif
    }
}
