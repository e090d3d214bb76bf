@testable import CLIPServer
@testable import Files

// The parsers of the server's requests.
extension Target {
    /// Parses the bytes after the first line as a multipart body; the line is its Content-Type.
    func parseMultipart(_ bytes: [UInt8]) {
        let lines = Self.lines(bytes, count: 2)
        let body = Array(lines[1])
        let type = String(decoding: lines[0], as: UTF8.self)
        guard let form = try? MultipartForm(body, contentType: type, partLimit: 8) else { return }
        let size = form.parts.reduce(0) { $0 + $1.body.count }
        precondition(form.parts.count <= 8 && size <= body.count)
        for part in form.parts { precondition(form.first(part.name) != nil) }
        let request = ServerRequest(
            method: "POST", path: "/", headers: [("Content-Type", type)], body: body)
        _ = try? ImmichEndpoints.Job(request)
        _ = try? ZeroShotRequest(body: request, ServerOptions())
        _ = try? SearchRequest(body: request, ServerOptions())
    }

    func decodeBase64(_ bytes: [UInt8]) {
        if let decoded = Base64.decode(bytes) {
            precondition(Base64.decode(Base64.encode(decoded).utf8) == decoded)
        }
        precondition(Base64.decode(Base64.encode(bytes).utf8) == bytes)
        let text = String(decoding: bytes, as: UTF8.self)
        var options = ServerOptions()
        options.allowsURLs = true
        switch try? ImageReference(text, parameter: "input", options) {
        case .bytes(let image): precondition(!image.isEmpty && image.count <= text.utf8.count)
        case .url(let url, _): precondition(url.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F })
        case nil: break
        }
    }

    /// Parses a request target, and judges the headers in the lines after it.
    func parseRequest(_ bytes: [UInt8]) {
        let lines = Self.lines(bytes, count: 7).map { String(decoding: $0, as: UTF8.self) }
        for base in ["", "/clip"] {
            guard let target = try? RequestTarget(lines[0], basePath: base) else { continue }
            precondition(target.path.utf8.first == UInt8(ascii: "/"))
            precondition(target.path.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F })
            let segments = target.path.utf8.split(separator: UInt8(ascii: "/"))
            precondition(!segments.contains { $0.elementsEqual("..".utf8) })
            _ = try? SearchRequest(query: target.query)
        }
        let names = [
            "Host", "Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Authorization",
            "Access-Control-Request-Headers",
        ]
        var headers = zip(names, lines.dropFirst()).map { (name: $0, value: $1) }
        headers.append(("Access-Control-Request-Method", "POST"))
        var options = ServerOptions()
        options.corsOrigins = ["https://app.example"]
        options.allowedHosts = ["photos.example.com"]
        options.apiKey = "s3cret"
        for origins in [options.corsOrigins, ["*"]] {
            options.corsOrigins = origins
            let control = AccessControl(options)
            try? control.check(method: "GET", path: "/", headers: headers, isOpen: false)
            let echoed =
                control.corsHeaders(origin: lines[2])
                + (control.preflight(method: "OPTIONS", headers: headers)?.headers ?? [])
            for header in echoed {
                precondition(header.value.utf8.allSatisfy { (0x20...0x7E).contains($0) })
            }
        }
    }

    func parseJSON(_ bytes: [UInt8]) {
        guard let value = try? JSONValue(parsing: bytes) else { return }
        let text = "\(value)"
        guard let again = try? JSONValue(parsing: Array(text.utf8)) else {
            fatalError("what was written is not JSON: \(text)")
        }
        precondition("\(again)" == text)
        readRequests(bytes)
    }

    /// Reads a body as the request of each endpoint that takes JSON.
    private func readRequests(_ body: [UInt8]) {
        var options = ServerOptions()
        options.allowsURLs = true
        let request = ServerRequest(
            method: "POST", path: "/", headers: [("Content-Type", "application/json")], body: body)
        if let job = try? OpenAIRequest(request, options) {
            precondition(job.inputs.texts.count <= options.textsPerRequest)
            precondition(job.inputs.images.count <= options.imagesPerRequest)
        }
        _ = try? TextEmbeddingsEndpoints.Job(request, options)
        _ = try? WeaviateEndpoints.inputs(of: request, options)
        _ = try? ImmichEndpoints.entry(in: body)
        if let question = try? ZeroShotRequest(body: request, options) {
            precondition(ZeroShotRequest.labelCounts.contains(question.labels.count))
            precondition(!question.templates.isEmpty)
        }
        if let search = try? SearchRequest(body: request, options) {
            precondition((1...SearchRequest.termLimit).contains(search.terms.count))
            precondition(search.terms.allSatisfy { $0.weight.isFinite && $0.weight != 0 })
        }
    }

    /// Splits bytes at the first line feeds into `count` pieces, of which the last may be empty.
    private static func lines(_ bytes: [UInt8], count: Int) -> [ArraySlice<UInt8>] {
        var lines = bytes.split(
            separator: UInt8(ascii: "\n"), maxSplits: count - 1, omittingEmptySubsequences: false)
        while lines.count < count { lines.append([]) }
        return lines
    }
}
