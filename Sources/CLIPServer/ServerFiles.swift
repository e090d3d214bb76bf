internal import CServerFiles
internal import Files

/// A file that is compiled into the server.
struct ServerFile: Sendable {
    let bytes: [UInt8]
    /// The media type, for the header `Content-Type`.
    let type: String
    /// The entity tag with its quotation marks: a hash of the content.
    let tag: String

    init(_ bytes: [UInt8], type: String) {
        (self.bytes, self.type) = (bytes, type)
        tag = "\"\(hexadecimal(Array(sha256(bytes).prefix(16))))\""
    }

    private init(_ file: clip_server_file, type: String) {
        self.init(Array(UnsafeBufferPointer(start: file.bytes, count: file.count)), type: type)
    }

    /// The page, for browsers.
    static let page = ServerFile(clip_server_page_html(), type: "text/html; charset=utf-8")

    /// The style and the scripts of the page, by path.
    static let partsOfPage: [String: ServerFile] = {
        let script = "text/javascript; charset=utf-8"
        return [
            "/page.css": ServerFile(clip_server_page_css(), type: "text/css; charset=utf-8"),
            "/page.js": ServerFile(clip_server_page_js(), type: script),
            "/page-tools.js": ServerFile(clip_server_page_tools_js(), type: script),
            "/page-search.js": ServerFile(clip_server_page_search_js(), type: script),
            "/page-results.js": ServerFile(clip_server_page_results_js(), type: script),
            "/page-zeroshot.js": ServerFile(clip_server_page_zeroshot_js(), type: script),
        ]
    }()

    /// The OpenAPI description of the endpoints.
    static let openAPI = ServerFile(clip_server_openapi_json(), type: "application/json")

    /// Returns the response to a request: the file, or status 304 if the client has it.
    func response(to request: ServerRequest) -> ServerResponse {
        var response =
            request.matches(tag: tag)
            ? ServerResponse(status: 304) : ServerResponse(bytes, type: type)
        response.headers += [
            // Asked for again each time: a newer server may have other files.
            ("ETag", tag), ("Cache-Control", "no-cache"), ("X-Content-Type-Options", "nosniff"),
        ]
        return response
    }
}
