import CLIPAnalysis
import CLIPHub
import Files

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The model's name in the form of open_clip and CLIP_benchmark: an architecture and the tag of
/// pretrained weights.
struct PretrainedName: Equatable {
    let model: String
    let pretrained: String

    init(model: String, pretrained: String) {
        self.model = model
        self.pretrained = pretrained
    }

    /// Derives both parts from the name of a model.
    ///
    /// `ViT-B/32` gives `ViT-B-32` and `openai`; `ViT-B-32:laion2b_s34b_b79k` is split at the
    /// colon. For a file of weights, the model is its file name, and the tag is its path.
    ///
    /// - Parameters:
    ///   - name: A name that `clip models` lists, a repository, a path or `tiny`.
    ///   - pretrained: The value of `--pretrained`, which takes precedence; nil if it is not given.
    init(of name: String, pretrained: String?) {
        let isFile = FileManager.default.fileExists(atPath: name)
        if name == BundledModel.name {
            self.init(model: name, pretrained: pretrained ?? "builtin")
        } else if !isFile, let known = HubModel.named(name) {
            let parts = known.name.split(separator: ":", maxSplits: 1)
            // An open_clip name is kept as given, such as ViT-B-32-quickgelu.
            let given = name.split(separator: ":", maxSplits: 1)
            let isGiven = known.aliases.contains(name) && given.count == 2
            self.init(
                model: String(isGiven ? given[0] : parts[0]),
                pretrained: pretrained ?? String(parts.count == 2 ? parts[1] : ""))
        } else if isFile {
            let file = String(decoding: FilePath(name).lastComponent, as: UTF8.self)
            self.init(model: file, pretrained: pretrained ?? name)
        } else {
            self.init(model: name, pretrained: pretrained ?? "")
        }
    }

    /// The name of the weights in the registry; nil if it does not have them.
    var registered: String? { HubModel.named("\(model):\(pretrained)")?.name }

    /// The name to print: that of the registry, else the model and the tag.
    var description: String {
        if let registered { return registered }
        return pretrained.isEmpty || model == BundledModel.name ? model : "\(model), \(pretrained)"
    }

    /// Returns the model to load for `--model` and `--pretrained`, which may be those of
    /// CLIP_benchmark.
    ///
    /// - Parameters:
    ///   - model: The value of `--model`; nil if it is not given.
    ///   - pretrained: The value of `--pretrained`.
    /// - Returns: The path if `pretrained` is a file and `model` is not; `MODEL:PRETRAINED` for an
    ///   architecture of the registry, also if there are no such weights, so that no others are
    ///   evaluated under this tag; nil if `--pretrained` is only recorded.
    static func modelToLoad(model: String?, pretrained: String) -> String? {
        let files = FileManager.default
        guard let model, model != BundledModel.name, !files.fileExists(atPath: model) else {
            return nil
        }
        if HubModel.named("\(model):\(pretrained)") != nil { return "\(model):\(pretrained)" }
        if files.fileExists(atPath: pretrained) { return pretrained }
        guard let known = HubModel.named(model), !known.name.hasSuffix(":\(pretrained)") else {
            return nil
        }
        return "\(model):\(pretrained)"
    }
}

/// A metric of an evaluation with its 95 % confidence interval.
struct EvalMetric {
    /// The key in CLIP_benchmark's JSON.
    let key: String
    let value: Double
    let interval: ConfidenceInterval
}

/// The outcome of an evaluation, to be printed or written.
struct EvalRecord {
    let dataset: String
    let name: PretrainedName
    /// The name of the task in CLIP_benchmark's JSON.
    let task: String
    let language: String
    /// The number of images that were evaluated.
    let count: Int
    let metrics: [EvalMetric]
    /// The number of inputs that failed.
    let failures: Int
    /// The time for prompts, images and captions, in seconds.
    let seconds: Double
    /// The number of images decoded and encoded per second.
    let imagesPerSecond: Double

    private func members(_ number: (Double) -> JSONValue) -> [JSONValue.Member] {
        [
            ("dataset", .string(dataset)), ("model", .string(name.model)),
            ("pretrained", .string(name.pretrained)), ("task", .string(task)),
            ("metrics", .object(metrics.map { ($0.key, number($0.value)) })),
            ("language", .string(language)),
        ]
    }

    /// The file that CLIP_benchmark writes: the same keys, and NaN as Python's `json` writes it.
    var benchmarkFile: [UInt8] {
        let object = JSONValue.object(
            members { $0.isFinite ? .number($0) : .raw(Array("NaN".utf8)) })
        return Array("\(object)\n".utf8)
    }

    /// Returns the members of `benchmarkFile` with the numbers of images, the intervals and the
    /// times; NaN is null.
    ///
    /// - Parameter published: The published value of each metric; nil without `--compare`.
    /// - Returns: One JSON object.
    func json(published: [String: Double]?) -> JSONValue {
        var all = members { .number($0) }
        all.append(("images", .integer(count)))
        all.append(("failures", .integer(failures)))
        all.append(
            (
                "intervals",
                .object(
                    metrics.map {
                        ($0.key, .array([.number($0.interval.lower), .number($0.interval.upper)]))
                    })
            ))
        all.append(("seconds", .number(seconds)))
        all.append(("images_per_second", .number(imagesPerSecond)))
        if let published {
            all.append(
                (
                    "published",
                    .object(
                        metrics.map { ($0.key, published[$0.key].map { .number($0) } ?? .null) })
                ))
        }
        return .object(all)
    }
}

extension PretrainedName {
    /// Returns the name of an output with CLIP_benchmark's placeholders replaced.
    ///
    /// The slashes of a value become underscores, and `wds/` is removed from the data set.
    ///
    /// - Parameters:
    ///   - template: The name with placeholders such as `{dataset}`.
    ///   - dataset: The name of the data set.
    ///   - task: The name of the task.
    ///   - language: The language.
    /// - Returns: The name of the file.
    func outputName(
        _ template: String, dataset: String, task: String, language: String
    ) -> String {
        let isFile = FileManager.default.fileExists(atPath: pretrained)
        let file = String(decoding: FilePath(pretrained).lastComponent, as: UTF8.self)
        let values = [
            "dataset": DatasetChoice.withoutPrefix(dataset), "model": model,
            "pretrained": isFile ? file : pretrained, "pretrained_full_path": pretrained,
            "task": task, "language": language,
        ]
        return values.reduce(template) { name, value in
            name.replacing("{\(value.key)}", with: value.value.replacing("/", with: "_"))
        }
    }
}

// MARK: Report

extension EvalRecord {
    /// Returns the lines of the report that is printed.
    ///
    /// - Parameters:
    ///   - about: The labels and values of the first lines.
    ///   - published: The published value of each metric; nil without `--compare`.
    /// - Returns: One line for each value and metric.
    func lines(
        about: [(label: String, value: String)], published: [String: Double]?
    ) -> [String] {
        let width = max(10, metrics.map(\.key.count).max() ?? 0)
        var lines = about.map { "\($0.label.left(width))  \(TerminalText.oneLine($0.value))" }
        lines.append("")
        let column = published == nil ? "" : "    published"
        lines.append("\("metric".left(width))       value   95 % interval\(column)")
        for metric in metrics {
            var line = "\(metric.key.left(width))  \(Self.percent(metric.value).right(10))"
            let interval = metric.interval
            line +=
                "   "
                + (metric.value.isNaN
                ? "" : "\(Self.share(interval.lower)) to \(Self.share(interval.upper))").left(15)
            if let published {
                line += "  " + (published[metric.key].map(Self.percent) ?? "unknown").right(9)
            }
            lines.append(String(line.reversed().drop { $0 == " " }.reversed()))
        }
        lines.append("")
        let rate = "\(fixed(imagesPerSecond, 1)) images a second"
        lines.append("\("time".left(width))  \(fixed(seconds, 1)) s, \(rate)")
        if failures > 0 {
            lines.append("\("failures".left(width))  \(counted(failures, "input"))")
        }
        if let published {
            let source =
                published.isEmpty
                ? "none known for this model and data set" : "by \(PublishedResults.source)"
            lines.append("\("published".left(width))  \(source)")
        }
        return lines
    }

    /// Returns a share as a percentage with its unit; "n/a" for NaN.
    static func percent(_ share: Double) -> String {
        share.isNaN ? "n/a" : "\(Self.share(share)) %"
    }

    private static func share(_ share: Double) -> String { fixed(100 * share, 2) }
}
