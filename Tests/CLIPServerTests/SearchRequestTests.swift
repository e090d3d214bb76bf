import CLIPSearch
import Files
import Testing

@testable import CLIPServer

/// Tests parsing of search and zero-shot requests.
@Suite struct SearchRequestTests {
    private static let id = String(repeating: "ab", count: 32) + "-0123456789abcdef"

    private func query(_ parameters: (String, String)...) throws(RequestError) -> SearchRequest {
        try SearchRequest(query: parameters.map { (name: $0.0, value: $0.1) })
    }

    private func request(_ body: String, type: String = "application/json") -> ServerRequest {
        ServerRequest(
            method: "POST", path: "/search", headers: [("Content-Type", type)],
            body: Array(body.utf8))
    }

    private func body(_ json: String) throws(RequestError) -> SearchRequest {
        try SearchRequest(body: request(json), ServerOptions())
    }

    private func status(_ body: () throws -> Void) -> Int? {
        do {
            try body()
            return nil
        } catch {
            return (error as? RequestError)?.status ?? 0
        }
    }

    @Test(arguments: [
        ("a dog", ["a dog"]), ("  a   dog ", ["a dog"]), ("a dog + b", ["a dog", "+", "b"]),
        ("2:a dog - fruit", ["2:a dog", "-", "fruit"]), ("t-shirt a+b", ["t-shirt a+b"]),
        ("- a", ["-", "a"]), ("", []), ("a\n+\tb", ["a", "+", "b"]), ("+ -", ["+", "-"]),
    ]) func linesAreSplitIntoOperandsAndSigns(_ line: String, expected: [String]) {
        #expect(SearchQuery.words(ofLine: line) == expected)
    }

    @Test func queryHasTermsAndDefaults() throws {
        let request = try query(("q", "2:a dog + a beach - fruit"))
        #expect(
            request.terms == [
                .init(weight: 2, operand: .text("a dog")),
                .init(weight: 1, operand: .text("a beach")),
                .init(weight: -1, operand: .text("fruit")),
            ])
        #expect(request.top == 10 && request.threshold == -1 && request.indexes.isEmpty)
        #expect(request.line == "2:a dog + a beach - fruit")
    }

    @Test func queryHasImagesOfTheIndex() throws {
        let request = try query(
            ("q", "snow"), ("like", Self.id), ("like", "-0.5:3/\(Self.id)"), ("top", "1000"),
            ("index", "0"), ("index", "photos"), ("threshold", "0.25"))
        let id = try #require(ImageID(Self.id))
        #expect(
            request.terms == [
                .init(weight: 1, operand: .text("snow")),
                .init(weight: 1, operand: .like(id, index: nil)),
                .init(weight: -0.5, operand: .like(id, index: 3)),
            ])
        #expect(request.top == 1000 && request.threshold == 0.25)
        #expect(request.indexes == ["0", "photos"])
        #expect(request.line == "snow + like:\(Self.id) - 0.5:like:3/\(Self.id)")
    }

    @Test(
        arguments: [
            [("q", "")], [], [("q", "a +")], [("q", "a + + b")], [("q", "a"), ("q", "b")],
            [("q", "a"), ("top", "0")], [("q", "a"), ("top", "1001")], [("q", "a"), ("top", "x")],
            [("q", "a"), ("threshold", "nan")], [("q", "a"), ("threshold", "1.5")],
            [("like", "../etc/passwd")], [("like", "x:\(id)")], [("like", "0:\(id)")],
            [("like", "inf:\(id)")], [("like", "1/2/\(id)")], [("like", "-1/\(id)")],
            [("like", "1e30:\(id)")], [("q", "1e30:a")],
            [("q", (0..<17).map { "\($0)" }.joined(separator: " + "))],
        ] as [[(String, String)]])
    func brokenQueryIsRefused(_ parameters: [(String, String)]) {
        let found = status {
            _ = try SearchRequest(query: parameters.map { (name: $0.0, value: $0.1) })
        }
        #expect(found == 400, "\(parameters)")
    }

    @Test func longQueryIsRefused() {
        #expect(status { _ = try query(("q", String(repeating: "a", count: 20000))) } == 413)
        #expect(status { _ = try query(("like", String(repeating: "a", count: 201))) } == 413)
    }

    @Test func bodyHasTerms() throws {
        let request = try body(
            """
            {"terms":[{"text":"a"},{"text":"b - c","weight":-2},{"like":"1/\(Self.id)"},
            {"image":"/9j/","weight":0.5}],"q":"x + y","top":3,"index":[0,"photos"],
            "threshold":-0.5,"other":null}
            """)
        let id = try #require(ImageID(Self.id))
        #expect(
            request.terms == [
                .init(weight: 1, operand: .text("x")), .init(weight: 1, operand: .text("y")),
                .init(weight: 1, operand: .text("a")), .init(weight: -2, operand: .text("b - c")),
                .init(weight: 1, operand: .like(id, index: 1)),
                .init(weight: 0.5, operand: .image(.bytes([0xFF, 0xD8, 0xFF]))),
            ])
        #expect(request.top == 3 && request.indexes == ["0", "photos"])
        #expect(request.threshold == -0.5)
    }

    @Test(arguments: [
        "", "[]", "{", "null", "{}", #"{"terms":{}}"#, #"{"terms":[]}"#, #"{"terms":["a"]}"#,
        #"{"terms":[{}]}"#, #"{"terms":[{"text":"a","like":"b"}]}"#, #"{"terms":[{"text":" "}]}"#,
        #"{"terms":[{"text":1}]}"#, #"{"terms":[{"text":"a","weight":0}]}"#,
        #"{"terms":[{"text":"a","weight":1e300}]}"#, #"{"terms":[{"text":"a","weight":"1"}]}"#,
        #"{"terms":[{"image":"http://127.0.0.1/"}]}"#, #"{"terms":[{"image":"file:///etc"}]}"#,
        #"{"terms":[{"image":7}]}"#, #"{"terms":[{"like":"..\/x"}]}"#, #"{"q":["a","b"]}"#,
        #"{"q":"a","top":2.5}"#, #"{"q":"a","top":"3"}"#, #"{"q":"a","threshold":2}"#,
        #"{"q":"a","index":[[]]}"#, #"{"q":"a","index":0.5}"#, #"{"q":"a","q":"b"}"#,
    ]) func brokenBodyIsRefused(_ json: String) {
        #expect(status { _ = try body(json) } == 400, "\(json)")
    }

    @Test func bodyMustBeJSONOrAForm() {
        for type in ["", "application/ld+json", "Application/JSON; charset=utf-8"] {
            let found = status {
                _ = try SearchRequest(body: request(#"{"q":"a"}"#, type: type), ServerOptions())
            }
            #expect(found == nil, "\(type)")
        }
        for type in ["text/plain", "application/jsonp", "application/x-www-form-urlencoded"] {
            let found = status {
                _ = try SearchRequest(body: request(#"{"q":"a"}"#, type: type), ServerOptions())
            }
            #expect(found == 415, "\(type)")
        }
    }

    @Test func hugeJSONIsRefusedBeforeItIsParsed() {
        let json = "[" + String(repeating: "0,", count: 1 << 20) + "0]"
        #expect(status { _ = try body(json) } == 413)
    }

    @Test func formHasImagesAndQuery() throws {
        let form =
            "--x\r\nContent-Disposition: form-data; name=\"image\"; filename=\"../a.jpg\"\r\n"
            + "Content-Type: image/jpeg\r\n\r\nbytes\r\n--x\r\n"
            + "Content-Disposition: form-data; name=\"q\"\r\n\r\na - b\r\n--x\r\n"
            + "Content-Disposition: form-data; name=\"top\"\r\n\r\n7\r\n--x--\r\n"
        let found = try SearchRequest(
            body: request(form, type: "multipart/form-data; boundary=x"), ServerOptions())
        #expect(
            found.terms == [
                .init(weight: 1, operand: .text("a")), .init(weight: -1, operand: .text("b")),
                .init(weight: 1, operand: .image(.bytes(Array("bytes".utf8)))),
            ])
        #expect(found.top == 7)
    }

    @Test func imagesBeyondTheLimitAreRefused() {
        var options = ServerOptions()
        options.imagesPerRequest = 2
        for (count, expected) in [(2, nil), (3, 413)] {
            let images = Array(repeating: #"{"image":"/9j/"}"#, count: count)
            let json = #"{"q":"a","terms":[\#(images.joined(separator: ","))]}"#
            #expect(
                status { _ = try SearchRequest(body: request(json), options) } == expected,
                "\(count)")
        }
    }

    // MARK: zero-shot

    private func zeroShot(_ json: String) throws(RequestError) -> ZeroShotRequest {
        try ZeroShotRequest(body: request(json), ServerOptions())
    }

    @Test func zeroShotHasLabelsAndTemplates() throws {
        let plain = try zeroShot(#"{"image":"/9j/","labels":["a","b"]}"#)
        #expect(plain.labels == ["a", "b"] && plain.templates == ["{}"])
        #expect(
            plain.top == nil && plain.model == nil && plain.image == .bytes([0xFF, 0xD8, 0xFF]))
        let set = try zeroShot(
            #"{"image":"/9j/","labels":["a","b"],"templates":"imagenet","top":1,"model":"m"}"#)
        #expect(set.templates.count == 80 && set.top == 1 && set.model == "m")
        let own = try zeroShot(#"{"image":"/9j/","labels":["a","b"],"templates":["{}.","my {}"]}"#)
        #expect(own.templates == ["{}.", "my {}"])
    }

    @Test(arguments: [
        #"{"labels":["a","b"]}"#, #"{"image":"/9j/"}"#, #"{"image":"/9j/","labels":["a"]}"#,
        #"{"image":"/9j/","labels":"a"}"#, #"{"image":"/9j/","labels":["a",1]}"#,
        #"{"image":"/9j/","labels":["a"," "]}"#, #"{"image":"https://x.y/","labels":["a","b"]}"#,
        #"{"image":"/9j/","labels":["a","b"],"templates":"other"}"#,
        #"{"image":"/9j/","labels":["a","b"],"templates":["{}","x"]}"#,
        #"{"image":"/9j/","labels":["a","b"],"top":0}"#,
        #"{"image":"/9j/","labels":["a","b"],"model":1}"#,
    ]) func brokenZeroShotIsRefused(_ json: String) {
        #expect(status { _ = try zeroShot(json) } == 400, "\(json)")
    }

    @Test func zeroShotHasLimits() {
        func json(labels: Int, templates: Int, template: String = "{}", label: String = "a")
            -> String
        {
            let labels = (0..<labels).map { "\"\(label)\($0)\"" }.joined(separator: ",")
            let templates = (0..<templates).map { _ in "\"\(template)\"" }.joined(separator: ",")
            return #"{"image":"/9j/","labels":[\#(labels)],"templates":[\#(templates)]}"#
        }
        #expect(status { _ = try zeroShot(json(labels: 1000, templates: 16)) } == nil)
        #expect(status { _ = try zeroShot(json(labels: 1001, templates: 1)) } == 400)
        #expect(status { _ = try zeroShot(json(labels: 2, templates: 101)) } == 400)
        #expect(status { _ = try zeroShot(json(labels: 1000, templates: 17)) } == 413)
        let long = String(repeating: "{}", count: 900)
        let label = String(repeating: "a", count: 1900)
        #expect(
            status { _ = try zeroShot(json(labels: 2, templates: 2, template: long, label: label)) }
                == 413)
        #expect(
            status {
                _ = try zeroShot(
                    json(labels: 2, templates: 1, label: String(repeating: "a", count: 3000)))
            } == 413)
    }
}
