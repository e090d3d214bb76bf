import CLIP
import CLIPAnalysis
import CLIPSearch
import Files

/// The pass of a model over the images of a data set, with its progress and its failures.
final class EvalJob {
    let failures: FailureList
    private let progress: JobProgress
    private let isQuiet: Bool
    private let predictions: PredictionsFile?
    private let errors: String?
    /// The number of images that were evaluated; a task corrects it if images occur repeatedly.
    var count = 0
    /// The time for decoding and encoding the images, in seconds.
    private(set) var imageSeconds = 0.0

    /// A target that the evaluation cannot use.
    struct Unusable: Error {
        let reason: String
    }

    /// Creates a job and opens its outputs.
    ///
    /// - Parameters:
    ///   - errors: The file of `--errors`; nil if it is not given.
    ///   - predictions: The file of `--predictions`; nil if it is not given.
    ///   - common: The options that all subcommands share.
    /// - Throws: `Failure` if the file of predictions cannot be written.
    init(errors: String?, predictions: String?, _ common: CommonOptions) throws {
        failures = FailureList(path: errors)
        progress = JobProgress("eval", isQuiet: common.quiet)
        isQuiet = common.quiet
        self.errors = errors
        self.predictions = try predictions.map(PredictionsFile.init)
    }

    /// Runs a closure and reports the failures, even if it throws; then completes the predictions.
    ///
    /// After an error or Ctrl-C, no incomplete file of predictions is left.
    func perform(_ body: () throws -> Void) throws {
        let partialPath = predictions?.partialPath
        let errors = errors.map { FilePath(argument: $0).bytes }
        try Interruption.during {
            do {
                try failures.perform(body) { progress.finish() }
                try predictions?.finish()
            } catch {
                predictions?.discard()
                throw error
            }
        } keep: {
            if let partialPath { try? removeFile(partialPath) }
            // An empty list would state that no image has failed.
            if let errors, let status = try? FileStatus(path: errors, followingLinks: false),
                status.isRegular, status.size == 0
            {
                try? removeFile(errors)
            }
            return "eval: stopped before the end; no results are written"
        }
    }

    /// Encodes the images of a data set, in order, and records those that fail.
    ///
    /// - Parameters:
    ///   - dataset: The data set.
    ///   - model: The model.
    ///   - decoding: The options for decoding images.
    ///   - receive: Receives each image with its target and its vector, on the calling thread; an
    ///     `Unusable` or `AnalysisError` that it throws is recorded as a failure of the image.
    /// - Throws: Other errors of `receive`, errors of the weights, and `Failure` if a file cannot
    ///   be written.
    func run(
        _ dataset: EvaluationDataset, _ model: CLIPModel, _ decoding: RGBImage.DecodingOptions,
        receive: (Sample, EvaluationDataset.Target, [Float]) throws -> Void
    ) throws {
        progress.start()
        if !isQuiet {
            let total = progress.total
            // If no thread can be started, the total stays unknown.
            _ = startBackgroundThread {
                let count = dataset.count
                total.value.withLock { $0 = count }
            }
        }
        let start = ContinuousClock.now
        defer { imageSeconds = Double(secondsOf: ContinuousClock.now - start) }
        var items = dataset.items()
        let inputs = AnyIterator<EvaluationDataset.Item> { items.next() }
        let encodings = model.encodings(
            of: IteratorSequence(inputs),
            decode: { item throws(CLIPError) in
                // The image of an unusable target is not read.
                if case .unusable(let reason) = item.target {
                    throw .unreadableFile(path: item.sample.path, reason: reason)
                }
                return try item.sample.image(decoding)
            })
        for encoded in encodings {
            let sample = encoded.input.sample
            do {
                if case .unusable(let reason) = encoded.input.target {
                    throw Unusable(reason: reason)
                }
                try receive(sample, encoded.input.target, encoded.embedding.get())
                count += 1
            } catch let error as Unusable {
                try failures.add(sample.name, "\(sample.path): \(error.reason)")
            } catch let error as AnalysisError {
                try failures.add(sample.name, "\(sample.path): \(error)")
            } catch let error as CLIPError where !error.isOfWeights {
                try failures.add(sample.name, Hints.line(error))
            }
            progress.advance()
        }
        progress.finish()
        if items.skipped.total > 0 { progress.say("\(items.skipped)") }
    }

    /// Writes a line of `--predictions`.
    func predict(_ members: @autoclosure () -> [JSONValue.Member]) throws {
        try predictions?.append(.object(members()))
    }

    /// Returns the progress function of an analysis that follows the encoding.
    ///
    /// - Parameter words: The description of the analysis, such as "ranking".
    /// - Returns: A function that shows the fraction of the work done, and never stops it.
    func following(_ words: String) -> (Double) -> Bool {
        { [progress] share in
            progress.show(words, share: share)
            return true
        }
    }
}
