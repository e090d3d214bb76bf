import ArgumentParser
import CLIP
import CLIPAnalysis
import CLIPHub
import CLIPSearch
import Files
import Tensors

struct Probe: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Train a classifier on a model's embeddings with labelled images.",
        discussion: """
            With a few labelled images per class, a probe is usually more accurate than zero-shot \
            classification. The model itself is not changed.

            Examples:
              clip probe train classes.csv -o objects.probe.safetensors --model tiny
              clip zeroshot bike.jpg --probe objects.probe.safetensors
            """,
        subcommands: [ProbeTrain.self])
}

struct ProbeTrain: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Train a probe with labelled images, and write it to a file.",
        discussion: """
            DATA is a data set as for clip eval: a folder with one subfolder per class, a table \
            (.csv, .tsv, .jsonl) with a column of paths and one of labels, a WebDataset (a folder \
            or .tar), or a name such as wds/vtab/pets.

            Methods: linear is multinomial logistic regression on the embeddings, as the CLIP \
            paper evaluates models; zslinear starts from the texts of the classes (--template) and \
            is better with few examples; tip (Tip-Adapter) combines texts and examples without \
            training.

            Embeddings are cached in CLIP_HOME/features by the content of the images, so an \
            interrupted run continues and other methods need not encode again; the folder may be \
            removed at any time. The probe is used with the --preprocess, --decode and --reference \
            of its training. Images that cannot be used are listed, the probe is trained with the \
            others, and the exit status is 1. Without --model, an installed model is needed, for \
            example from clip pull ViT-B/32.

            Examples:
              clip probe train classes.csv -o objects.probe.safetensors --model tiny
              clip probe train classes.csv -o tip.safetensors --method tip -m tiny
              clip zeroshot bike.jpg --probe objects.probe.safetensors
            """)

    @Argument(
        help: ArgumentHelp("Train on this data set: a path or a name.", valueName: "data"),
        completion: .file())
    var data: String

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Write the probe to this safetensors file.", valueName: "file"),
        completion: .file(extensions: ["safetensors"]))
    var output: String

    @Option(help: "Train with this method: linear, zslinear or tip.")
    var method = StoredProbe.Method.linear

    @Option(
        name: .customLong("C"), parsing: .unconditional,
        help: ArgumentHelp(
            "Set C of linear, the inverse strength of its L2 penalty. (default: 0.316)",
            valueName: "c"))
    var inversePenalty: Double?

    @Flag(help: "Choose --C by the accuracy on held-out examples (linear).")
    var sweep = false

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Hold out this share of each class's examples for --sweep. (default: 0.2)",
            valueName: "share"))
    var validation: Double?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Train with K random examples of each class. (default: all)", valueName: "k"))
    var shots: Int?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Seed the random choices of --shots and --sweep.", valueName: "n"))
    var seed: UInt64 = 0

    @Option(help: "Train on this split.")
    var split = "train"

    @OptionGroup var classOptions: ClassOptions

    @Option(
        help: ArgumentHelp(
            "Also write the images that fail to FILE, as JSON Lines with path and reason.",
            valueName: "file"),
        completion: .file())
    var errors: String?

    @Flag(help: "Print a JSON summary.")
    var json = false

    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions
    @OptionGroup var textOptions: TextOptions
    @OptionGroup var images: ImageOptions

    func validate() throws {
        if output == "-" {
            throw ValidationError("a probe cannot be written to standard output; name a file.")
        }
        if let c = inversePenalty, !LinearProbe.cRange.contains(c) {
            throw ValidationError("--C must be 1e-10 to 1e10, not \(c).")
        }
        if split.isEmpty { throw ValidationError("--split must not be empty.") }
        if let validation, !(validation > 0 && validation < 1) {
            throw ValidationError("--validation must be between 0 and 1, not \(validation).")
        }
        if let shots, shots < 1 {
            throw ValidationError("--shots must be at least 1, not \(shots).")
        }
        if method != .linear && (inversePenalty != nil || sweep) {
            throw ValidationError("--C and --sweep need --method linear.")
        }
        if inversePenalty != nil && sweep {
            throw ValidationError("--C and --sweep cannot be combined.")
        }
        if validation != nil && !sweep { throw ValidationError("--validation needs --sweep.") }
        if method == .linear && classOptions.hasTemplates {
            throw ValidationError("--template and --templates need --method zslinear or tip.")
        }
    }

    func run() throws {
        try OutputChecks.checkSuffix(of: output, "-o", is: ["safetensors"], format: "safetensors")
        try OutputChecks.checkPlace(of: output)
        let choice = try DatasetChoice(name: data, root: nil)
        try OutputChecks.checkOverwriting(
            of: output, "-o",
            inputs: [("the data set", choice.path), ("--classes", classOptions.classes)])
        try ErrorsFile.check(
            errors,
            others: [
                ("the data set", data), ("--classes", classOptions.classes), ("--output", output),
            ])
        Interruption.prepare()
        let dataset = try choice.open(datasetOptions(), common, for: "probe")
        try check(dataset)
        let model = try self.model.load(textOptions, images, common, for: .record("the probe"))
        guard !model.reads(file: output) else {
            throw Failure("-o \(output): it is a file of the model; give another name", status: 2)
        }
        let begin = ContinuousClock.now
        // The texts are encoded before the images, so that invalid prompts are reported at once.
        let texts = try method == .linear ? nil : texts(dataset, model)
        let failures = FailureList(path: errors)
        let progress = JobProgress("probe", isQuiet: common.quiet)
        let decoding = images.decoding(for: model.preprocessor)
        let cache = cache(model, decoding)
        let outcome = try Interruption.during {
            defer { progress.finish() }
            var features: ProbeFeatures?
            try failures.perform {
                features = try self.features(dataset, model, decoding, cache, failures, progress)
            } summary: {
                progress.finish()
            }
            guard let features, features.vectors.count > 0 else {
                throw Failure("no usable images in the data set \(data); nothing is written")
            }
            return try train(features, dataset, model, decoding, texts, progress)
        } keep: {
            guard let cache, !cache.isReadOnly else { return nil }
            cache.commit()
            return """
                probe: the embeddings of \(counted(cache.count, "image")) are cached; run the \
                command again to continue
                """
        }
        report(
            outcome, failures.count, seconds: Double(secondsOf: ContinuousClock.now - begin))
        if failures.count > 0 { throw ExitCode(1) }
    }

    /// A trained probe, and what the summary states about its training.
    private struct Outcome {
        let trained: ProbeTraining.Trained
        let probe: StoredProbe
        /// The number of examples.
        let count: Int
        /// The share of the examples that the probe classifies correctly, 0...1.
        let accuracy: Double
        let features: ProbeFeatures
    }

    /// Trains the probe and writes its file.
    private func train(
        _ features: ProbeFeatures, _ dataset: EvaluationDataset, _ model: CLIPModel,
        _ decoding: RGBImage.DecodingOptions, _ texts: ZeroShotClassifier?, _ progress: JobProgress
    ) throws -> Outcome {
        var examples = try LabelledVectors(
            features.vectors, labels: features.labels, classCount: dataset.classNames.count)
        if let shots { examples = examples.shots(shots, seed: seed) }
        noteEmptyClasses(examples, dataset.classNames)
        let training = ProbeTraining(
            method: method, c: inversePenalty ?? 0.316, validation: sweep ? validation ?? 0.2 : nil,
            seed: seed, threads: model.threads, progress: progress)
        let trained = try training.train(examples, texts: texts?.labelEmbeddings)
        let probe = StoredProbe(
            content: trained.content, classNames: dataset.classNames,
            templates: texts == nil ? [] : try classOptions.prompts(of: dataset),
            model: ModelRecord(model, name: ModelOptions.storedName(of: try self.model.name())),
            decoding: IndexedDecoding(decoding, model.preprocessor))
        let accuracy = try training.accuracy(of: probe, on: examples)
        try probe.write(to: output)
        return Outcome(
            trained: trained, probe: probe, count: examples.labels.count, accuracy: accuracy,
            features: features)
    }
}

// MARK: Inputs

extension ProbeTrain {
    private func datasetOptions() throws -> EvaluationDataset.Options {
        EvaluationDataset.Options(
            split: split,
            classNames: try classOptions.names())
    }

    /// Rejects a data set without one label for each image, or with fewer than two classes.
    private func check(_ dataset: EvaluationDataset) throws {
        guard dataset.kind == .classification else {
            throw Failure(
                """
                unsupported: a probe needs one label for each image; the data set \(data) is \
                of the kind \(dataset.kind.rawValue)
                """)
        }
        let count = dataset.classNames.count
        guard count >= 2 else {
            let problem = dataset.firstProblem.map { " (\($0))" } ?? ""
            throw Failure(
                "expected at least two classes in the data set \(data), found \(count)\(problem)")
        }
    }

    private func features(
        _ dataset: EvaluationDataset, _ model: CLIPModel, _ decoding: RGBImage.DecodingOptions,
        _ cache: FeatureCache?, _ failures: FailureList, _ progress: JobProgress
    ) throws -> ProbeFeatures {
        progress.start()
        if !common.quiet {
            let count = dataset.count
            progress.total.value.withLock { $0 = count }
        }
        let features = try ProbeFeatures(
            of: dataset, model, decoding, cache: cache, failures: failures, progress: progress)
        do throws(FileError) {
            try cache?.close()
        } catch {
            noteNoCache(error)
        }
        return features
    }

    /// Opens the cache of embeddings; nil, with a note, if it cannot be used.
    private func cache(_ model: CLIPModel, _ decoding: RGBImage.DecodingOptions) -> FeatureCache? {
        do throws(FileError) {
            return try FeatureCache(
                folder: FilePath(ModelHub().home + "/features"), model: model, decoding: decoding)
        } catch {
            noteNoCache(error)
            return nil
        }
    }

    private func noteNoCache(_ error: FileError) {
        guard !common.quiet else { return }
        note(
            """
            clip: probe: embeddings are not cached in \(ModelHub().home)/features: \(error.reason)
            """)
    }

    /// Encodes the texts of the classes.
    private func texts(
        _ dataset: EvaluationDataset, _ model: CLIPModel
    ) throws -> ZeroShotClassifier {
        try PromptOptions.classifier(
            model, dataset.classNames, try classOptions.prompts(of: dataset),
            truncating: textOptions.truncate)
    }

    private func noteEmptyClasses(_ examples: LabelledVectors, _ names: [String]) {
        let missing = Set(names.indices).subtracting(examples.labels).sorted()
        guard let first = missing.first, !common.quiet else { return }
        note(
            """
            clip: probe: warning: \(grouped(missing.count)) of \(grouped(names.count)) classes \
            have no examples, for example "\(names[first])"
            """)
    }
}

// MARK: Outputs

extension ProbeTrain {
    private func report(
        _ outcome: Outcome, _ failed: Int, seconds: Double
    ) {
        let (trained, probe, features) = (outcome.trained, outcome.probe, outcome.features)
        let (count, accuracy) = (outcome.count, outcome.accuracy)
        if json {
            var members: [JSONValue.Member] = [
                ("output", .path(FilePath(argument: output))), ("method", .string(method.rawValue)),
                ("model", .string(probe.model.name)), ("fingerprint", .string(probe.fingerprint)),
                ("classes", .integer(probe.classNames.count)), ("examples", .integer(count)),
                ("images", .integer(features.vectors.count)),
                ("cached", .integer(features.cachedCount)), ("failed", .integer(failed)),
            ]
            members += trained.facts
            members += [
                ("training_accuracy", .number(accuracy)), ("seconds", .number(seconds)),
            ]
            return printLine(.object(members))
        }
        guard !common.quiet else { return }
        if trained.isConverged == false {
            note("clip: probe: warning: the optimiser stopped before it converged")
        }
        let words = trained.description
        note(
            """
            clip: probe: \(method.rawValue)\(words.isEmpty ? "" : ", \(words)"): \
            \(counted(count, "example")) of \(grouped(probe.classNames.count)) classes, training \
            accuracy \(fixed(100 * accuracy, 1)) %, \(fixed(seconds, 1)) s; \
            \(grouped(features.cachedCount)) of \(counted(features.vectors.count, "embedding")) \
            from the cache; wrote \(output)
            """)
    }
}

extension StoredProbe.Method: ExpressibleByArgument {}
