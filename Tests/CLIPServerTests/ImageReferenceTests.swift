import Testing

@testable import CLIPServer

@Suite struct ImageReferenceTests {
    /// The settings of a server that fetches URLs.
    private static let options = {
        var options = ServerOptions()
        options.allowsURLs = true
        return options
    }()
    private static let foo = ImageReference.bytes(Array("foo".utf8))

    @Test(arguments: [
        "Zm9v", "Zm9v\n", "data:image/png;base64,Zm9v", "DATA:IMAGE/PNG;BASE64,Zm9v",
        "data:image/jpeg;charset=x;base64,Zm9v", "data:;base64,Zm9v",
        "data:application/octet-stream;base64,Zm9v", "data:image/png;base64,%5Am9%76",
        "data:image/png;base64, Zm9v", "data:image/png,foo", "data:image/png,%66o%6F", "data:,foo",
        " data:image/png;base64,Zm9v",
    ])
    func bytesAreDecoded(text: String) throws {
        #expect(try ImageReference(text, parameter: "input", Self.options) == Self.foo, "\(text)")
    }

    @Test func dataURLsKeepPlusSigns() throws {
        let image = try ImageReference(
            "data:image/png;base64,+/+/", parameter: "input", Self.options)
        #expect(image == .bytes([0xFB, 0xFF, 0xBF]))
        let text = try ImageReference("data:image/png,a+b", parameter: "input", Self.options)
        #expect(text == .bytes(Array("a+b".utf8)))
    }

    @Test(arguments: ["http://example.com/a.png", "HTTPS://example.com/a.png?x=1,2"])
    func urlsAreKept(text: String) throws {
        #expect(
            try ImageReference(text, parameter: "input", Self.options)
                == .url(text, parameter: "input"))
    }

    @Test func urlsAreRejectedUnlessAllowed() {
        let error = EndpointRequests.error {
            _ = try ImageReference("http://example.com/", parameter: "x[1]", ServerOptions())
        }
        #expect(error?.status == 400 && error?.parameter == "x[1]")
        #expect(error?.message.hasPrefix("x[1]: the server does not fetch URLs") == true)
    }

    @Test(arguments: [
        "", " ", "cat.jpg", "data:", "data:image/png;base64,", "data:image/png;base64,?",
        "data:image/png;base64,Zm9v#", "data:image/png;base64,%", "data:image/png,%4",
        "data:image/png", "data:text/html,foo", "data:text/html;base64,Zm9v", "file:///etc/passwd",
        "ftp://example.com/a.png", "javascript:alert(1)", "://", ":", "http://a b/",
        "http://a\r\nHost: b/", "https://a/\u{0}", "gopher://127.0.0.1:25/", "\u{0}",
    ])
    func otherTextIsRejected(text: String) {
        let error = #expect(throws: RequestError.self, "\(text.debugDescription)") {
            try ImageReference(text, parameter: "input[3]", Self.options)
        }
        #expect(error?.status == 400 && error?.parameter == "input[3]")
        #expect(error?.message.contains("input[3]") == true)
    }

    @Test func longURLsAreRejected() {
        for text in [
            "http://a/" + String(repeating: "a", count: 1 << 22),
            "data:image/" + String(repeating: "a", count: 1 << 22) + ";base64,Zm9v",
            "data:" + String(repeating: ";", count: 1 << 22),
            "http:" + String(repeating: " ", count: 1 << 22),
        ] {
            #expect(throws: RequestError.self) {
                try ImageReference(text, parameter: "input", Self.options)
            }
        }
    }

    /// Base64 is never taken for a path: the bytes are decoded.
    @Test func pathsOfTheAlphabetAreBytes() throws {
        let image = try ImageReference("/etc/passwd+", parameter: "input", Self.options)
        guard case .bytes(let bytes) = image else {
            Issue.record("expected bytes, found \(image)")
            return
        }
        #expect(bytes.count == 9)
    }
}
