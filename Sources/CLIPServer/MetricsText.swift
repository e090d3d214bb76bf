/// A writer of Prometheus' text format, version 0.0.4.
struct MetricsText {
    /// The media type of the format.
    static let mediaType = "text/plain; version=0.0.4; charset=utf-8"

    /// The name and the value of a label.
    typealias Label = (name: String, value: String)

    private(set) var text = ""

    /// Starts a metric: its lines HELP and TYPE.
    ///
    /// - Parameters:
    ///   - name: The name of the metric.
    ///   - type: `counter`, `gauge` or `histogram`.
    ///   - help: A description on one line.
    mutating func begin(_ name: String, _ type: String, _ help: String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }

    /// Adds one value of the current metric.
    mutating func add(_ name: String, _ labels: [Label], _ value: Int) {
        line(name, labels, "\(value)")
    }

    /// Adds one value of the current metric, with the fewest digits that identify it.
    mutating func add(_ name: String, _ labels: [Label], _ value: Double) {
        line(name, labels, "\(value)")
    }

    /// Adds the cumulative buckets, the sum and the count of a histogram.
    mutating func add(_ name: String, _ labels: [Label], _ histogram: Histogram) {
        let counts = histogram.current
        var total = 0
        for (index, count) in counts.buckets.enumerated() {
            total += count
            let bound = index < histogram.bounds.count ? "\(histogram.bounds[index])" : "+Inf"
            line("\(name)_bucket", labels + [("le", bound)], "\(total)")
        }
        line("\(name)_sum", labels, "\(counts.sum)")
        line("\(name)_count", labels, "\(total)")
    }

    private mutating func line(_ name: String, _ labels: [Label], _ value: String) {
        text += name
        if !labels.isEmpty {
            let pairs = labels.map { "\($0.name)=\"\(Self.escaped($0.value))\"" }
            text += "{" + pairs.joined(separator: ",") + "}"
        }
        text += " \(value)\n"
    }

    /// Returns the value of a label with escaped backslashes, quotation marks and line feeds.
    ///
    /// Other control characters become U+FFFD; a carriage return would end a line for some parsers.
    static func escaped(_ value: String) -> String {
        var escaped = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            case _ where scalar.properties.generalCategory == .control: escaped += "\u{FFFD}"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
