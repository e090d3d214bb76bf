internal import CServerFiles

/// The files that are compiled into the server.
enum ServerFiles {
    static let pageHTML = bytes(of: clip_server_page_html())
    static let pageCSS = bytes(of: clip_server_page_css())
    static let pageJS = bytes(of: clip_server_page_js())
    static let openAPI = bytes(of: clip_server_openapi_json())

    private static func bytes(of file: clip_server_file) -> [UInt8] {
        Array(UnsafeBufferPointer(start: file.bytes, count: file.count))
    }
}
