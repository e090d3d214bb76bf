import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// An HTTP server on the local machine, with faults that a test chooses.
public final class FaultServer: Sendable {
    /// A request of a client.
    public struct Request: Sendable {
        /// `GET` or `HEAD`.
        public let method: String
        /// The path, with query.
        public let path: String
        /// The header fields, by name in lower case.
        public let headers: [String: String]
        /// The number of earlier requests with the same method and path.
        public let repetition: Int

        /// The first byte of the requested range.
        public var rangeStart: Int? {
            headers["range"].flatMap { Int($0.dropFirst("bytes=".count).prefix { $0 != "-" }) }
        }
    }

    /// The response to a request, with its faults.
    public struct Answer: Sendable {
        /// The status code, such as 200.
        public var status: Int
        /// The header fields, apart from the length of the body.
        public var headers: [String: String]
        /// The bytes after the header.
        public var body: [UInt8]
        /// The number of body bytes after which the connection is closed.
        public var cut: Int?
        /// The number of header bytes after which the connection is closed.
        public var headerCut: Int?
        /// The seconds of silence at the cut, before the connection is closed.
        public var stall: Double?
        /// The delay before each piece of the body, in seconds.
        public var delay: Double = 0
        /// The number of bytes in a piece.
        public var piece = 1 << 16
        /// The delay before each byte of the header, in seconds.
        public var headerDelay: Double = 0
        /// True if the header states the length; otherwise the body ends with the connection.
        public var hasLength = true
        /// The length to state instead of the body's own.
        public var claimedLength: Int?

        /// Creates a response without faults.
        public init(_ status: Int, headers: [String: String] = [:], body: [UInt8] = []) {
            (self.status, self.headers, self.body) = (status, headers, body)
        }
    }

    /// A function that answers a request; called from several threads.
    public typealias Handler = @Sendable (Request) -> Answer

    /// The TCP port of the server.
    public let port: Int
    /// The base URL of the server.
    public var url: String { "http://127.0.0.1:\(port)" }
    private let listener: Int32
    private let seen = Mutex<[Request]>([])

    /// The requests received so far.
    public var requests: [Request] { seen.withLock { $0 } }

    /// Listens on a free port.
    public init(_ handler: @escaping Handler) throws {
        #if canImport(Glibc)
            listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #else
            listener = socket(AF_INET, SOCK_STREAM, 0)
        #endif
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = listener
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && listen(listener, 16) == 0
                    && getsockname(listener, $0, &length) == 0
            }
        }
        guard isBound else { throw POSIXError(.EADDRINUSE) }
        port = Int(UInt16(bigEndian: address.sin_port))
        Thread.detachNewThread { [weak self] in
            // Only this thread closes the listener: its number may belong to another server then.
            defer { close(listener) }
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else { return }
                guard let self else {
                    close(connection)
                    return
                }
                Thread.detachNewThread { self.serve(connection, handler) }
            }
        }
    }

    /// Stops accepting connections.
    public func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

    deinit { stop() }

    private func serve(_ connection: Int32, _ handler: Handler) {
        defer { close(connection) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        let end = Array("\r\n\r\n".utf8)
        while bytes.suffix(4) != end[...], bytes.count < 1 << 16 {
            let count = recv(connection, &buffer, buffer.count, 0)
            guard count > 0 else { return }
            bytes += buffer[..<count]
        }
        let lines = String(decoding: bytes, as: UTF8.self).components(separatedBy: "\r\n")
        let first = lines[0].split(separator: " ").map(String.init)
        guard first.count == 3 else { return }
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            headers[line[..<colon].lowercased()] = line[line.index(after: colon)...]
                .trimmingCharacters(in: .whitespaces)
        }
        let request = seen.withLock { seen in
            let repetition = seen.count { $0.method == first[0] && $0.path == first[1] }
            let request = Request(
                method: first[0], path: first[1], headers: headers, repetition: repetition)
            seen.append(request)
            return request
        }
        let answer = handler(request)
        var fields = answer.headers
        if answer.hasLength {
            fields["Content-Length"] =
                fields["Content-Length"] ?? "\(answer.claimedLength ?? answer.body.count)"
        }
        fields["Connection"] = "close"
        let head =
            "HTTP/1.1 \(answer.status) Answer\r\n"
            + fields.map { "\($0): \($1)\r\n" }.joined() + "\r\n"
        let sent = Array(head.utf8).prefix(answer.headerCut ?? .max)
        if answer.headerDelay > 0 {
            for index in sent.indices {
                Thread.sleep(forTimeInterval: answer.headerDelay)
                guard send(sent[index...index], connection) else { return }
            }
        }
        guard answer.headerDelay > 0 || send(sent, connection), answer.headerCut == nil,
            request.method != "HEAD"
        else {
            return
        }
        var rest = answer.body.prefix(answer.cut ?? answer.body.count)
        while !rest.isEmpty {
            if answer.delay > 0 { Thread.sleep(forTimeInterval: answer.delay) }
            guard send(rest.prefix(answer.piece), connection) else { return }
            rest = rest.dropFirst(answer.piece)
        }
        if let stall = answer.stall { Thread.sleep(forTimeInterval: stall) }
    }

    private func send(_ bytes: ArraySlice<UInt8>, _ connection: Int32) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            #if canImport(Darwin)
                let flags: Int32 = 0
            #else
                let flags = Int32(MSG_NOSIGNAL)
            #endif
            let count = rest.withUnsafeBytes {
                #if canImport(Glibc)
                    Glibc.send(connection, $0.baseAddress, $0.count, flags)
                #elseif canImport(Musl)
                    Musl.send(connection, $0.baseAddress, $0.count, flags)
                #else
                    Darwin.send(connection, $0.baseAddress, $0.count, flags)
                #endif
            }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }
}
