import ArgumentParser
import CLIP
import CLIPHub
import CLIPSearch
import Files

struct Eval: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure a model on a data set: classification or retrieval, zero-shot.",
        discussion: """
            DATASET is a WebDataset in the layout of CLIP_benchmark (a folder or .tar), a folder \
            with one subfolder per class, a table (.csv, .tsv, .jsonl) with a column of paths and \
            one of labels or captions, or a name such as wds/imagenetv2, which is downloaded once \
            from the hub's repository clip-benchmark/wds_imagenetv2.

            Prints accuracy (acc1, acc5), mean recall per class, mean average precision or \
            recall@k with 95 % confidence intervals, computed as CLIP_benchmark does: logits are \
            100 times the cosines. Options that CLIP_benchmark also has mean the same. Images that \
            cannot be used are listed, and the exit status is 1.

            Examples:
              clip eval classes.csv --predictions predictions.jsonl
              clip eval captions.csv --recall_k 1 2
              clip eval --dataset classes.csv --output "{dataset}_{model}.json"
              clip eval classes.csv --samples 4 --report report.html
            """)

    @Argument(
        help: ArgumentHelp("Evaluate on this data set: a path or a name.", valueName: "dataset"),
        completion: .file())
    var source: String?

    @Option(
        help: ArgumentHelp(
            "Evaluate on this data set, like the argument DATASET.", valueName: "dataset"),
        completion: .file())
    var dataset: String?

    @Option(
        name: .customLong("dataset_root"),
        help: ArgumentHelp(
            """
            Read the data set from this folder, or from the hub's \
            https://huggingface.co/datasets/OWNER/NAME/tree/main; {dataset} and {dataset_cleaned} \
            stand for its name.
            """, valueName: "folder"),
        completion: .directory)
    var datasetRoot: String?

    @Option(help: "Evaluate on this split.")
    var split = "test"

    @Option(help: "Set the task; auto derives it from the data set.")
    var task: Task = .auto

    @Option(
        name: .customLong("recall_k"), parsing: .upToNextOption,
        help: ArgumentHelp(
            "Measure recall@K of retrieval; give one or more K, after DATASET. (default: 5)",
            valueName: "k"))
    var recallAt: [Int] = []

    @OptionGroup var classOptions: ClassOptions

    @Option(
        help: ArgumentHelp(
            """
            Classify with a probe from clip probe train instead of class names; label N of a \
            data set without class names means class N of the probe, from 0.
            """, valueName: "file"),
        completion: .file(extensions: ["safetensors"]))
    var probe: String?

    @Option(
        help: ArgumentHelp(
            """
            Write the JSON of CLIP_benchmark to FILE; {dataset} {model} {pretrained} {language} \
            {task} in the name are replaced.
            """, valueName: "file"),
        completion: .file(extensions: ["json"]))
    var output: String?

    @Option(
        help: ArgumentHelp(
            "Write one line of JSON per image to FILE: label and best classes, or ranks.",
            valueName: "file"),
        completion: .file(extensions: ["jsonl"]))
    var predictions: String?

    @Option(
        help: ArgumentHelp(
            "Write a page to FILE: classes, confusions with images, reliability, a sample.",
            valueName: "file"),
        completion: .file(extensions: ["html"]))
    var report: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Draw N random images in the heatmap of --report, at most 100. (default: 10)",
            valueName: "n"))
    var samples: Int?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Seed the random choice of --samples. (default: 0)", valueName: "n"))
    var seed: UInt64?

    @Flag(help: "Print the published results of this model on this data set beside the metrics.")
    var compare = false

    @Flag(help: "Print the result as one JSON object.")
    var json = false

    @Option(
        help: ArgumentHelp(
            "Record this tag of the weights; with --model ARCHITECTURE, also load them by it.",
            valueName: "tag"))
    var pretrained: String?

    @Option(
        help: ArgumentHelp(
            "Record this language; class names and templates are those of the data set.",
            valueName: "code"))
    var language = "en"

    @Option(
        name: .customLong("batch_size"), parsing: .unconditional,
        help: ArgumentHelp(
            "Accept and ignore this option of CLIP_benchmark; clip chooses the batches.",
            valueName: "n"))
    var batchSize: Int?

    @Option(
        help: ArgumentHelp(
            "Also write the images that fail to FILE, as JSON Lines with path and reason.",
            valueName: "file"),
        completion: .file())
    var errors: String?

    @OptionGroup var modelOptions: ModelOptions
    @OptionGroup var common: CommonOptions
    @OptionGroup var tokenizer: TokenizerOptions
    @OptionGroup var images: ImageOptions

    enum Task: String, ExpressibleByArgument, CaseIterable {
        case auto
        case classification = "zeroshot_classification"
        case retrieval = "zeroshot_retrieval"
    }

    func validate() throws {
        if source != nil && dataset != nil {
            throw ValidationError("give one data set: DATASET or --dataset, not both")
        }
        if source == nil && dataset == nil {
            throw ValidationError("no data set: give a path, or a name such as wds/imagenetv2")
        }
        if split.isEmpty { throw ValidationError("--split must not be empty.") }
        if let batchSize, batchSize < 1 {
            throw ValidationError("--batch_size must be at least 1, not \(batchSize).")
        }
        if let k = recallAt.first(where: { $0 < 1 }) {
            throw ValidationError("--recall_k must be at least 1, not \(k).")
        }
        // The heatmap of the page has a column for each class of the sample.
        if let samples, !(1...100).contains(samples) {
            throw ValidationError("--samples must be 1 to 100, not \(samples).")
        }
        if probe != nil && classOptions.hasTemplates {
            throw ValidationError("--template and --templates have no effect with --probe.")
        }
        if probe != nil && task == .retrieval {
            throw ValidationError("--probe classifies; it cannot be used for retrieval.")
        }
    }

    func run() throws {
        Interruption.prepare()
        try checkOutputs()
        let choice = try DatasetChoice(name: source ?? dataset ?? "", root: datasetRoot)
        let probe = try self.probe.map { path in
            OpenedProbe(path: path, probe: try StoredProbe.read(FilePath(argument: path)))
        }
        let dataset = try open(choice, probe)
        if (task == .classification || probe != nil) && dataset.kind == .retrieval {
            throw Failure("unsupported: the data set \(choice.name) has captions, not labels")
        }
        if dataset.kind != .retrieval && dataset.classNames.count < 2 {
            throw Failure(
                """
                expected at least two classes in the data set \(choice.name), found \
                \(dataset.classNames.count)\(dataset.firstProblem.map { " (\($0))" } ?? "")
                """)
        }
        noteUnusedOptions(dataset)
        let images =
            try probe.map { probe in
                try self.images.following(probe.probe, at: FilePath(argument: probe.path))
            } ?? self.images
        let (model, name) = try loadModel(probe, images)
        let start = ContinuousClock.now
        let scorer = try dataset.kind == .retrieval ? nil : scorer(dataset, model, probe)
        let taskName = scorer?.task ?? Task.retrieval.rawValue
        let datasetName = choice.recordedName(dataset)
        let output = self.output.map {
            name.outputName($0, dataset: datasetName, task: taskName, language: language)
        }
        try OutputChecks.checkPlace(of: output)
        try checkOverwriting([("--output", output)])
        try checkDistinct([("--output", output)])
        let job = try EvalJob(errors: errors, predictions: predictions, common)
        let decoding = images.decoding(for: model.preprocessor)
        let collected = report.map { _ in
            EvalReport(samples: samples ?? 10, seed: seed ?? 0, decoding)
        }
        var result: EvalResult?
        try job.perform {
            let task = EvalTask(
                dataset: dataset, model: model, decoding: decoding, job: job, report: collected)
            let found =
                switch (dataset.kind, scorer) {
                case (.classification, let scorer?): try task.classification(scorer)
                case (.multilabel, let scorer?): try task.multilabel(scorer)
                default: try task.retrieval(recallAt: recallAt.isEmpty ? [5] : recallAt.unique)
                }
            guard job.count > 0 else { throw Failure("no images to evaluate in \(choice.name)") }
            result = found
        }
        guard let result else { return }
        let record = EvalRecord(
            dataset: datasetName, name: name, task: taskName, language: language,
            count: job.count,
            metrics: result.metrics, failures: job.failures.count,
            seconds: Double(secondsOf: ContinuousClock.now - start),
            imagesPerSecond: Double(job.count) / max(1e-9, job.imageSeconds))
        try show(record, result, dataset, model, scorer, collected, output: output)
        if job.failures.count > 0 { throw ExitCode(1) }
    }
}

// MARK: Inputs

extension Eval {
    /// A probe with the path of its file.
    fileprivate struct OpenedProbe {
        let path: String
        let probe: StoredProbe
    }

    /// Opens the data set with the split, the classes and the kind that the options choose.
    ///
    /// A data set without class names gets those of the probe, which a note states.
    private func open(
        _ choice: DatasetChoice, _ probe: OpenedProbe?
    ) throws -> EvaluationDataset {
        var options = EvaluationDataset.Options(
            split: split,
            classNames: try classOptions.names(),
            kind: task == .retrieval ? .retrieval : nil)
        do {
            return try choice.open(options, common, requiresClassNames: probe == nil)
        } catch DatasetError.missingFile where probe != nil && classOptions.classes == nil {
            let names = probe?.probe.classNames ?? []
            options.classNames = names
            let dataset = try choice.open(options, common)
            if dataset.kind != .retrieval { noteClasses(names) }
            return dataset
        }
    }

    /// Prints a note that the labels of the data set are taken as numbers of the probe's classes.
    private func noteClasses(_ names: [String]) {
        guard !common.quiet else { return }
        let listed = names.prefix(10).enumerated().map { "\($0) = \($1)" }
        note(
            """
            clip: eval: no class names in the data set: its labels are taken as numbers of the \
            probe's classes, \(listed.joined(separator: ", "))\
            \(names.count > listed.count ? ", …" : ""); if they mean others, give --classes FILE
            """)
    }

    /// Loads the model, which is that of the probe if there is one, and derives its name in the
    /// JSON.
    private func loadModel(
        _ probe: OpenedProbe?, _ images: ImageOptions
    ) throws -> (model: CLIPModel, name: PretrainedName) {
        var options = modelOptions
        let given = options.model
        let other = pretrained.flatMap {
            PretrainedName.modelToLoad(model: given, pretrained: $0)
        }
        if let other { options.model = other }
        let loaded: CLIPModel
        let name: String
        if let probe {
            let path = FilePath(argument: probe.path)
            (loaded, name) = try options.load(probe.probe, at: path, common)
        } else {
            (loaded, name) = (try options.load(common), try options.name())
        }
        let model = loaded.following(
            tokenizer: tokenizer.rules, preprocessing: images.preprocess)
        if other != nil, let given, let pretrained {
            return (model, PretrainedName(model: given, pretrained: pretrained))
        }
        return (model, PretrainedName(of: name, pretrained: pretrained))
    }

    /// Prints a note for the options that have no effect on this data set or without `--report`.
    private func noteUnusedOptions(_ dataset: EvaluationDataset) {
        if dataset.kind == .retrieval {
            noteUnused(
                [
                    ("--classes", classOptions.classes != nil),
                    ("--template", !classOptions.template.isEmpty),
                    ("--templates", classOptions.templates != nil),
                ], because: "the data set has captions")
        } else {
            noteUnused(
                [("--recall_k", !recallAt.isEmpty)], because: "the data set has no captions")
        }
        guard report == nil else { return }
        noteUnused(
            [("--samples", samples != nil), ("--seed", seed != nil)],
            because: "--report is not given")
    }

    private func noteUnused(_ options: [(name: String, isGiven: Bool)], because reason: String) {
        let given = options.filter(\.isGiven).map(\.name)
        guard !given.isEmpty, !common.quiet else { return }
        note("clip: eval: \(given.joined(separator: ", ")): no effect, because \(reason)")
    }

    private func scorer(
        _ dataset: EvaluationDataset, _ model: CLIPModel, _ probe: OpenedProbe?
    ) throws -> EvalScorer {
        if let probe {
            return try .probe(probe.probe, classNames: dataset.classNames, path: probe.path)
        }
        return try .zeroShot(
            model, dataset.classNames, templates: classOptions.prompts(of: dataset))
    }
}

extension Array where Element: Hashable {
    /// The elements in their order, each once.
    fileprivate var unique: [Element] {
        var seen: Set<Element> = []
        return filter { seen.insert($0).inserted }
    }
}
