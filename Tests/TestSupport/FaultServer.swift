import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A server of HTTP on this machine alone, that answers well or badly as a test wants.
public final class FaultServer: Sendable {
    /// What a client asked.
    public struct Request: Sendable {
        /// `GET` or `HEAD`.
        public let method: String
        /// What follows the host.
        public let path: String
        /// By name in lower case.
        public let headers: [String: String]
        /// How many requests for the same method and path came before.
        public let repetition: Int

        /// The first byte that is asked for.
        public var rangeStart: Int? {
            headers["range"].flatMap { Int($0.dropFirst("bytes=".count).prefix { $0 != "-" }) }
        }
    }

    /// What it gets.
    public struct Answer: Sendable {
        /// Such as 200.
        public var status: Int
        /// Beside the length of the body.
        public var headers: [String: String]
        /// What follows them.
        public var body: [UInt8]
        /// After how many bytes of the body to break off.
        public var cut: Int?
        /// After how many bytes of the header to break off.
        public var headerCut: Int?
        /// Whether to fall silent there, and for how long, rather than to break off.
        public var stall: Double?
        /// Seconds before each piece of the body.
        public var delay: Double = 0
        /// The bytes of a piece.
        public var piece = 1 << 16
        /// Seconds before each byte of the header.
        public var headerDelay: Double = 0
        /// Whether the header has a length; without one the body ends with the connection.
        public var hasLength = true
        /// What to say instead of the body's length.
        public var claimedLength: Int?

        /// An answer without a fault.
        public init(_ status: Int, headers: [String: String] = [:], body: [UInt8] = []) {
            (self.status, self.headers, self.body) = (status, headers, body)
        }
    }

    /// What is answered to a request.
    public typealias Handler = @Sendable (Request) -> Answer

    /// Where it listens.
    public let port: Int
    /// Its address.
    public var url: String { "http://127.0.0.1:\(port)" }
    private let listener: Int32
    private let seen = Mutex<[Request]>([])

    /// What was asked so far.
    public var requests: [Request] { seen.withLock { $0 } }

    /// Listens on a port that is free.
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

    /// Takes no more connections.
    public func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

    deinit {
        stop()
        close(listener)
    }

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
