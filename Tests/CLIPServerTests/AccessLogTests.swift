import Files
import Synchronization
import Testing

@testable import CLIPServer

@Suite struct AccessLogTests {
    private let entry = AccessLog.Entry(
        time: 1_777_896_000.25, peer: "127.0.0.1", method: "POST", path: "/v1/embeddings",
        status: 200, bytesIn: 120, bytesOut: 4096, seconds: 0.0213, model: "ViT-B/32", inputs: 2)

    @Test func textHasFieldsInFixedOrder() {
        #expect(
            AccessLog.text(entry) == """
                2026-05-04T12:00:00.250Z 127.0.0.1 POST /v1/embeddings 200 in=120 out=4096 \
                seconds=0.0213 model=ViT-B/32 inputs=2
                """)
    }

    @Test func unknownFieldsAreDashesInTextAndNullInJSON() throws {
        var entry = entry
        (entry.model, entry.inputs, entry.peer, entry.path) = (nil, nil, "", "")
        #expect(AccessLog.text(entry).hasSuffix(" model=- inputs=-"))
        let json = try JSONValue(parsing: Array(AccessLog.json(entry).utf8))
        #expect(json["model"] == .null && json["inputs"] == .null)
        #expect(json["peer"]?.string == "-" && json["path"]?.string == "-")
    }

    @Test func jsonHasTheSameFields() throws {
        let json = try JSONValue(parsing: Array(AccessLog.json(entry).utf8))
        #expect(
            json
                == .object([
                    "time": .string("2026-05-04T12:00:00.250Z"), "peer": .string("127.0.0.1"),
                    "method": .string("POST"), "path": .string("/v1/embeddings"),
                    "status": .integer(200), "bytes_in": .integer(120), "bytes_out": .integer(4096),
                    "seconds": .number(0.0213), "model": .string("ViT-B/32"), "inputs": .integer(2),
                ]))
    }

    @Test(arguments: [
        "/a\n2026-05-04T12:00:00.250Z 10.0.0.1 GET /admin 200", "/a\r\nb", "/a\u{1B}[31mb",
        "/\u{2028}\u{85}\u{0}", "/ \" in=1 \\", "/%0A", "/\u{202E}abc", "/é\u{301}",
    ])
    func pathsCannotForgeFieldsOrLines(path: String) throws {
        var entry = entry
        (entry.path, entry.method, entry.model, entry.peer) = (path, path, path, path)
        for line in [AccessLog.text(entry), AccessLog.json(entry)] {
            #expect(line.utf8.allSatisfy { (0x20..<0x7F).contains($0) }, "\(line)")
        }
        #expect(AccessLog.text(entry).split(separator: " ").count == 10)
        let json = try JSONValue(parsing: Array(AccessLog.json(entry).utf8))
        #expect(json.members?.count == 10)
    }

    @Test func percentSignsAreEncoded() {
        #expect(AccessLog.escaped(path: "/a b/%41+\u{7}") == "/a%20b/%2541%2B%07")
    }

    @Test func longPathsAreCut() {
        let path = AccessLog.escaped(path: "/" + String(repeating: "é", count: 5000))
        #expect(path.hasSuffix("...") && path.utf8.count <= AccessLog.pathLimit)
        let whole = "/" + String(repeating: "a", count: AccessLog.pathLimit - 4)
        #expect(AccessLog.escaped(path: whole) == whole)
    }

    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (951_782_399.999, "2000-02-28T23:59:59.999Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_735_689_599.5, "2024-12-31T23:59:59.500Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"), (-1, "1970-01-01T00:00:00.000Z"),
            (.nan, "1970-01-01T00:00:00.000Z"), (.infinity, "9999-12-31T23:59:59.999Z"),
        ] as [(Double, String)])
    func timesAreWrittenInUTC(time: Double, expected: String) {
        #expect(AccessLog.timestamp(time) == expected)
    }

    @Test func noneWritesNothing() {
        let count = Counter()
        for format in ServerOptions.LogFormat.allCases {
            AccessLog(format) { _ in count.increment() }.record(entry)
        }
        #expect(count.value == 2)
    }

    private final class Counter: Sendable {
        private let count = Mutex(0)
        var value: Int { count.withLock(\.self) }
        func increment() { count.withLock { $0 += 1 } }
    }
}
