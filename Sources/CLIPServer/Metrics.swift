internal import Files
internal import Synchronization

/// The counters and histograms of a server, for `GET /metrics`.
final class Metrics: Sendable {
    /// A stage of the work on a request that is timed.
    enum Stage: String, Sendable, CaseIterable { case decode, tokenize, wait, inference }
    /// A tower of a model.
    enum Tower: String, Sendable, CaseIterable { case image, text }

    /// Values that are measured when metrics are written.
    struct Gauges: Sendable {
        /// The number of inputs that wait for a tower of a loaded model.
        struct Queue: Sendable {
            var model: String
            var tower: Tower
            var length: Int
        }
        /// A loaded model and its size in bytes.
        struct Model: Sendable {
            var name: String
            var bytes: Int
        }

        /// An index and the number of times that it could not be opened again.
        struct Index: Sendable {
            /// The number of the index, because two indexes may have the same name.
            var number: Int
            var name: String
            var failures: Int
        }

        var queues: [Queue] = []
        var models: [Model] = []
        var indexes: [Index] = []
        /// The number of open connections.
        var connections = 0
    }

    /// The largest number of values of a label that depends on requests; further ones are `other`.
    private static let labelLimit = 64

    private struct Requests: Sendable {
        /// The number of requests by endpoint and status.
        var counts: [String: [Int: Int]] = [:]
        var durations: [String: Histogram] = [:]
        var failures: [String: Int] = [:]
    }

    private let endpoints: Set<String>?
    private let start = unixTime()
    private let requests = Mutex(Requests())
    private let stages = Stage.allCases.map { _ in Histogram(bounds: Histogram.durations) }
    private let batches = Tower.allCases.map { _ in Histogram(bounds: Histogram.batchSizes) }
    private let gauges: Mutex<@Sendable () -> Gauges> = Mutex({ Gauges() })

    /// Makes metrics whose counts are zero.
    ///
    /// - Parameter endpoints: The paths that are counted each by itself, such as those of
    ///   `Endpoints.all`; others are counted as `other`. Nil counts the first 64 paths.
    init(endpoints: Set<String>? = nil) { self.endpoints = endpoints }

    /// Sets the function that measures gauges; it is called by each `text(version:commit:)`.
    func measure(_ gauges: @escaping @Sendable () -> Gauges) {
        self.gauges.withLock { $0 = gauges }
    }

    /// Counts a request that has ended.
    ///
    /// - Parameters:
    ///   - endpoint: The path of an `Endpoint`, or `other`.
    ///   - status: The status of the response.
    ///   - seconds: The duration of the request.
    func countRequest(_ endpoint: String, status: Int, seconds: Double) {
        let isKnown = endpoints.map { $0.contains(endpoint) } ?? true
        let histogram = requests.withLock { requests in
            let name = isKnown ? Self.label(endpoint, in: requests.counts) : "other"
            requests.counts[name, default: [:]][status, default: 0] += 1
            if let histogram = requests.durations[name] { return histogram }
            let histogram = Histogram(bounds: Histogram.durations)
            requests.durations[name] = histogram
            return histogram
        }
        histogram.observe(seconds)
    }

    /// Counts a failed request by `RequestError.code`.
    func countFailure(_ code: String) {
        requests.withLock {
            $0.failures[Self.label(code, in: $0.failures), default: 0] += 1
        }
    }

    /// Records the duration of a stage for one image or text, or of the inference of one batch.
    func observe(_ stage: Stage, seconds: Double) {
        for (known, histogram) in zip(Stage.allCases, stages) where known == stage {
            histogram.observe(seconds)
        }
    }

    /// Records the number of inputs of a batch.
    func observeBatch(_ tower: Tower, size: Int) {
        for (known, histogram) in zip(Tower.allCases, batches) where known == tower {
            histogram.observe(Double(size))
        }
    }

    private static func label<Value>(_ name: String, in counts: [String: Value]) -> String {
        counts[name] != nil || counts.count < labelLimit ? name : "other"
    }

    /// Returns all metrics in Prometheus' text format.
    ///
    /// - Parameters:
    ///   - version: The version of the command; empty to omit it.
    ///   - commit: The commit that was built; empty if unknown.
    /// - Returns: Text of the media type `MetricsText.mediaType`. Gauges are measured by each call.
    func text(version: String = "", commit: String = "") -> String {
        let (requests, measure) = (requests.withLock(\.self), gauges.withLock(\.self))
        let gauges = measure()
        var text = MetricsText()
        write(requests, to: &text)
        write(gauges, to: &text)
        for (stage, histogram) in zip(Stage.allCases, stages) {
            let name = "clip_\(stage.rawValue)_seconds"
            text.begin(name, "histogram", Self.help(stage))
            text.add(name, [], histogram)
        }
        text.begin("clip_batch_size", "histogram", "The number of inputs of a batch.")
        for (tower, histogram) in zip(Tower.allCases, batches) {
            text.add("clip_batch_size", [("tower", tower.rawValue)], histogram)
        }
        if let bytes = residentMemory() {
            text.begin(
                "clip_resident_memory_bytes", "gauge", "The resident memory of the process.")
            text.add("clip_resident_memory_bytes", [], bytes)
        }
        if !version.isEmpty {
            text.begin("clip_build_info", "gauge", "The version of clip; the value is 1.")
            text.add("clip_build_info", [("version", version), ("commit", commit)], 1)
        }
        text.begin(
            "process_start_time_seconds", "gauge", "The start of the server, in seconds since 1970."
        )
        text.add("process_start_time_seconds", [], start)
        return text.text
    }

    private func write(_ requests: Requests, to text: inout MetricsText) {
        text.begin("clip_requests_total", "counter", "Requests by endpoint and HTTP status.")
        for (endpoint, counts) in requests.counts.sorted(by: { $0.key < $1.key }) {
            for (status, count) in counts.sorted(by: { $0.key < $1.key }) {
                text.add(
                    "clip_requests_total", [("endpoint", endpoint), ("status", "\(status)")], count)
            }
        }
        let name = "clip_request_duration_seconds"
        text.begin(name, "histogram", "Seconds from the complete request to the response.")
        for (endpoint, histogram) in requests.durations.sorted(by: { $0.key < $1.key }) {
            text.add(name, [("endpoint", endpoint)], histogram)
        }
        text.begin("clip_failures_total", "counter", "Failed requests by reason.")
        for (code, count) in requests.failures.sorted(by: { $0.key < $1.key }) {
            text.add("clip_failures_total", [("reason", code)], count)
        }
    }

    private func write(_ gauges: Gauges, to text: inout MetricsText) {
        text.begin("clip_queue_length", "gauge", "The inputs that wait for a tower of a model.")
        for queue in gauges.queues {
            text.add(
                "clip_queue_length", [("model", queue.model), ("tower", queue.tower.rawValue)],
                queue.length)
        }
        text.begin("clip_models_loaded", "gauge", "The number of loaded models.")
        text.add("clip_models_loaded", [], gauges.models.count)
        text.begin("clip_model_bytes", "gauge", "The size of each loaded model in bytes.")
        for model in gauges.models {
            text.add("clip_model_bytes", [("model", model.name)], model.bytes)
        }
        text.begin(
            "clip_index_failures_total", "counter",
            "Failed attempts to open an index that has changed.")
        for index in gauges.indexes {
            text.add(
                "clip_index_failures_total", [("index", "\(index.number)"), ("name", index.name)],
                index.failures)
        }
        text.begin("clip_connections", "gauge", "The number of open connections.")
        text.add("clip_connections", [], gauges.connections)
    }

    private static func help(_ stage: Stage) -> String {
        switch stage {
        case .decode: "Seconds to decode and preprocess an image."
        case .tokenize: "Seconds to tokenize a text."
        case .wait: "Seconds that an input waits for its batch."
        case .inference: "Seconds of a tower for a batch."
        }
    }
}

extension Duration {
    /// The duration as a number of seconds.
    var inSeconds: Double { self / .seconds(1) }
}
