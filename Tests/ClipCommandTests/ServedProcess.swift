import Foundation
import TestSupport
import Testing

/// A running `clip serve`, and requests to it.
final class ServedProcess {
    private let process: Process
    private let errorsPath: String
    private let outputPath: String
    /// The port that the server has chosen.
    private(set) var port = 0

    /// Starts the server on a free port, and waits until it listens.
    ///
    /// - Parameters:
    ///   - arguments: The arguments after `serve --port 0`.
    ///   - folder: The folder in which it runs.
    ///   - output: A file for its standard output; nil for one that the property `output` reads.
    ///   - environment: Additional environment variables.
    /// - Throws: An error if the process cannot be started, ends, or does not listen within 30
    ///   seconds.
    init(
        _ arguments: [String], in folder: TemporaryFolder, output: FileHandle? = nil,
        environment: [String: String] = [:]
    ) throws {
        process = ClipBinary(folder: folder).process(
            ["serve", "--port", "0"] + arguments, environment: environment)
        errorsPath = try folder.write("\(UUID().uuidString).err", [])
        outputPath = try folder.write("\(UUID().uuidString).out", [])
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output ?? FileHandle(forWritingAtPath: outputPath)
        process.standardError = FileHandle(forWritingAtPath: errorsPath)
        try process.run()
        for _ in 0..<3000 where port == 0 {
            let match = try errors.firstMatch(of: /on http:\/\/[^ ]*:([0-9]+)/)
            port = match.flatMap { Int($0.output.1) } ?? 0
            if port == 0, !process.isRunning { break }
            usleep(10_000)
        }
        let messages = try errors
        try #require(port > 0, "\(messages)")
    }

    deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }

    /// The text on standard error so far.
    var errors: String {
        get throws { String(decoding: try bytes(ofFile: errorsPath), as: UTF8.self) }
    }

    /// The text on standard output so far.
    var output: String {
        get throws { String(decoding: try bytes(ofFile: outputPath), as: UTF8.self) }
    }

    var isRunning: Bool { process.isRunning }

    /// Sends a signal and waits for the end.
    ///
    /// - Returns: The exit status; nil if the signal itself ended the process, or if it still runs
    ///   after `seconds`.
    func end(by number: Int32, within seconds: Double = 10) -> Int32? {
        kill(process.processIdentifier, number)
        for _ in 0..<Int(seconds * 100) where process.isRunning { usleep(10_000) }
        guard !process.isRunning, process.terminationReason == .exit else { return nil }
        return process.terminationStatus
    }

    /// The response to a request.
    struct Response {
        let status: Int
        let headers: String
        let body: Data
        var text: String { String(decoding: body, as: UTF8.self) }

        /// The body as a JSON object.
        func json() throws -> [String: Any] {
            let object = try? JSONSerialization.jsonObject(with: body)
            return try #require(object as? [String: Any], "\(status) \(headers)\n\(text)")
        }
    }

    /// Sends a request and reads its response, which must have a `Content-Length` or end with the
    /// connection.
    func request(
        _ method: String, _ path: String, headers: [String] = [], json: String? = nil
    ) throws -> Response {
        let body = Array((json ?? "").utf8)
        var lines = ["\(method) \(path) HTTP/1.1", "Host: 127.0.0.1:\(port)", "Connection: close"]
        if json != nil {
            lines += ["Content-Type: application/json", "Content-Length: \(body.count)"]
        }
        let head = (lines + headers).map { $0 + "\r\n" }.joined() + "\r\n"
        let answer = try LocalConnection(port: port).exchange(Array(head.utf8) + body)
        let end = try #require(answer.firstRange(of: Data("\r\n\r\n".utf8)), "no response")
        let received = String(decoding: answer[..<end.lowerBound], as: UTF8.self)
        let status = received.split(separator: " ").dropFirst().first.flatMap { Int($0) }
        return Response(
            status: try #require(status, "\(received)"), headers: received,
            body: Data(answer[end.upperBound...]))
    }
}

/// A TCP connection to a port of this machine.
final class LocalConnection {
    private let descriptor: Int32

    init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        address.sin_port = UInt16(port).bigEndian
        let isConnected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        // A server that does not answer fails the test instead of stopping it.
        var limit = timeval(tv_sec: 60, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        try #require(isConnected, "no connection to port \(port): errno \(errno)")
    }

    deinit { close(descriptor) }

    /// Sends bytes and returns what arrives until the other side closes the connection.
    func exchange(_ bytes: [UInt8]) throws -> Data {
        try send(bytes)
        var received = Data()
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            try #require(count >= 0, "errno \(errno) after \(received.count) bytes")
            if count == 0 { return received }
            received.append(contentsOf: buffer[..<count])
        }
    }

    /// Sends all of the given bytes.
    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            try #require(count > 0, "errno \(errno)")
            sent += count
        }
    }
}
