import Files
import Testing

@testable import CLIPServer

@Suite struct MetricsTests {
    /// The lines of the metrics that begin with a prefix.
    private func lines(_ metrics: Metrics, _ prefix: String) -> [String] {
        metrics.text(version: "1.2", commit: "abc").split(separator: "\n").map(String.init)
            .filter { $0.hasPrefix(prefix) }
    }

    @Test func requestsAreCountedByEndpointAndStatus() {
        let metrics = Metrics(endpoints: ["/embed", "/image/*"])
        metrics.countRequest("/embed", status: 200, seconds: 0.003)
        metrics.countRequest("/embed", status: 200, seconds: 0.004)
        metrics.countRequest("/embed", status: 429, seconds: 0)
        metrics.countRequest("/image/*", status: 404, seconds: 0)
        #expect(
            lines(metrics, "clip_requests_total") == [
                "clip_requests_total{endpoint=\"/embed\",status=\"200\"} 2",
                "clip_requests_total{endpoint=\"/embed\",status=\"429\"} 1",
                "clip_requests_total{endpoint=\"/image/*\",status=\"404\"} 1",
            ])
    }

    @Test func unknownEndpointsShareOneLabel() {
        let metrics = Metrics(endpoints: ["/embed"])
        for index in 0..<1000 { metrics.countRequest("/\(index)", status: 404, seconds: 0) }
        #expect(
            lines(metrics, "clip_requests_total") == [
                "clip_requests_total{endpoint=\"other\",status=\"404\"} 1000"
            ])
    }

    @Test func labelsAreLimitedWithoutListOfEndpoints() {
        let metrics = Metrics()
        for index in 0..<1000 {
            metrics.countRequest("/\(index)", status: 404, seconds: 0)
            metrics.countFailure("code\(index)")
        }
        #expect(lines(metrics, "clip_requests_total").count == 65)
        #expect(lines(metrics, "clip_failures_total").count == 65)
        #expect(
            lines(metrics, "clip_failures_total{reason=\"other\"}").last?.hasSuffix(" 936") == true)
    }

    @Test func bucketsAreCumulativeAndIncludeTheirBounds() {
        let metrics = Metrics()
        for size in [1, 2, 2, 3, 1000] { metrics.observeBatch(.text, size: size) }
        let found = lines(metrics, "clip_batch_size").filter { $0.contains("text") }
        #expect(found.prefix(3).map { $0.split(separator: " ").last } == ["1", "3", "4"])
        #expect(found.contains("clip_batch_size_bucket{tower=\"text\",le=\"256.0\"} 4"))
        #expect(found.contains("clip_batch_size_bucket{tower=\"text\",le=\"+Inf\"} 5"))
        #expect(
            found.suffix(2) == [
                "clip_batch_size_sum{tower=\"text\"} 1008.0",
                "clip_batch_size_count{tower=\"text\"} 5",
            ])
    }

    @Test func durationsThatAreNotFiniteAreIgnored() {
        let metrics = Metrics()
        for seconds in [Double.nan, .infinity, -.infinity, -1, 0.5] {
            metrics.observe(.wait, seconds: seconds)
        }
        #expect(
            lines(metrics, "clip_wait_seconds").suffix(2) == [
                "clip_wait_seconds_sum 0.5", "clip_wait_seconds_count 2",
            ])
    }

    @Test func gaugesAreMeasuredAtEachCall() {
        let metrics = Metrics()
        metrics.measure {
            var gauges = Metrics.Gauges()
            gauges.queues = [.init(model: "a\"b\\c\nd\re", tower: .image, length: 3)]
            gauges.models = [.init(name: "ViT-B/32", bytes: 605)]
            gauges.indexes = [
                .init(number: 0, name: "photos", failures: 0),
                .init(number: 1, name: "photos", failures: 2),
            ]
            gauges.connections = 7
            return gauges
        }
        #expect(
            lines(metrics, "clip_queue_length") == [
                "clip_queue_length{model=\"a\\\"b\\\\c\\nd\u{FFFD}e\",tower=\"image\"} 3"
            ])
        #expect(
            lines(metrics, "clip_model") == [
                "clip_models_loaded 1", "clip_model_bytes{model=\"ViT-B/32\"} 605",
            ])
        #expect(
            lines(metrics, "clip_index_failures") == [
                "clip_index_failures_total{index=\"0\",name=\"photos\"} 0",
                "clip_index_failures_total{index=\"1\",name=\"photos\"} 2",
            ])
        #expect(lines(metrics, "clip_connections") == ["clip_connections 7"])
    }

    @Test func eachMetricHasHelpAndTypeOnceBeforeItsValues() throws {
        let metrics = Metrics()
        metrics.countRequest("/embed", status: 200, seconds: 1)
        metrics.countFailure("busy")
        var described: Set<Substring> = []
        for line in metrics.text(version: "1").split(separator: "\n") {
            let words = line.split(separator: " ")
            if line.hasPrefix("# TYPE ") {
                #expect(described.insert(words[2]).inserted, "\(line)")
            } else if !line.hasPrefix("#") {
                let name = try #require(line.split { "{ ".contains($0) }.first)
                let isKnown = described.contains { type in
                    ["", "_bucket", "_sum", "_count"].contains { type + $0 == name }
                }
                #expect(isKnown, "\(line)")
                #expect(Double(words.last ?? "") != nil, "\(line)")
            }
        }
        #expect(described.count == 16, "\(described.sorted())")
    }

    @Test func versionIsLeftOutIfUnknown() {
        #expect(
            lines(Metrics(), "clip_build_info") == [
                "clip_build_info{version=\"1.2\",commit=\"abc\"} 1"
            ])
        #expect(!Metrics().text().contains("clip_build_info"))
    }

    @Test func residentMemoryIsThatOfTheProcess() {
        #if os(Linux)
            let bytes = residentMemory() ?? 0
            #expect(bytes > 1 << 20 && bytes < 1 << 40, "found \(bytes)")
        #endif
    }

    @Test func manyTasksCountWithoutLoss() async {
        let metrics = Metrics()
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<16 {
                group.addTask {
                    for _ in 0..<1000 {
                        metrics.countRequest("/\(task % 4)", status: 200, seconds: 0.001)
                        metrics.observe(.decode, seconds: 0.25)
                        metrics.observeBatch(.image, size: 8)
                        metrics.countFailure("busy")
                    }
                }
            }
            for _ in 0..<20 { _ = metrics.text() }
        }
        #expect(
            lines(metrics, "clip_requests_total").map { $0.split(separator: " ").last }
                == ["4000", "4000", "4000", "4000"])
        #expect(lines(metrics, "clip_decode_seconds_sum") == ["clip_decode_seconds_sum 4000.0"])
        #expect(
            lines(metrics, "clip_failures_total") == ["clip_failures_total{reason=\"busy\"} 16000"])
    }
}
