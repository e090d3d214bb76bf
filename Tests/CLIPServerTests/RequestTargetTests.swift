import Testing

@testable import CLIPServer

@Suite struct RequestTargetTests {
    private func parse(_ target: String, _ base: String = "") throws -> String {
        let target = try RequestTarget(target, basePath: base)
        return target.path + target.query.map { " \($0.name)=\($0.value)" }.joined()
    }

    @Test(arguments: [
        ("/", "/"), ("/v1/embeddings", "/v1/embeddings"), ("/search?q=a", "/search q=a"),
        ("/search?q=a+b%2Bc&top=5", "/search q=a b+c top=5"), ("/a+b", "/a+b"),
        ("/s?q=a%26b%3Dc", "/s q=a&b=c"), ("/s?q", "/s q="), ("/s?=1", "/s =1"),
        ("/s?&&q=1&", "/s q=1"), ("/s?q=1=2?3", "/s q=1=2?3"), ("/s?", "/s"),
        ("/v1/models/org%2Fname", "/v1/models/org/name"), ("/s?q=gr%C3%B6%C3%9Fe", "/s q=größe"),
        ("/s?q=größe", "/s q=größe"), ("/s?q=a%0Ab", "/s q=a\nb"),
        ("/.well-known/live", "/.well-known/live"),
        ("//evil.example/x", "//evil.example/x"), ("/a\\..\\b", "/a\\..\\b"), ("/...", "/..."),
        ("http://localhost:8000/ping?x=1", "/ping x=1"), ("HTTPS://host", "/"),
        ("http://host?q=/", "/ q=/"), ("/%2561", "/%61"), ("/s?q=1&q=2", "/s q=1 q=2"),
    ])
    func targetsAreDecoded(target: String, expected: String) throws {
        #expect(try parse(target) == expected)
    }

    @Test(arguments: [
        "", "*", "localhost:80", "ftp://host/", "http://", "http:///path", "?q=1", "path", " /",
        "/a b", "/a\r\nHost: b", "/a\n", "/\u{0}", "/\u{7F}", "/a#b", "/%", "/%1", "/%zz", "/%+1",
        "/% 1", "/%00", "/s?q=%00", "/s?%00=1", "/%FF", "/s?q=%C3", "/s?q=%ED%A0%80", "/s?q=%C0%AF",
        "/s?q=%F5%80%80%80", "/s?q=%", "/%0d%0aSet-Cookie:x", "/a/../b", "/..", "/a/.", "/%2e%2e/b",
        "/a%2f..%2fb", "/.%2e", "/s?q=1#x",
    ])
    func malformedTargetsAreRejected(target: String) {
        let error = #expect(throws: RequestError.self, "\(target.debugDescription)") {
            try parse(target)
        }
        #expect(error?.status == 400)
    }

    @Test(arguments: ["/clip", "/clip/"])
    func basePathIsRemoved(base: String) throws {
        #expect(try parse("/clip", base) == "/")
        #expect(try parse("/clip/", base) == "/")
        #expect(try parse("/clip/ping?x=1", base) == "/ping x=1")
        #expect(try parse("/%63lip/ping", base) == "/ping")
        #expect(try parse("/clip//ping", base) == "//ping")
    }

    @Test(arguments: ["/", "/ping", "/clipper", "/Clip/ping", "//clip/ping", "/a/clip", "/cli"])
    func pathsOutsideTheBasePathAreNotFound(target: String) {
        let error = #expect(throws: RequestError.self) { try parse(target, "/clip") }
        #expect(error?.status == 404)
    }

    @Test func unicodeFormsOfTheBasePathDiffer() {
        #expect(throws: RequestError.self) { try parse("/e\u{301}/ping", "/\u{E9}") }
    }

    @Test func longTargetsAreRejected() throws {
        let limit = RequestTarget.lengthLimit
        _ = try parse("/" + String(repeating: "a", count: limit - 1))
        let error = #expect(throws: RequestError.self) {
            try parse("/" + String(repeating: "a", count: limit))
        }
        #expect(error?.status == 414)
    }

    @Test func manyParametersAreRejected() throws {
        let fields = (0..<RequestTarget.parameterLimit).map { "a=\($0)" }.joined(separator: "&")
        _ = try parse("/?" + fields)
        #expect(throws: RequestError.self) { try parse("/?" + fields + "&b=1") }
    }
}

@Suite struct TrimmedTests {
    @Test(arguments: [
        ("", ""), (" ", ""), (" \t ", ""), ("a", "a"), (" a b\t", "a b"), ("\u{E9} ", "\u{E9}"),
        (" \u{301} ", "\u{301}"), ("\n a \n", "\n a \n"),
    ])
    func spacesAndTabsAtTheEndsAreRemoved(text: String, expected: String) {
        #expect(text.trimmed.utf8.elementsEqual(expected.utf8))
        #expect(("<" + text).dropFirst().trimmed.utf8.elementsEqual(expected.utf8))
    }
}
