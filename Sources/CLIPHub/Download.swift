internal import Files

/// The progress of the download of a file.
///
/// ```swift
/// let installed = try await ModelHub().fetch("ViT-B/32") { progress in
///     print("\(progress.file): \(progress.received) of \(progress.total ?? 0) bytes")
///     return true  // false stops the download
/// }
/// ```
public struct DownloadProgress: Sendable, Hashable, Codable {
    /// The name of the file.
    public let file: String
    /// The number of bytes received so far, including those of earlier, interrupted downloads; 0
    /// while `isWaiting` is true.
    public let received: Int
    /// The size of the file in bytes; nil if it is unknown.
    public let total: Int?
    /// The number of bytes of `received` that an earlier, interrupted download left.
    public let resumedFrom: Int
    /// True while another process or thread downloads the file and this call waits for it.
    public let isWaiting: Bool
}

/// The download of one file.
///
/// Received bytes are written to the file `partial`. Once that file is complete, on the disk, and
/// has the right size and checksum, it is renamed to `destination`. An interrupted download leaves
/// `partial`, and the next one resumes there. The file `lock` is locked during the download, so
/// that there is one writer.
///
/// Everything runs on the caller's thread, including `isCancelled` and `report`.
struct Download {
    /// The name of the file in progress reports.
    let name: String
    /// The URL of the file, which may redirect to another server.
    let address: WebAddress
    /// The header lines with the access token, sent to the server of `address` only; empty without
    /// a token.
    let credentials: [String]
    /// The path of the complete file.
    let destination: String
    /// The path of the incomplete file.
    let partial: String
    /// The path of the lock file.
    let lock: String
    /// The expected size in bytes; nil if it is unknown.
    let size: Int?
    /// The expected checksum; nil if it is unknown.
    let checksum: Checksum?
    /// The largest accepted size in bytes; if nil, only files of unknown size are limited, by
    /// `policy`.
    let limit: Int?
    /// The records of verified files.
    let verified: VerifiedFiles
    /// The timeouts and limits.
    let policy: TransferPolicy
    /// The certificates to trust.
    let certificates: Certificates
    /// A closure that returns true to stop the download.
    let isCancelled: () -> Bool
    /// A closure that receives the progress.
    let report: (DownloadProgress) -> Void

    /// Downloads the file, unless it is at `destination` already, and then calls `rest`, both under
    /// the lock.
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
            throw .unwritable(path: lock, reason: "it cannot be locked: \(error.reason)")
        }
    }

    /// Returns true if the destination exists and has the expected size and checksum, as far as
    /// these are known.
    private func isThere() throws(HubError) -> Bool {
        guard let present = try regularFileSize(destination, followsLinks: true) else {
            return false
        }
        if let size, present != size { return false }
        return try checksum.map { checksum throws(HubError) in
            try verified.mismatch(of: destination, checksum) == nil
        } ?? true
    }

    /// Attempts the download until it succeeds or the policy allows no further attempt.
    private func fetch() throws(HubError) {
        if let size, let limit, size > limit { throw .tooLarge(url: address.shown, limit: limit) }
        let resumedFrom = try partialFileSize(partial) ?? 0
        var (failures, asksForParts, isSecondTime, mayBeOfAnother) = (0, true, false, false)
        // An attempt counts as progress only if it gets further than all before. Otherwise a server
        // that restarts from zero each time would be retried for ever.
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
                    error = interrupted("the server did not send the requested byte range")
                }
            } catch let failure {
                error = failure
            }
            if case .wrongChecksum = error, mayBeOfAnother, !isSecondTime {
                // The bytes that an earlier attempt left may be those of another file: attempt it
                // once more from the start.
                isSecondTime = true
                most = 0
                continue
            }
            // A slow connection makes progress each time, and would be retried for ever.
            var isSlow = false
            if case .tooSlow = error { isSlow = true }
            let size = try partialFileSize(partial) ?? 0
            failures = size > most && !isSlow ? 1 : failures + 1
            most = max(most, size)
            guard let wait = policy.wait(after: error, failures: failures) else { throw error }
            try pause(wait, isCancelled: isCancelled)
        }
    }

    // MARK: One attempt

    private enum Outcome {
        /// The file is complete; `total` is its size in bytes, nil if unknown.
        case complete(total: Int?)
        /// The server did not send the requested byte range, so the file must be requested from its
        /// start.
        case noPart
    }

    /// Requests the missing bytes and appends them to the partial file.
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
            // The partial file is complete, or too long.
            let whole = size ?? Self.contentRange(request.header("content-range"))?.total
            return whole == start ? .complete(total: whole) : .noPart
        case 400..<500 where ![408, 429].contains(status):
            throw .refused(url: request.shownURL, status: status, hasToken: !credentials.isEmpty)
        default:
            let wait = request.header("retry-after").flatMap { Int($0) }.map { max(0, $0) }
            throw .busy(url: request.shownURL, status: status, seconds: wait)
        }
        guard total != nil || checksum != nil else {
            throw interrupted(
                "the server did not send the file's size, and no checksum is known to verify it")
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
            // A body of unknown length may be endless: it is not kept.
            if total == nil { removeFile(partial) }
            let left = min(freeBytes(in: Array(folder(of: partial).utf8)) ?? 0, .max - 1)
            throw .diskFull(
                path: folder(of: partial), needed: max(total ?? 0, left + 1), available: left)
        }
        if let problem { throw problem }
        return .complete(total: total)
    }

    /// Appends the body of a response to the partial file.
    ///
    /// Returns nil if the body is complete; otherwise the error, such as that of a body that is too
    /// long, or of a cancelled download.
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
                try file.flush()  // received bytes survive the end of the process
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

    /// Requests a URL, follows redirects, and returns the first response that is not a redirect.
    ///
    /// Credentials are sent to the first server only.
    private func follow(
        _ start: WebAddress, from offset: Int
    ) throws(HubError) -> HTTPRequest {
        try HTTPRequest.following(
            start, redirects: 9, policy: policy, certificates: certificates,
            isCancelled: isCancelled
        ) { address in
            var headers = ["Accept-Encoding: identity"]
            if offset > 0 { headers.append("Range: bytes=\(offset)-") }
            if address.isSameOrigin(as: start) { headers += credentials }
            return headers
        }
    }

    /// Parses a Content-Range header: `bytes 5-9/10` or `bytes */10`.
    ///
    /// Returns nil for a header of another form; `start` or `total` is nil if it is `*` or
    /// malformed.
    static func contentRange(_ text: String?) -> (start: Int?, total: Int?)? {
        guard let text, text.hasPrefix("bytes ") else { return nil }
        let parts = text.dropFirst(6).split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        return (byteCount(String(parts[0].prefix { $0 != "-" })), byteCount(String(parts[1])))
    }

    // MARK: Completion

    /// Verifies the partial file, and renames it to `destination`.
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

    /// Throws `HubError.diskFull` if the disk has fewer free bytes than needed.
    private func makeSureOfRoom(for bytes: Int) throws(HubError) {
        let folder = folder(of: partial)
        guard let available = freeBytes(in: Array(folder.utf8)), bytes > available else { return }
        throw .diskFull(path: folder, needed: bytes, available: available)
    }

    /// Removes the partial file and returns the error for its wrong size.
    private func wrongSize(_ found: Int, expected: Int) -> HubError {
        removeFile(partial)
        return .wrongSize(url: address.shown, expected: expected, found: found)
    }

    /// Removes the partial file and returns the error for a file above the limit.
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
