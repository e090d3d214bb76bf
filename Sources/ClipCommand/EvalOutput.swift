import CLIP
import CLIPSearch

// MARK: Outputs

extension Eval {
    /// Prints the result and writes the files.
    func show(
        _ record: EvalRecord, _ result: EvalResult, _ dataset: EvaluationDataset,
        _ model: CLIPModel, _ scorer: EvalScorer?, _ collected: EvalReport?, output: String?
    ) throws {
        let name = record.name.registered ?? record.name.model
        let published =
            compare
            ? PublishedResults.results(model: name, dataset: record.dataset) : nil
        let images = counted(record.count, "image")
        let classes = dataset.classNames.count
        let modelName = modelDescription(record.name.description, model.precision)
        let about: [(label: String, value: String)] = [
            ("task", record.task + (scorer.map { ", \($0.description)" } ?? "")),
            (
                "data set",
                record.dataset + ", \(images)"
                    + (scorer == nil
                        ? "" : " in \(grouped(classes)) class\(classes == 1 ? "" : "es")")
            ),
            ("model", String(modelName.dropFirst("model ".count))),
        ]
        let isElsewhere = [output, report].contains { $0.map(isStandardOutput) ?? false }
        if json {
            printLine(record.json(published: published))
        } else if !isElsewhere {
            record.lines(about: about, published: published).forEach { print($0) }
        }
        if let output {
            try write(record.benchmarkFile, to: output)
            if !common.quiet && !isStandardOutput(output) { note("clip: eval: wrote \(output)") }
        }
        guard let report, let collected else { return }
        let page = EvalPage(
            record: record,
            about: about.map(\.value)
                + (record.failures > 0 ? ["\(counted(record.failures, "input")) failed"] : []),
            classNames: shortened(EvalPage.distinct(dataset.classNames), to: 80),
            details: result.details,
            mistakes: collected.mistakes,
            heatmap: collected.heatmap(scorer, model: modelName), published: published,
            location: PageLocation(page: report))
        try write(page.bytes, to: report)
        if !common.quiet && !isStandardOutput(report) { note("clip: eval: wrote \(report)") }
    }
}
