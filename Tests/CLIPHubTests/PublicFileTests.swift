import Files
import TestSupport
import Testing

@testable import CLIPHub

/// Tests the downloads that untrusted clients ask for.
@Suite struct PublicFileTests {
    private static func read(_ url: String, publicOnly: Bool = false, limit: Int = 1000)
        throws -> [UInt8]
    {
        try PublicFile(url: url, publicOnly: publicOnly).read(limit: limit, seconds: 5)
    }

    /// Returns the reason of a failure.
    private static func reason(_ url: String, publicOnly: Bool = false, limit: Int = 1000)
        -> String?
    {
        do {
            _ = try read(url, publicOnly: publicOnly, limit: limit)
            return nil
        } catch PublicFile.Failure.failed(let reason) {
            return reason
        } catch {
            return "\(error)"
        }
    }

    @Test(arguments: [
        "8.8.8.8", "1.1.1.1", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.0",
        "198.17.255.255", "198.20.0.0", "223.255.255.255", "192.167.0.1", "11.0.0.0",
        "2001:4860:4860::8888", "2a00:1450::1", "2606:4700::1111", "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8", "2001:200::1", "3ffe::1",
    ])
    func addressesOfTheInternetArePublic(address: String) {
        #expect(PublicFile.isPublic(address: address))
    }

    @Test(arguments: [
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255",
        "127.0.0.1", "127.255.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1",
        "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.7",
        "203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "::", "::1",
        "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::192.168.1.1",
        "64:ff9b:1::8.8.8.8", "100::1", "fe80::1", "fec0::1", "fc00::1", "fd12:3456::1", "ff02::1",
        "168.63.129.16", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1", "",
        "localhost",
        "127.1", "0x7f.0.0.1", "2130706433", "8.8.8.8.8", "8.8.8.8/8",
    ])
    func otherAddressesAreNotPublic(address: String) {
        #expect(!PublicFile.isPublic(address: address))
    }

    @Test(.enabled(if: libcurlVersion() != nil))
    func thisMachineIsOutOfReach() throws {
        let server = try FaultServer { _ in .init(200, body: [1]) }
        let port = server.port
        for host in ["127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "0.0.0.0"] {
            let reason = Self.reason("http://\(host):\(port)/a.png", publicOnly: true)
            #expect(reason == "the host is unknown, or its IP address is not public", "\(host)")
        }
        for host in ["[::1]", "[::ffff:127.0.0.1]", "[::]"] {
            #expect(Self.reason("http://\(host):\(port)/", publicOnly: true) != nil, "\(host)")
        }
        #expect(server.requests.isEmpty)
    }

    @Test(.enabled(if: libcurlVersion() != nil))
    func filesAreReadThroughRedirects() throws {
        let server = try FaultServer { request in
            switch request.path {
            case "/file?a=1": .init(200, body: Array("image".utf8))
            case "/moved": .init(302, headers: ["Location": "/file?a=1"])
            case "/loop": .init(302, headers: ["Location": "/loop"])
            case "/nowhere": .init(302)
            case "/scheme": .init(302, headers: ["Location": "file:///etc/passwd"])
            default: .init(404)
            }
        }
        #expect(try Self.read(server.url + "/file?a=1") == Array("image".utf8))
        #expect(try Self.read(server.url + "/moved") == Array("image".utf8))
        let request = try #require(server.requests.first)
        #expect(request.headers["authorization"] == nil)
        #expect(Self.reason(server.url + "/loop") == "too many redirects")
        #expect(server.requests.count { $0.path == "/loop" } == 4)
        for path in ["/nowhere", "/scheme"] {
            #expect(Self.reason(server.url + path)?.contains("Location") == true, "\(path)")
        }
        #expect(
            Self.reason(server.url + "/missing") == "the host responded with status 404")
    }

    @Test(.enabled(if: libcurlVersion() != nil))
    func largeAndSlowFilesAreRejected() throws {
        let server = try FaultServer { request in
            var answer = FaultServer.Answer(200, body: [UInt8](repeating: 7, count: 1001))
            answer.hasLength = request.path != "/endless"
            if request.path == "/slow" { (answer.piece, answer.delay) = (100, 0.5) }
            return answer
        }
        #expect(throws: PublicFile.Failure.tooLarge) { try Self.read(server.url + "/a") }
        #expect(throws: PublicFile.Failure.tooLarge) { try Self.read(server.url + "/endless") }
        #expect(try Self.read(server.url + "/a", limit: 1001).count == 1001)
        let slow = try PublicFile(url: server.url + "/slow", publicOnly: false)
        #expect(throws: PublicFile.Failure.failed("it did not arrive within 1 seconds")) {
            try slow.read(limit: 2000, seconds: 1)
        }
        #expect(throws: PublicFile.Failure.cancelled) {
            try slow.read(limit: 2000, isCancelled: { true })
        }
    }

    @Test(arguments: [
        "", "a.png", "file:///etc/passwd", "ftp://example.com/a", "http://", "http:///a",
        "http://user:word@example.com/", "http://a b/", "http://ä.example/", "http://a/\u{0}",
    ])
    func otherURLsAreRejected(url: String) {
        #expect(Self.reason(url)?.hasPrefix("expected an http") == true)
    }
}
