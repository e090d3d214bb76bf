import CLIPAnalysis
import CLIPSearch
import CPages
import Files

/// The page of `clip eval --report`.
struct EvalPage {
    let record: EvalRecord
    /// The items of the line below the heading: data set, model, task.
    let about: [String]
    /// The distinct names of the classes, shortened if they are very long.
    let classNames: [String]
    let details: EvalResult.Details
    /// The mistakes of the evaluation; their images are read when the page is made.
    let mistakes: WorstMistakes
    let heatmap: Heatmap?
    /// The published value of each metric; nil without `--compare`.
    let published: [String: Double]?
    let location: PageLocation

    /// The number of classes that are shown before the list of all is opened.
    private static let shownClasses = 30
    /// The number of confused pairs with an image.
    private static let shownPairs = 24

    var bytes: [UInt8] {
        let title = "\(record.name.model) on \(DatasetChoice.withoutPrefix(record.dataset))"
        var page = Page(title: title, about: about, location: location)
        page.append(style: clip_eval_css())
        page.append(metrics)
        switch details {
        case .classification(let evaluation):
            addClasses(
                zip(evaluation.correctPerClass, evaluation.imagesPerClass).map {
                    ClassValue(
                        share: Double($0) / Double($1), remark: "\(grouped($0)) of \(grouped($1))",
                        images: $1)
                }, "Accuracy per class", to: &page)
            addConfusions(evaluation, to: &page)
            addReliability(evaluation, to: &page)
        case .multilabel(let precisions, let images):
            addClasses(
                zip(precisions, images).map {
                    ClassValue(share: $0, remark: counted($1, "image"), images: $1)
                }, "Average precision per class", to: &page)
        case .retrieval(let result): addRanks(result, to: &page)
        }
        if let heatmap {
            page.heading("A sample", heatmap.title)
            heatmap.append(to: &page)
        }
        return page.bytes
    }

    // MARK: Metrics

    private var metrics: String {
        let items = record.metrics.map { metric in
            var remarks: [String] = []
            if !metric.value.isNaN {
                let (lower, upper) = (100 * metric.interval.lower, 100 * metric.interval.upper)
                remarks.append("95 %: \(fixed(lower, 2)) to \(fixed(upper, 2))")
            }
            if let published {
                let value = published[metric.key].map(EvalRecord.percent) ?? "unknown"
                remarks.append("published: \(value)")
            }
            return """
                <div><dt>\(escaped(metric.key))</dt><dd>\(EvalRecord.percent(metric.value))\
                <small>\(escaped(remarks.joined(separator: "; ")))</small></dd></div>
                """
        }
        return "<dl class=\"metrics\">\n\(items.joined(separator: "\n"))\n</dl>"
    }

    // MARK: Classes

    private struct ClassValue {
        /// The value, 0...1; NaN for a class without images.
        let share: Double
        let remark: String
        let images: Int
    }

    /// Adds a bar per class, the worst class first.
    private func addClasses(_ values: [ClassValue], _ title: String, to page: inout Page) {
        let order = values.indices.filter { values[$0].images > 0 }
            .sorted { (values[$0].share, $0) < (values[$1].share, $1) }
        guard !order.isEmpty else { return }
        let missing = values.count - order.count
        let remark =
            "lowest first"
            + (missing > 0 ? "; classes without images, not shown: \(grouped(missing))" : "")
        page.heading(title, remark)
        func bars(_ classes: ArraySlice<Int>) -> String {
            let items = classes.map { label in
                let value = values[label]
                let width = fixed(100 * value.share, 2)
                return """
                    <li><span class="name">\(escaped(classNames[label]))</span>\
                    <span class="track"><i style="width:\(width)%"></i></span>\
                    <b>\(fixed(100 * value.share, 1)) %</b><small>\(value.remark)</small></li>
                    """
            }
            let style = items.count > 12 ? "bars long" : "bars"
            return "<ul class=\"\(style)\">\n\(items.joined(separator: "\n"))\n</ul>"
        }
        page.append(bars(order.prefix(Self.shownClasses)))
        let rest = order.dropFirst(Self.shownClasses)
        guard !rest.isEmpty else { return }
        page.append(
            """
            <details class="more"><summary>\(grouped(rest.count)) more</summary>
            \(bars(rest))
            </details>
            """)
    }

    /// Returns the names of classes, each with its number if another class has the same name.
    static func distinct(_ names: [String]) -> [String] {
        var seen: Set<String> = []
        let shared = Set(names.filter { !seen.insert($0).inserted })
        return names.enumerated().map { shared.contains($1) ? "\($1) (\($0))" : $1 }
    }

    // MARK: Confusions

    /// Adds the most confused pairs, each with its most confident mistake.
    private func addConfusions(_ evaluation: Evaluation, to page: inout Page) {
        let confusions = evaluation.confusions(limit: Self.shownPairs)
        guard !confusions.isEmpty else { return }
        page.heading("Most confused classes", "with the most confident mistake of each pair")
        page.append("<div class=\"gallery\">")
        for confusion in confusions {
            let mistake = mistakes.worst(of: confusion)
            let frame = mistake.map {
                page.frame($0.sample.name, $0.thumbnail, isFile: $0.isFile)
            }
            let confidence = mistake.map {
                "confidence\u{A0}\(fixed(100 * $0.confidence, 1))\u{A0}%"
            }
            let images = counted(confusion.count, "image")
            page.append(
                """
                <figure>\(frame ?? "<div class=\"frame\">no image</div>")
                <figcaption><b>\(escaped(classNames[confusion.label]))</b><br>taken for \
                <b>\(escaped(classNames[confusion.prediction]))</b><br>\
                <span class="faint">\([images, confidence ?? ""].filter { !$0.isEmpty }
                    .joined(separator: ", "))</span>\
                \(mistake.map { pathDetails($0.sample.name) } ?? "")</figcaption></figure>
                """)
        }
        page.append("</div>")
    }

    // MARK: Reliability

    /// Adds the diagram of accuracy by confidence.
    private func addReliability(_ evaluation: Evaluation, to page: inout Page) {
        let error = fixed(100 * evaluation.expectedCalibrationError, 2)
        page.heading(
            "Reliability",
            """
            accuracy by confidence, dots at the mean confidence; below the dashed line the model \
            is overconfident; expected calibration error \(error) %
            """)
        let (left, top, side) = (44.0, 12.0, 260.0)
        func x(_ share: Double) -> String { fixed(left + side * share, 1) }
        func y(_ share: Double) -> String { fixed(top + side * (1 - share), 1) }
        var parts = [
            """
            <svg class="reliability" viewBox="0 0 330 316" role="img" \
            aria-label="accuracy by confidence">
            """
        ]
        for share in [0, 0.25, 0.5, 0.75, 1] {
            parts.append(
                """
                <path class="grid" d="M\(x(0)) \(y(share))H\(x(1))"/>\
                <text x="\(fixed(left - 6, 1))" y="\(fixed(top + side * (1 - share) + 4, 1))" \
                text-anchor="end">\(fixed(100 * share, 0)) %</text>\
                <text x="\(x(share))" y="\(fixed(top + side + 18, 1))" \
                text-anchor="middle">\(fixed(100 * share, 0)) %</text>
                """)
        }
        for bin in evaluation.reliability where bin.count > 0 {
            let width = fixed(side * (bin.upperBound - bin.lowerBound) - 2, 1)
            parts.append(
                """
                <rect class="bin" x="\(fixed(left + side * bin.lowerBound + 1, 1))" \
                y="\(y(bin.accuracy))" width="\(width)" height="\(fixed(side * bin.accuracy, 1))">\
                <title>\(counted(bin.count, "image")): accuracy \
                \(fixed(100 * bin.accuracy, 1)) %, confidence \
                \(fixed(100 * bin.meanConfidence, 1)) %</title></rect>\
                <circle class="mean" cx="\(x(bin.meanConfidence))" cy="\(y(bin.accuracy))" r="3"/>
                """)
        }
        parts.append("<path class=\"ideal\" d=\"M\(x(0)) \(y(0))L\(x(1)) \(y(1))\"/>")
        parts.append(
            "<text x=\"\(x(0.5))\" y=\"312\" text-anchor=\"middle\">confidence</text></svg>")
        page.append(parts.joined(separator: "\n"))
    }

    // MARK: Ranks

    /// Adds the share of captions and images that find their match within the first k results.
    private func addRanks(_ result: RetrievalMetrics.Result, to page: inout Page) {
        page.heading(
            "Recall by number of results",
            "image retrieval: images found by caption; text retrieval: captions found by image")
        let bars = [1, 2, 5, 10, 20, 50].flatMap { k in
            [
                ("image retrieval @\(k)", result.imageRetrievalRecall(at: k)),
                ("text retrieval @\(k)", result.textRetrievalRecall(at: k)),
            ]
        }.map { name, share in
            """
            <li><span class="name">\(name)</span>\
            <span class="track"><i style="width:\(fixed(100 * share, 2))%"></i></span>\
            <b>\(fixed(100 * share, 1)) %</b></li>
            """
        }
        page.append("<ul class=\"bars\">\n\(bars.joined(separator: "\n"))\n</ul>")
    }
}
