/// The counters and histograms of a server, for `GET /metrics`.
final class Metrics: Sendable {
    /// A stage of the work on a request that is timed.
    enum Stage: String, Sendable, CaseIterable { case decode, tokenize, wait, inference }
    /// A tower of a model.
    enum Tower: String, Sendable, CaseIterable { case image, text }

    /// Counts a request that has ended. `endpoint` is the path of an `Endpoint`, or `other`.
    func countRequest(_ endpoint: String, status: Int, seconds: Double) {}
    /// Counts a failed request by `RequestError.code`.
    func countFailure(_ code: String) {}
    /// Records the duration of a stage for one image or text, or of the inference of one batch.
    func observe(_ stage: Stage, seconds: Double) {}
    /// Records the number of inputs of a batch.
    func observeBatch(_ tower: Tower, size: Int) {}
}
