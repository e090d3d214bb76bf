import NIOCore
import NIOPosix
import Testing

/// A connection of raw bytes to a server on this machine.
struct TestClient {
    private let channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>

    /// Runs a closure with a connection to a port, and closes the connection afterwards.
    static func connected<Result>(
        to port: Int, _ body: (inout Session) async throws -> Result
    ) async throws -> Result {
        let channel = try await ClientBootstrap(
            group: MultiThreadedEventLoopGroup.singleton
        ).connect(host: "127.0.0.1", port: port) { channel in
            channel.eventLoop.makeCompletedFuture {
                try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
            }
        }
        return try await channel.executeThenClose { inbound, outbound in
            var session = Session(
                parts: inbound.makeAsyncIterator(), writer: outbound, channel: channel.channel)
            return try await body(&session)
        }
    }

    /// An open connection.
    struct Session {
        fileprivate var parts: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
        fileprivate let writer: NIOAsyncChannelOutboundWriter<ByteBuffer>
        fileprivate let channel: any Channel
        private var received: [UInt8] = []

        fileprivate init(
            parts: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator,
            writer: NIOAsyncChannelOutboundWriter<ByteBuffer>, channel: any Channel
        ) {
            (self.parts, self.writer, self.channel) = (parts, writer, channel)
        }

        func send(_ text: String) async throws {
            try await writer.write(ByteBuffer(string: text))
        }

        func send(_ bytes: [UInt8]) async throws {
            try await writer.write(ByteBuffer(bytes: bytes))
        }

        /// Sends a request with the headers that every client sends.
        func request(
            _ method: String, _ path: String, headers: [String] = [], body: String = ""
        ) async throws {
            var lines = ["\(method) \(path) HTTP/1.1", "Host: 127.0.0.1"] + headers
            if !body.isEmpty { lines.append("Content-Length: \(body.utf8.count)") }
            try await send(lines.joined(separator: "\r\n") + "\r\n\r\n" + body)
        }

        /// Closes the connection at once.
        func close() async throws { try await channel.close() }

        /// Receives one response; nil if the server closes the connection before its end.
        ///
        /// `isHead` is true for the response to a HEAD request, which has no body.
        mutating func response(isHead: Bool = false) async throws -> TestResponse? {
            while true {
                if let end = headerEnd {
                    let head = String(decoding: received[..<end], as: UTF8.self)
                    var response = TestResponse(head: head)
                    let length =
                        isHead ? 0 : response.header("Content-Length").flatMap { Int($0) } ?? 0
                    if received.count >= end + 4 + length {
                        response.body = Array(received[(end + 4)..<(end + 4 + length)])
                        received.removeFirst(end + 4 + length)
                        return response
                    }
                }
                guard let part = try await parts.next() else { return nil }
                received += part.readableBytesView
            }
        }

        /// Returns true if the server closes the connection without sending anything.
        mutating func isClosed() async throws -> Bool {
            do {
                return try await parts.next() == nil
            } catch {
                return true
            }
        }

        private var headerEnd: Int? {
            received.indices.dropLast(3).first { index in
                received[index..<(index + 4)].elementsEqual([13, 10, 13, 10])
            }
        }
    }
}

/// A response as it was received.
struct TestResponse {
    let status: Int
    let headers: [(name: String, value: String)]
    var body: [UInt8] = []
    var text: String { String(decoding: body, as: UTF8.self) }

    init(head: String) {
        let lines = head.split(separator: "\r\n", omittingEmptySubsequences: false)
        status = Int(lines[0].split(separator: " ")[1]) ?? 0
        headers = lines.dropFirst().map { line in
            let colon = line.firstIndex(of: ":") ?? line.endIndex
            return (String(line[..<colon]), String(line[colon...].dropFirst(2)))
        }
    }

    func header(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }
}
