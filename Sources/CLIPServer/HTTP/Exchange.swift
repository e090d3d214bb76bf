internal import NIOCore
internal import NIOHTTP1

/// The receiving of one request and the sending of its response over a connection.
struct Exchange {
    typealias Parts = NIOAsyncChannelInboundStream<HTTPServerRequestPart>.AsyncIterator
    typealias Writer = NIOAsyncChannelOutboundWriter<HTTPServerResponsePart>

    let head: HTTPRequestHead
    let writer: Writer
    /// True once the end of the request has been received.
    private(set) var isComplete = false
    /// The bytes of the body that have been received.
    private(set) var received = 0

    init(_ head: HTTPRequestHead, _ writer: Writer) { (self.head, self.writer) = (head, writer) }

    /// Receives the body of the request.
    ///
    /// - Parameters:
    ///   - parts: The parts of the connection after the head.
    ///   - limit: The largest body, in bytes.
    ///   - share: The share of the body in the bytes of all bodies.
    /// - Returns: The body; nil if the client closed the connection.
    /// - Throws: `RequestError`, and the errors of the connection.
    mutating func body(
        _ parts: inout Parts, limit: Int, share: inout BodyBudget.Share
    ) async throws -> [UInt8]? {
        let tooLarge = RequestError.tooLarge(
            "the body of the request is too large: the limit is \(limit) bytes")
        let declared = head.headers.first(name: "Content-Length").flatMap { Int($0) } ?? 0
        guard declared <= limit else { throw tooLarge }
        if head.headers.first(name: "Expect")?.lowercased() == "100-continue" {
            try await writer.write(.head(HTTPResponseHead(version: .http1_1, status: .continue)))
        }
        var body: [UInt8] = []
        while let part = try await parts.next() {
            switch part {
            case .head: return nil
            case .body(let buffer):
                let count = buffer.readableBytes
                guard body.count + count <= limit else { throw tooLarge }
                guard share.grow(to: body.count + count) else { throw RequestError.busy }
                received += count
                body.append(contentsOf: buffer.readableBytesView)
            case .end:
                isComplete = true
                return body
            }
        }
        return nil
    }

    /// Reads and drops the rest of a refused request, at most `limit` bytes.
    ///
    /// If a socket is closed before all received bytes are read, the client may get an error before
    /// it reads the response.
    mutating func drain(_ parts: inout Parts, limit: Int) async throws {
        var count = 0
        while !isComplete, count <= limit, let part = try await parts.next() {
            switch part {
            case .head: return
            case .body(let buffer): count += buffer.readableBytes
            case .end: isComplete = true
            }
        }
    }

    /// Sends a response.
    ///
    /// - Parameters:
    ///   - response: The response.
    ///   - closes: True to tell the client that the connection closes after it.
    ///   - date: The value of the header `Date`.
    ///   - progress: Called before each part that is sent.
    /// - Throws: The errors of the connection.
    func send(
        _ response: ServerResponse, closes: Bool, date: String, progress: () -> Void
    ) async throws {
        var headers = HTTPHeaders(response.headers.map { ($0.name, $0.value) })
        headers.add(name: "Date", value: date)
        let hasBody = response.status != 204 && response.status != 304
        if hasBody { headers.add(name: "Content-Length", value: "\(response.body.count)") }
        if closes {
            headers.add(name: "Connection", value: "close")
        } else if head.version == .http1_0 {
            headers.add(name: "Connection", value: "keep-alive")
        }
        var parts: [HTTPServerResponsePart] = [
            .head(
                HTTPResponseHead(
                    version: .http1_1, status: HTTPResponseStatus(statusCode: response.status),
                    headers: headers))
        ]
        if hasBody && head.method != .HEAD {
            // The writer suspends while the client is slow, so only a part is copied at a time.
            for start in stride(from: 0, to: response.body.count, by: Self.partSize) {
                let end = min(start + Self.partSize, response.body.count)
                parts.append(.body(.byteBuffer(ByteBuffer(bytes: response.body[start..<end]))))
                guard end < response.body.count else { break }
                progress()
                try await writer.write(contentsOf: parts)
                parts = []
            }
        }
        parts.append(.end(nil))
        progress()
        try await writer.write(contentsOf: parts)
    }

    /// The largest part of a body that is sent at once, in bytes.
    private static let partSize = 1 << 18
}
