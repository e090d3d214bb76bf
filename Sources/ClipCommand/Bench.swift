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
        abstract: "Measure a tower, in this process.",
        discussion: "Times are of a whole batch, tokenizing and preprocessing left out.")

    @Option(
        help:
            "image or text; preprocess, of --image, on one thread; or search, of --index, for the best 10."
    )
    var tower: Tower

    @Option(
        help: ArgumentHelp("The image for --tower preprocess.", valueName: "file"),
        completion: .file())
    var image: String?

    @Option(
        help: ArgumentHelp("The indexed folder for --tower search.", valueName: "folder"),
        completion: .directory)
    var index: String?

    @Option(help: ArgumentHelp("Images or texts at once.", valueName: "n"))
    var batch = 1

    @Option(help: ArgumentHelp("Ids a text, start and end included.", valueName: "n"))
    var tokens = 77

    @Option(
        help: ArgumentHelp(
            "Measure N times. (default: at least 10 times and for 2 seconds)",
            valueName: "n"))
    var repetitions: Int?

    @Flag(
        help: """
            Measure once for every line of standard input and print the milliseconds, to alternate with \
            other programs.
            """)
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
            throw ValidationError("--tower preprocess and --image go together.")
        }
        if (tower == .search) != (index != nil) {
            throw ValidationError("--tower search and --index go together.")
        }
        if tokens < 2 { throw ValidationError("--tokens must be at least 2, not \(tokens).") }
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
            // A pattern that is neither constant nor sparse; its values do not matter to the time.
            let pixels = (0..<(batch * 3 * side * side)).map { Float($0 % 255) / 64 - 2 }
            once = { _ = try model.encode(pixels: pixels) }
        case .text:
            let limit = configuration.text.contextLength
            guard tokens <= limit else {
                throw Failure(
                    "--tokens must be at most the model's \(limit), not \(tokens)", status: 2)
            }
            let end = configuration.text.vocabularySize - 1
            let rows = (0..<batch).map { row in
                [end - 1] + (0..<(tokens - 2)).map { (row * 31 + $0 * 7) % (end - 1) } + [end]
            }
            once = { _ = try model.encode(tokens: rows) }
        }
        try measure(
            threads: model.threads, batch: batch, model.precision, model.engine, once)
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
            while readLine() != nil {
                print(try milliseconds())
                fflush(nil)
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
                \(tower.rawValue), batch \(batch), \(threads) threads, \
                \(precision.rawValue): median \(fixed(median, 2)) ms, fastest \
                \(fixed(fastest, 2)) ms, \(fixed(perSecond, 1)) a second, \
                \(fixed(peakMegabytes, 0)) MB at most (\(instructionSet)\(words))
                """)
            return
        }
        print(
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

    /// The most memory that this process has held, in units of 10⁶ bytes.
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
