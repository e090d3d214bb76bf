@testable import CLIPServer
import Files
import Testing

@Suite struct PageEndpointTests {
    /// Returns the first value of a header of a response.
    private func header(_ name: String, of response: ServerResponse) -> String? {
        response.headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    private func get(
        _ path: String, _ headers: [(name: String, value: String)] = []
    ) async throws -> ServerResponse {
        let request = ServerRequest(method: "GET", path: path, headers: headers)
        if path == "/" { return PageEndpoints.root(request) }
        let file = try #require(ServerFile.partsOfPage[path], "\(path)")
        return file.response(to: request)
    }

    @Test(arguments: [
        "text/html",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
        "application/json, TEXT/HTML ; q=0.1",
        "text/html;level=1;q=0.5",
    ])
    func browsersGetThePage(accept: String) async throws {
        let response = try await get("/", [("Accept", accept)])
        #expect(response.status == 200)
        #expect(header("Content-Type", of: response) == "text/html; charset=utf-8")
        #expect(header("Vary", of: response) == "Accept")
        #expect(response.body.starts(with: "<!doctype html>".utf8))
    }

    @Test(arguments: [
        nil, "", "*/*", "application/json", "text/*", "text/plain", "text/html;q=0",
        "text/html; Q=0.000", "text/htmlx", "x-text/html", "text/html2;q=1", ",;,;=", "text",
    ])
    func programsGetTheMessageThatImmichExpects(accept: String?) async throws {
        let response = try await get("/", accept.map { [("accept", $0)] } ?? [])
        #expect(response.status == 200)
        #expect(header("Content-Type", of: response) == "application/json")
        #expect(header("Vary", of: response) == "Accept")
        #expect(String(decoding: response.body, as: UTF8.self) == #"{"message":"Immich ML"}"#)
    }

    @Test func severalAcceptHeadersCountTogether() async throws {
        let response = try await get("/", [("Accept", "image/png"), ("Accept", "text/html")])
        #expect(header("Content-Type", of: response) == "text/html; charset=utf-8")
    }

    @Test func pageForbidsForeignContent() async throws {
        let response = try await get("/", [("Accept", "text/html")])
        let policy = try #require(header("Content-Security-Policy", of: response))
        #expect(!policy.contains("unsafe") && !policy.contains("\n"))
        for directive in [
            "default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'",
            "img-src 'self' blob: data:", "form-action 'none'", "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            #expect(policy.split(separator: "; ").contains(Substring(directive)), "\(directive)")
        }
        #expect(header("X-Content-Type-Options", of: response) == "nosniff")
        #expect(header("Referrer-Policy", of: response) == "no-referrer")
    }

    /// The policy forbids them, and addresses with a leading slash would break a base path.
    @Test func pageHasNoInlineCodeAndNoAbsoluteAddresses() {
        let page = String(decoding: ServerFile.page.bytes, as: UTF8.self)
        for text in [
            "<style", "style=\"", "onclick=", "onload=", "src=\"/", "href=\"/", "src=\"http",
            "href=\"http",
        ] {
            #expect(!page.contains(text), "\(text)")
        }
        #expect(page.components(after: "<script").allSatisfy { $0.contains("src=\"page.js\"") })
    }

    @Test(arguments: ServerFile.partsOfPage.keys.sorted())
    func filesOfThePageAreServedWithTypeAndTag(path: String) async throws {
        let response = try await get(path)
        let type = path.hasSuffix(".css") ? "text/css" : "text/javascript"
        #expect(header("Content-Type", of: response) == "\(type); charset=utf-8")
        #expect(header("X-Content-Type-Options", of: response) == "nosniff")
        #expect(response.body.count > 100)
        let tag = try #require(header("ETag", of: response))
        #expect(tag.hasPrefix("\"") && tag.hasSuffix("\"") && tag.utf8.count == 34)
        #expect(PageEndpoints.all.contains { $0.path == path && $0.method == "GET" && $0.isOpen })
    }

    @Test func scriptsImportOnlyFilesThatAreServed() {
        for (path, file) in ServerFile.partsOfPage {
            for rest in String(decoding: file.bytes, as: UTF8.self).components(after: "from \"./") {
                let name = "/\(rest.prefix { $0 != "\"" })"
                #expect(ServerFile.partsOfPage[name] != nil, "\(path) imports \(name)")
            }
        }
    }

    @Test func tagsDifferBetweenFiles() {
        let files = Array(ServerFile.partsOfPage.values) + [ServerFile.page]
        #expect(Set(files.map(\.tag)).count == files.count)
    }

    @Test(arguments: ["/", "/page.css", "/page.js"])
    func knownTagIsAnsweredWithoutABody(path: String) async throws {
        let accept = (name: "Accept", value: "text/html")
        let tag = try #require(header("ETag", of: try await get(path, [accept])))
        for known in [tag, "W/\(tag)", "\"old\", \(tag)", "*", "\"old\",\t W/\(tag) "] {
            let response = try await get(path, [accept, ("if-none-match", known)])
            #expect(response.status == 304 && response.body.isEmpty, "\(known)")
            #expect(header("ETag", of: response) == tag)
            #expect(header("Content-Type", of: response) == nil)
        }
        for other in ["", "\"old\"", String(tag.dropLast()), "w/\(tag)", ",,\"", "**"] {
            let response = try await get(path, [accept, ("If-None-Match", other)])
            #expect(response.status == 200 && !response.body.isEmpty, "\(other)")
        }
    }

    @Test func informationNeedsTheKeyAndThePageDoesNot() {
        for endpoint in PageEndpoints.all {
            #expect(endpoint.isOpen == (endpoint.path != "/page.json"), "\(endpoint.path)")
        }
    }

    @Test func informationNamesIndexesAndModels() {
        var options = ServerOptions()
        options.models = ["ViT-B/32"]
        let information = PageEndpoints.information(
            indexes: [("photos", 12), ("a\"<b>", 0)], models: ["ViT-B/32", "ViT-L/14"],
            options: options)
        #expect(
            String(decoding: information.bytes, as: UTF8.self) == #"""
                {"indexes":[{"name":"photos","count":12},{"name":"a\"<b>","count":0}],\#
                "models":["ViT-B/32","ViT-L/14"],"defaultModel":"ViT-B/32","embedding":true}
                """#)
    }

    @Test func demonstrationModelIsNoModelForEmbeddings() {
        var options = ServerOptions()
        options.demonstrationModel = "tiny"
        let information = PageEndpoints.information(indexes: [], models: [], options: options)
        #expect(
            String(decoding: information.bytes, as: UTF8.self) == #"""
                {"indexes":[],"models":["tiny"],"defaultModel":"tiny","embedding":false}
                """#)
    }

    @Test func serverWithoutModelsHasNoDefault() {
        let information = PageEndpoints.information(
            indexes: [], models: [], options: ServerOptions())
        #expect(
            String(decoding: information.bytes, as: UTF8.self)
                == #"{"indexes":[],"models":[],"defaultModel":null,"embedding":false}"#)
    }
}

extension String {
    /// Returns the rests of the text after each occurrence of a word.
    fileprivate func components(after word: String) -> [Substring] {
        var (rests, rest): ([Substring], Substring) = ([], self[...])
        while let range = rest.firstRange(of: word) {
            rest = rest[range.upperBound...]
            rests.append(rest)
        }
        return rests
    }
}
