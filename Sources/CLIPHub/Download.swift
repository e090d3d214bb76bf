internal import Tensors

/// How far a download has come.
public struct DownloadProgress: Sendable, Equatable {
    /// The file's name.
    public let file: String
    /// Bytes that are on this machine.
    public let received: Int
    /// Bytes that the file has, once that is known.
    public let total: Int?
    /// Of `received`, those that an earlier try had left.
    public let resumedFrom: Int
    /// Whether another process fetches the file and this one waits for it.
    public let isWaiting: Bool
}

/// How patient transfers are; tests are less so.
struct TransferPolicy: Sendable {
    /// Tries in a row that bring no byte before giving up.
    var attempts = 5
    /// Seconds before the second try; doubled each time.
    var delay = 1.0
    /// The longest that a server may ask to wait, in seconds.
    var longestWait = 60
    /// Seconds without a byte after which a connection counts as broken.
    var stall = 30

    /// How many seconds to wait before the next try; nil if there is to be none.
    ///
    /// - Parameter failures: how many tries in a row have brought nothing.
    func wait(after error: HubError, failures: Int) -> Double? {
        guard failures < attempts else { return nil }
        let usual = delay * Double(1 << max(0, min(failures - 1, 10)))
        switch error {
        // A name that nobody knows is no passing trouble.
        case .unreachable(_, let reason): return reason.hasPrefix("Could not resolve") ? nil : usual
        case .busy(_, _, let seconds?): return seconds <= longestWait ? Double(seconds) : nil
        case .busy: return usual
        default: return nil
        }
    }
}

/// One file on its way to this machine.
///
/// It lies in `partial` until all its bytes are there, their number and SHA-256 are right and they are on
/// the disk; then it gets its name, in one step. A try that breaks off, or is killed, leaves `partial`, and
/// the next goes on there. `lock` is held meanwhile, so that there is one writer.
struct Download {
    /// What reports call the file.
    let name: String
    let address: WebAddress
    /// Header lines for the server of `address` alone, such as the one with the token.
    let credentials: [String]
    let destination: String
    let partial: String
    let lock: String
    let size: Int?
    let sha256: String?
    let policy: TransferPolicy
    let isCancelled: () -> Bool
    let report: (DownloadProgress) -> Void

    /// Fetches the file, unless it is there already, and does the rest before others may.
    func run(andThen rest: () throws(HubError) -> Void = {}) throws(HubError) {
        let holder = try FileLock(lock)
        defer { withExtendedLifetime(holder) {} }
        while try !holder.acquire() {
            progress(0, total: size, resumedFrom: 0, isWaiting: true)
            try pause(0.2, isCancelled: isCancelled)
        }
        if try !isThere() { try fetch() }
        try rest()
    }

    /// Whether the file has its name; what others put there under it must be the right one.
    private func isThere() throws(HubError) -> Bool {
        guard let present = fileSize(destination) else { return false }
        if let size { return present == size }
        guard let sha256 else { return true }
        return try checksum(of: destination) == sha256.lowercased()
    }

    private func fetch() throws(HubError) {
        let resumedFrom = fileSize(partial) ?? 0
        var (failures, asksForParts, isSecondTime, mayBeOfAnother) = (0, true, false, false)
        while true {
            let before = fileSize(partial) ?? 0
            if before > 0 { mayBeOfAnother = true }
            let error: HubError
            do throws(HubError) {
                switch try attempt(from: asksForParts ? before : 0, resumedFrom: resumedFrom) {
                case .complete(let total): return try finish(total: total)
                case .noPart:
                    asksForParts = false
                    error = interrupted("the server does not give the part that was asked for")
                }
            } catch let failure {
                error = failure
            }
            if case .wrongChecksum = error, mayBeOfAnother, !isSecondTime {
                // What an earlier try left may have been of another file: once more from the start.
                isSecondTime = true
                continue
            }
            failures = (fileSize(partial) ?? 0) > before ? 1 : failures + 1
            guard let wait = policy.wait(after: error, failures: failures) else { throw error }
            try pause(wait, isCancelled: isCancelled)
        }
    }

    // MARK: one try

    private enum Outcome {
        /// All is there; how much that is, if the server said it.
        case complete(total: Int?)
        /// The server has another part than was asked for.
        case noPart
    }

    /// Asks for what is missing and appends it.
    private func attempt(from start: Int, resumedFrom: Int) throws(HubError) -> Outcome {
        if let size { try makeSureOfRoom(for: size - start) }
        let request = try follow(address, from: start)
        let status = try request.status(isCancelled: isCancelled)
        var (offset, total) = (0, size)
        switch status {
        case 200:
            let length = request.header("content-length").flatMap { Int($0) }
            if let size, let length, length < size {
                throw interrupted("the server offers \(length) of \(size) bytes")
            }
            total = size ?? length
        case 206:
            guard let range = Self.contentRange(request.header("content-range")),
                let first = range.start, first <= start
            else { return .noPart }
            offset = first
            total = size ?? range.total
        case 416 where start > 0:
            // All is there, or more than all.
            let whole = size ?? Self.contentRange(request.header("content-range"))?.total
            return whole == start ? .complete(total: whole) : .noPart
        case 400..<500 where ![408, 429].contains(status):
            throw .refused(url: request.shownURL, status: status, hasToken: !credentials.isEmpty)
        default:
            let wait = request.header("retry-after").flatMap { Int($0) }.map { max(0, $0) }
            throw .busy(url: request.shownURL, status: status, seconds: wait)
        }
        guard total != nil || sha256 != nil else {
            throw interrupted("the server does not say how long it is")
        }
        if let total {
            guard total >= offset else { throw tooLarge(offset, expected: total) }
            if size == nil { try makeSureOfRoom(for: total - offset) }
        }
        let problem: HubError?
        do throws(FileError) {
            problem = try receive(
                request, from: offset, total: total, resumedFrom: min(resumedFrom, offset))
        } catch {
            guard error.isOutOfSpace else {
                throw .unwritable(path: partial, reason: error.reason)
            }
            let left = freeBytes(in: folder(of: partial)) ?? 0
            throw .diskFull(
                path: folder(of: partial), needed: max(total ?? 0, left + 1), available: left)
        }
        if let problem { throw problem }
        return .complete(total: total)
    }

    /// Appends what comes to the partial file.
    ///
    /// - Returns: why it is not all, if it is not.
    private func receive(
        _ request: HTTPRequest, from offset: Int, total: Int?, resumedFrom: Int
    ) throws(FileError) -> HubError? {
        let file = try PartialFile(partial, from: offset)
        var received = offset
        while true {
            if isCancelled() {
                try file.sync()
                return .cancelled
            }
            switch request.read() {
            case .bytes(let count):
                received += count
                if let total, received > total { return tooLarge(received, expected: total) }
                try file.append(request.buffer[..<count])
                progress(received, total: total, resumedFrom: resumedFrom)
            case .waiting:
                progress(received, total: total, resumedFrom: resumedFrom)
            case .failed(let reason):
                return interrupted(reason)
            case .end:
                try file.sync()
                guard let total, received < total else { return nil }
                return interrupted("it ended after \(received) of \(total) bytes")
            }
        }
    }

    /// A request that has been redirected to where the file is.
    private func follow(
        _ start: WebAddress, from offset: Int
    ) throws(HubError) -> HTTPRequest {
        var address = start
        for _ in 0..<10 {
            var headers = ["Accept-Encoding: identity"]
            if offset > 0 { headers.append("Range: bytes=\(offset)-") }
            if address.isSameOrigin(as: start) { headers += credentials }
            let request = try HTTPRequest(address, headers: headers, stall: policy.stall)
            let status = try request.status(isCancelled: isCancelled)
            guard [301, 302, 303, 307, 308].contains(status) else { return request }
            guard let next = request.header("location").flatMap(address.following) else {
                throw .badRedirect(url: address.shown, reason: "it redirects to no address")
            }
            guard next.scheme == "https" || address.scheme == "http" else {
                throw .badRedirect(
                    url: address.shown,
                    reason: "it redirects from https to \(next.authority) by http")
            }
            address = next
        }
        throw .badRedirect(url: start.shown, reason: "it redirects too often")
    }

    /// `bytes 5-9/10`, or `bytes */10`.
    static func contentRange(_ text: String?) -> (start: Int?, total: Int?)? {
        guard let text, text.hasPrefix("bytes ") else { return nil }
        let parts = text.dropFirst(6).split(separator: "/")
        guard parts.count == 2, let range = parts[0].split(separator: "-").first else { return nil }
        let numbers = (Int(range), Int(parts[1]))
        return (numbers.0.flatMap { $0 < 0 ? nil : $0 }, numbers.1.flatMap { $0 < 0 ? nil : $0 })
    }

    // MARK: the end

    private func finish(total: Int?) throws(HubError) {
        let found = fileSize(partial) ?? 0
        if let total, found != total { throw tooLarge(found, expected: total) }
        if let sha256 {
            let sum = try checksum(of: partial)
            guard sum == sha256.lowercased() else {
                removeFile(partial)
                throw .wrongChecksum(url: address.shown, expected: sha256, found: sum)
            }
        }
        try renameFile(partial, to: destination)
    }

    private func checksum(of path: String) throws(HubError) -> String {
        do {
            return try MappedFile(path: path).sha256()
        } catch {
            throw .unwritable(path: path, reason: error.reason)
        }
    }

    private func makeSureOfRoom(for bytes: Int) throws(HubError) {
        let folder = folder(of: partial)
        guard let available = freeBytes(in: folder), bytes > available else { return }
        throw .diskFull(path: folder, needed: bytes, available: available)
    }

    /// What is more than all is of no use.
    private func tooLarge(_ found: Int, expected: Int) -> HubError {
        removeFile(partial)
        return .wrongSize(url: address.shown, expected: expected, found: found)
    }

    private func interrupted(_ reason: String) -> HubError {
        .unreachable(url: address.shown, reason: reason)
    }

    private func progress(_ received: Int, total: Int?, resumedFrom: Int, isWaiting: Bool = false) {
        report(
            DownloadProgress(
                file: name, received: received, total: total, resumedFrom: resumedFrom,
                isWaiting: isWaiting))
    }
}
