internal import Files

/// How far a download has come.
public struct DownloadProgress: Sendable, Hashable, Codable {
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

/// One file on its way to this machine.
///
/// It lies in `partial` until all its bytes are there, their number and checksum are right and they
/// are on the disk; then it gets its name, in one step. A try that breaks off, or is killed, leaves
/// `partial`, and the next goes on there. `lock` is held meanwhile, so that there is one writer.
///
/// All runs on the caller's thread, `isCancelled` and `report` too.
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
    let checksum: Checksum?
    /// The most bytes that are taken; nil if the size that a server gives is the only limit.
    let limit: Int?
    let verified: VerifiedFiles
    let policy: TransferPolicy
    let certificates: Certificates
    let isCancelled: () -> Bool
    let report: (DownloadProgress) -> Void

    /// Fetches the file, unless it is there already, and does the rest before others may.
    func run(andThen rest: () throws(HubError) -> Void = {}) throws(HubError) {
        let holder = try openLock()
        defer { withExtendedLifetime(holder) {} }
        while try !acquire(holder) {
            progress(0, total: size, resumedFrom: 0, isWaiting: true)
            try pause(0.2, isCancelled: isCancelled)
        }
        if try !isThere() { try fetch() }
        try rest()
    }

    private func openLock() throws(HubError) -> FileLock {
        do {
            return try FileLock(path: Array(lock.utf8))
        } catch {
            throw .unwritable(path: lock, reason: error.reason)
        }
    }

    private func acquire(_ holder: FileLock) throws(HubError) -> Bool {
        do {
            return try holder.acquire()
        } catch {
            throw .unwritable(path: lock, reason: "no lock: \(error.reason)")
        }
    }

    /// Returns true if the file has its name and is right; others may have put it there.
    private func isThere() throws(HubError) -> Bool {
        guard let present = try regularFileSize(destination, followsLinks: true) else {
            return false
        }
        if let size, present != size { return false }
        return try checksum.map { checksum throws(HubError) in
            try verified.mismatch(of: destination, checksum) == nil
        } ?? true
    }

    private func fetch() throws(HubError) {
        if let size, let limit, size > limit { throw .tooLarge(url: address.shown, limit: limit) }
        let resumedFrom = try partialFileSize(partial) ?? 0
        var (failures, asksForParts, isSecondTime, mayBeOfAnother) = (0, true, false, false)
        // A server that restarts from zero each time would otherwise be retried for ever.
        var most = resumedFrom
        while true {
            let before = try partialFileSize(partial) ?? 0
            if before > 0 { mayBeOfAnother = true }
            let error: HubError
            do throws(HubError) {
                switch try attempt(from: asksForParts ? before : 0, resumedFrom: resumedFrom) {
                case .complete(let total): return try finish(total: total)
                case .noPart:
                    asksForParts = false
                    error = interrupted("the server did not send the requested part")
                }
            } catch let failure {
                error = failure
            }
            if case .wrongChecksum = error, mayBeOfAnother, !isSecondTime {
                // What an earlier try left may have been of another file: once more from the start.
                isSecondTime = true
                most = 0
                continue
            }
            // A slow connection brings bytes each time, and would be tried without end.
            var isSlow = false
            if case .tooSlow = error { isSlow = true }
            let size = try partialFileSize(partial) ?? 0
            failures = size > most && !isSlow ? 1 : failures + 1
            most = max(most, size)
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
            let length = try request.size("content-length")
            if let size, let length, length < size {
                throw interrupted(
                    "wrong length: expected \(size) bytes, the server offers \(length)")
            }
            total = size ?? length
        case 206:
            guard let range = Self.contentRange(request.header("content-range")),
                range.start == start
            else { return .noPart }
            offset = start
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
        guard total != nil || checksum != nil else {
            throw interrupted("the server does not state its length")
        }
        if let total {
            guard total >= offset else { throw wrongSize(offset, expected: total) }
            if let limit, total > limit { throw tooLarge(limit) }
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
            // A body that does not say how long it is may have no end: it is not kept.
            if total == nil { removeFile(partial) }
            let left = min(freeBytes(in: Array(folder(of: partial).utf8)) ?? 0, .max - 1)
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
        let most = total ?? limit ?? policy.largestFile
        guard offset <= most else { return tooLarge(most) }
        let file = try GrowingFile(path: Array(partial.utf8), isAlwaysWhole: true)
        try file.truncate(to: offset)
        var received = offset
        var speed = SpeedWatch(policy)
        while true {
            if isCancelled() {
                try file.synchronize()
                return .cancelled
            }
            var arrived = 0
            switch request.read() {
            case .bytes(let count):
                guard count <= most - received else {
                    let (found, overflow) = received.addingReportingOverflow(count)
                    return total.map { wrongSize(overflow ? .max : found, expected: $0) }
                        ?? tooLarge(most)
                }
                received += count
                arrived = count
                try file.append(request.buffer[..<count])
                try file.flush()  // what has come outlasts the end of the process
                progress(received, total: total, resumedFrom: resumedFrom)
            case .waiting:
                progress(received, total: total, resumedFrom: resumedFrom)
            case .failed(let reason):
                return interrupted(reason)
            case .end:
                try file.synchronize()
                guard let total, received < total else { return nil }
                return interrupted("the connection ended after \(received) of \(total) bytes")
            }
            if speed.isTooSlow(after: arrived) {
                try file.synchronize()
                return .tooSlow(
                    url: address.shown, bytesPerSecond: policy.leastSpeed,
                    seconds: Int(policy.slowSeconds.rounded(.up)))
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
            let request = try HTTPRequest(
                address, headers: headers, policy: policy, certificates: certificates)
            let status = try request.status(isCancelled: isCancelled)
            guard [301, 302, 303, 307, 308].contains(status) else { return request }
            guard let next = request.header("location").flatMap(address.following) else {
                throw .badRedirect(url: address.shown, reason: "the redirect has no address")
            }
            guard next.scheme == "https" || address.scheme == "http" else {
                throw .badRedirect(
                    url: address.shown,
                    reason: "the redirect leaves https for http at \(next.authority)")
            }
            address = next
        }
        throw .badRedirect(url: start.shown, reason: "redirected too often")
    }

    /// `bytes 5-9/10`, or `bytes */10`. Unparsable numbers are nil.
    static func contentRange(_ text: String?) -> (start: Int?, total: Int?)? {
        guard let text, text.hasPrefix("bytes ") else { return nil }
        let parts = text.dropFirst(6).split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        return (byteCount(String(parts[0].prefix { $0 != "-" })), byteCount(String(parts[1])))
    }

    // MARK: the end

    private func finish(total: Int?) throws(HubError) {
        let found = try partialFileSize(partial) ?? 0
        let state = FileState(partial)
        if let total, found != total { throw wrongSize(found, expected: total) }
        if let checksum {
            let sum = try checksum.found(in: partial)
            guard sum == checksum.digits else {
                removeFile(partial)
                throw .wrongChecksum(url: address.shown, expected: checksum.digits, found: sum)
            }
        }
        try renameFile(partial, to: destination)
        if let checksum { verified.remember(destination, checksum, readIn: state) }
    }

    private func makeSureOfRoom(for bytes: Int) throws(HubError) {
        let folder = folder(of: partial)
        guard let available = freeBytes(in: Array(folder.utf8)), bytes > available else { return }
        throw .diskFull(path: folder, needed: bytes, available: available)
    }

    /// Removes a partial file that is longer than expected.
    private func wrongSize(_ found: Int, expected: Int) -> HubError {
        removeFile(partial)
        return .wrongSize(url: address.shown, expected: expected, found: found)
    }

    private func tooLarge(_ limit: Int) -> HubError {
        removeFile(partial)
        return .tooLarge(url: address.shown, limit: limit)
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
