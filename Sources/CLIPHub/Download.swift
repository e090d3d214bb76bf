internal import Tensors

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

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
        case .unreachable: return usual
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

    /// Fetches the file, unless it is there already.
    func run() throws(HubError) {
        let holder = try FileLock(lock)
        while try !holder.acquire() {
            progress(0, total: size, resumedFrom: 0, isWaiting: true)
            try pause(0.2, isCancelled: isCancelled)
        }
        if let present = fileSize(destination), size == nil || present == size { return }

        let resumedFrom = fileSize(partial) ?? 0
        var (failures, mayBeOfAnother) = (0, resumedFrom > 0)
        while true {
            let before = fileSize(partial) ?? 0
            let error: HubError
            do throws(HubError) {
                return try finish(total: attempt(resumedFrom: resumedFrom))
            } catch let failure {
                error = failure
            }
            if case .wrongChecksum = error, mayBeOfAnother {
                // What an earlier try left may have been of another file: once more from the start.
                mayBeOfAnother = false
                continue
            }
            failures = (fileSize(partial) ?? 0) > before ? 1 : failures + 1
            guard let wait = policy.wait(after: error, failures: failures) else { throw error }
            try pause(wait, isCancelled: isCancelled)
        }
    }

    // MARK: one try

    /// Asks for what is missing and appends it.
    ///
    /// - Returns: the size of the whole file, as the server says.
    private func attempt(resumedFrom: Int) throws(HubError) -> Int? {
        let start = fileSize(partial) ?? 0
        let request = try follow(address, from: start)
        let status = try request.status(isCancelled: isCancelled)
        var offset = 0
        var total = size
        switch status {
        case 200:
            total = total ?? request.header("content-length").flatMap { Int($0) }
        case 206:
            guard let range = Self.contentRange(request.header("content-range")),
                range.start <= start
            else {
                try truncate(to: 0)
                throw interrupted("the server answers with another part than was asked for")
            }
            offset = range.start
            total = total ?? range.total
        case 416 where start > 0:
            // All is there, or more than all.
            if size == start { return size }
            try truncate(to: 0)
            throw interrupted("the server does not have the part that was asked for")
        case 401, 403, 404, 410, 400..<408, 409..<429, 430..<500:
            throw .refused(
                url: request.url, status: status, hasToken: !credentials.isEmpty)
        default:
            let wait = request.header("retry-after").flatMap { Int($0) }.map { max(0, $0) }
            throw .busy(url: request.url, status: status, seconds: wait)
        }
        if let total, total < offset { throw tooLarge(offset, expected: total) }
        if let total { try makeSureOfRoom(for: total - offset) }

        let file = try PartialFile(partial, from: offset)
        var received = offset
        let resumed = min(resumedFrom, offset)
        while true {
            if isCancelled() {
                try file.sync()
                throw .cancelled
            }
            switch request.read() {
            case .bytes(let count):
                received += count
                if let total, received > total {
                    unlink(partial)
                    throw tooLarge(received, expected: total)
                }
                do throws(SystemError) {
                    try file.append(request.buffer[..<count])
                } catch {
                    if error.isOutOfSpace {
                        throw outOfRoom(needed: (total ?? received) - received + count)
                    }
                    throw .unwritable(path: partial, reason: error.reason)
                }
                progress(received, total: total, resumedFrom: resumed)
            case .waiting:
                progress(received, total: total, resumedFrom: resumed)
            case .failed(let reason):
                throw interrupted(reason)
            case .end:
                try file.sync()
                if let total, received < total {
                    throw interrupted("it ended after \(received) of \(total) bytes")
                }
                return total
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
            let request = try HTTPRequest(address.url, headers: headers, stall: policy.stall)
            let status = try request.status(isCancelled: isCancelled)
            guard [301, 302, 303, 307, 308].contains(status) else { return request }
            guard let next = request.header("location").flatMap(address.following) else {
                throw .badRedirect(url: address.url, reason: "it redirects to no address")
            }
            guard next.scheme == "https" || address.scheme == "http" else {
                throw .badRedirect(
                    url: address.url, reason: "it redirects from https to \(next.authority) by http"
                )
            }
            address = next
        }
        throw .badRedirect(url: start.url, reason: "it redirects too often")
    }

    /// `bytes 5-9/10`
    static func contentRange(_ text: String?) -> (start: Int, total: Int?)? {
        guard let text, text.hasPrefix("bytes ") else { return nil }
        let parts = text.dropFirst(6).split { "-/".contains($0) }
        guard parts.count == 3, let start = Int(parts[0]), start >= 0 else { return nil }
        return (start, Int(parts[2]))
    }

    // MARK: the end

    private func finish(total: Int?) throws(HubError) {
        let found = fileSize(partial) ?? 0
        if let total, found != total {
            unlink(partial)
            throw .wrongSize(url: address.url, expected: total, found: found)
        }
        if let sha256 {
            let sum: String
            do {
                sum = try MappedFile(path: partial).sha256()
            } catch {
                throw .unwritable(path: partial, reason: error.reason)
            }
            guard sum == sha256.lowercased() else {
                unlink(partial)
                throw .wrongChecksum(url: address.url, expected: sha256, found: sum)
            }
        }
        guard rename(partial, destination) == 0 else {
            throw .unwritable(path: destination, reason: SystemError.last().reason)
        }
        syncFolder(of: destination)
    }

    private func makeSureOfRoom(for bytes: Int) throws(HubError) {
        let folder = String(partial.dropLast(partial.split(separator: "/").last?.count ?? 0))
        var status = statvfs()
        guard statvfs(folder, &status) == 0 else { return }
        let available = Int(clamping: UInt64(status.f_bavail) * UInt64(status.f_frsize))
        if bytes > available {
            throw .diskFull(path: folder, needed: bytes, available: available)
        }
    }

    private func outOfRoom(needed: Int) -> HubError {
        do throws(HubError) {
            try makeSureOfRoom(for: needed)
        } catch {
            return error
        }
        return .diskFull(path: partial, needed: needed, available: 0)
    }

    private func tooLarge(_ found: Int, expected: Int) -> HubError {
        .wrongSize(url: address.url, expected: expected, found: found)
    }

    private func interrupted(_ reason: String) -> HubError {
        .unreachable(url: address.url, reason: reason)
    }

    private func truncate(to size: Int) throws(HubError) {
        _ = try PartialFile(partial, from: size)
    }

    private func progress(_ received: Int, total: Int?, resumedFrom: Int, isWaiting: Bool = false) {
        report(
            DownloadProgress(
                file: name, received: received, total: total, resumedFrom: resumedFrom,
                isWaiting: isWaiting))
    }
}
