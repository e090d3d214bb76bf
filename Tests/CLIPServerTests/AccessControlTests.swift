import Testing

@testable import CLIPServer

@Suite struct AccessControlTests {
    private typealias Headers = [(name: String, value: String)]

    /// Returns the status of the refusal; nil if the request is allowed.
    private func status(
        _ headers: Headers, method: String = "POST", isOpen: Bool = false,
        _ change: (inout ServerOptions) -> Void = { _ in }
    ) -> Int? {
        var options = ServerOptions()
        change(&options)
        do {
            try AccessControl(options).check(
                method: method, path: "/v1/embeddings", headers: headers, isOpen: isOpen)
            return nil
        } catch { return error.status }
    }

    // MARK: Host

    @Test(arguments: [
        "localhost", "localhost:8000", "LOCALHOST:8000", "clip.localhost:1", "127.0.0.1:8000",
        "192.168.1.20", "0.0.0.0:80", "[::1]:8000", "[FE80::1]", "[::ffff:127.0.0.1]:80",
        "clip-server:3003", "my_host", "localhost:",
    ])
    func localHostsAreAllowed(host: String) {
        #expect(status([("Host", host)]) == nil)
        #expect(status([("hOsT", host)]) == nil)
    }

    @Test(arguments: [
        "evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example",
        "notlocalhost.", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.", "1.2.3.0x4", "localhost.",
        "xlocalhost.x", "evil-localhost.com",
    ])
    func foreignHostsAreRefused(host: String) {
        #expect(status([("Host", host)]) == 403)
    }

    @Test(arguments: [
        "", ":80", "a b", "a,b", "user@localhost", "localhost:80:80", "localhost:x", "localhost:-1",
        "localhost:65536", "localhost:123456", "localhost/", "localhost#", "[::1", "[]", "[1]",
        "[::1]x", "[::1]]", "[::g]", "[::1%25eth0]", "http://localhost", "lo\u{212A}alhost",
        "localhost\r\nX: y", "loc\u{0}alhost", "größe", "\u{FF4C}ocalhost", "*", "null",
        String(repeating: "a", count: 300),
    ])
    func malformedHostsAreRefused(host: String) {
        // `null` is a name without a dot.
        #expect(status([("Host", host)]) == (host == "null" ? nil : 400), "\(host)")
    }

    @Test func hostMustOccurOnce() {
        #expect(status([]) == 400)
        #expect(status([("Host", "localhost"), ("host", "localhost")]) == 400)
    }

    @Test func allowedHostsHaveAnyPort() {
        let allow = { (options: inout ServerOptions) in
            options.allowedHosts = ["Photos.example.com", "other.example:8443"]
        }
        #expect(status([("Host", "photos.example.com")], allow) == nil)
        #expect(status([("Host", "PHOTOS.example.com:8443")], allow) == nil)
        #expect(status([("Host", "other.example")], allow) == nil)
        #expect(status([("Host", "a.photos.example.com")], allow) == 403)
    }

    @Test func refusedHostIsNamedWithTheOption() {
        let error = #expect(throws: RequestError.self) {
            try AccessControl(ServerOptions()).check(
                method: "GET", path: "/", headers: [("Host", "photos.example.com:80")], isOpen: true
            )
        }
        #expect(error?.message.contains("--allow-host photos.example.com ") == true)
    }

    // MARK: Origin

    @Test(arguments: [
        ("localhost:8000", "http://localhost:8000"), ("localhost:8000", "https://localhost:8000"),
        ("127.0.0.1", "http://127.0.0.1"), ("127.0.0.1:80", "http://127.0.0.1"),
        ("127.0.0.1:443", "https://127.0.0.1"), ("[::1]:8000", "http://[::1]:8000"),
        ("LocalHost:8000", "http://localhost:8000"),
    ])
    func ownOriginIsAllowed(host: String, origin: String) {
        #expect(status([("Host", host), ("Origin", origin)]) == nil)
    }

    @Test(arguments: [
        "http://evil.example", "null", "", "http://localhost", "http://localhost:8001",
        "http://127.0.0.1:8000", "ftp://localhost:8000", "http://localhost:8000.evil.example",
        "http://localhost:8000@evil.example", "http://localhost:8000/", "http://localhost:8000 x",
        "localhost:8000", "//localhost:8000", "http:localhost:8000", "chrome-extension://abc",
        "http://localhost:8000\r\nX: y", "file://", "http://localhost:8000, http://localhost:8000",
    ])
    func foreignOriginsAreRefused(origin: String) {
        #expect(status([("Host", "localhost:8000"), ("Origin", origin)]) == 403, "\(origin)")
    }

    @Test func originMustOccurOnce() {
        let own = ("Origin", "http://localhost")
        #expect(status([("Host", "localhost"), own, own]) == 403)
    }

    @Test(arguments: ["https://app.example", "http://a.example:8080", "app://obsidian.md"])
    func corsOriginsAreAllowed(origin: String) {
        let headers = [("Host", "localhost"), ("Origin", origin), ("Sec-Fetch-Site", "cross-site")]
        #expect(status(headers) == 403)
        let allow = { (options: inout ServerOptions) in
            options.corsOrigins = [
                "https://App.example/", "http://a.example:8080", "app://obsidian.md",
            ]
        }
        #expect(status(headers, allow) == nil)
        #expect(status([("Host", "evil.example"), ("Origin", origin)], allow) == 403)
        #expect(status([("Host", "localhost"), ("Origin", origin + ".evil")], allow) == 403)
        #expect(status([("Host", "localhost"), ("Origin", "null")], allow) == 403)
    }

    @Test func asteriskAllowsAllOrigins() {
        for origin in ["https://evil.example", "null"] {
            #expect(
                status([("Host", "localhost"), ("Origin", origin)]) { $0.corsOrigins = ["*"] }
                    == nil)
        }
    }

    @Test func crossSiteRequestsWithoutOriginAreRefused() {
        let headers: Headers = [("Host", "localhost"), ("Sec-Fetch-Site", "cross-site")]
        #expect(status(headers, method: "GET") == 403)
        for mode in ["no-cors", "cors", "websocket", "same-origin"] {
            #expect(status(headers + [("Sec-Fetch-Mode", mode)], method: "GET") == 403)
        }
    }

    @Test func linksOfForeignPagesAreFollowed() {
        let link: Headers = [
            ("Host", "localhost"), ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Mode", "navigate"),
        ]
        #expect(status(link, method: "GET") == nil)
        #expect(status(link + [("Sec-Fetch-Dest", "document")], method: "GET") == nil)
        #expect(status(link + [("Sec-Fetch-Dest", "iframe")], method: "GET") == 403)
        #expect(status(link, method: "POST") == 403)
    }

    @Test(arguments: ["same-origin", "same-site", "none"])
    func otherSitesOfFetchMetadataAreAllowed(site: String) {
        #expect(status([("Host", "localhost"), ("Sec-Fetch-Site", site)], method: "GET") == nil)
    }

    // MARK: API key

    @Test func keyIsRequired() {
        let secret = { (options: inout ServerOptions) in options.apiKey = "s3cret" }
        let host = ("Host", "localhost")
        #expect(status([host], secret) == 401)
        #expect(status([host], isOpen: true, secret) == nil)
        for value in ["Bearer s3cret", "bearer s3cret", "BEARER  s3cret "] {
            #expect(status([host, ("authorization", value)], secret) == nil, "\(value)")
        }
        for value in [
            "", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3cret2", "Bearer S3CRET", "s3cret",
            "Basic s3cret", "Bearer s3cret\u{0}", "Bearers3cret",
            "Bearer " + String(repeating: "s3cret", count: 1000),
        ] {
            #expect(status([host, ("Authorization", value)], secret) == 401, "\(value)")
        }
        let right = ("Authorization", "Bearer s3cret")
        #expect(status([host, right, right], secret) == 401)
    }

    @Test func emptyKeyNeedsTheScheme() {
        #expect(status([("Host", "localhost")]) { $0.apiKey = "" } == 401)
    }

    @Test func keyDoesNotOpenForeignOrigins() {
        let headers = [
            ("Host", "localhost"), ("Origin", "http://evil.example"),
            ("Authorization", "Bearer s3cret"),
        ]
        #expect(status(headers) { $0.apiKey = "s3cret" } == 403)
    }

    // MARK: CORS

    private func control(_ origins: [String]) -> AccessControl {
        var options = ServerOptions()
        options.corsOrigins = origins
        options.apiKey = "s3cret"
        return AccessControl(options)
    }

    private func text(_ headers: Headers) -> [String] { headers.map { "\($0.name): \($0.value)" } }

    @Test func corsHeadersAreSentToAllowedOriginsAlone() {
        let expose = "Access-Control-Expose-Headers: Retry-After"
        #expect(control([]).corsHeaders(origin: "https://a.example").isEmpty)
        #expect(
            text(control(["*"]).corsHeaders(origin: nil))
                == ["Access-Control-Allow-Origin: *", expose])
        let one = control(["https://a.example"])
        #expect(
            text(one.corsHeaders(origin: "https://a.example"))
                == ["Vary: Origin", "Access-Control-Allow-Origin: https://a.example", expose])
        for origin in [
            nil, "https://b.example", "null", "https://a.example\r\nX: y", "https://a.example/",
            "https://a.example\u{0}",
        ] {
            #expect(text(one.corsHeaders(origin: origin)) == ["Vary: Origin"])
        }
    }

    private let preflight: Headers = [
        ("Host", "localhost"), ("Origin", "https://a.example"),
        ("Access-Control-Request-Method", "POST"),
    ]

    @Test func preflightOfAnAllowedOriginIsAnswered() throws {
        let headers =
            preflight + [("Access-Control-Request-Headers", "authorization,x-stainless-os")]
        let response = control(["https://a.example"]).preflight(method: "OPTIONS", headers: headers)
        let found = text(try #require(response).headers)
        #expect(response?.status == 204 && response?.body.isEmpty == true)
        #expect(found.contains("Access-Control-Allow-Origin: https://a.example"))
        #expect(found.contains("Access-Control-Allow-Headers: authorization, x-stainless-os"))
        #expect(found.contains("Access-Control-Allow-Methods: GET, HEAD, POST"))
    }

    @Test(arguments: ["a\r\nSet-Cookie: x", "a b", ",", "", "a;b", "ä", "a\u{0}"])
    func malformedHeaderNamesAreNotEchoed(names: String) throws {
        let headers = preflight + [("Access-Control-Request-Headers", names)]
        let response = control(["*"]).preflight(method: "OPTIONS", headers: headers)
        #expect(
            text(try #require(response).headers).contains(
                "Access-Control-Allow-Headers: authorization, content-type"))
    }

    @Test func otherRequestsAreNoPreflights() {
        let one = control(["https://a.example"])
        #expect(one.preflight(method: "POST", headers: preflight)?.status == nil)
        #expect(
            one.preflight(method: "OPTIONS", headers: Array(preflight.prefix(2)))?.status == nil)
        #expect(
            one.preflight(method: "OPTIONS", headers: Array(preflight.dropFirst()))?.status == nil)
        #expect(control([]).preflight(method: "OPTIONS", headers: preflight)?.status == nil)
        #expect(
            control(["https://b.example"]).preflight(method: "OPTIONS", headers: preflight)?.status
                == nil)
        let rebound = [("Host", "evil.example")] + preflight.dropFirst()
        #expect(one.preflight(method: "OPTIONS", headers: rebound)?.status == nil)
    }
}
