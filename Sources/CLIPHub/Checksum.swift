internal import Files

/// The checksum by which a hub names a file.
enum Checksum: Sendable, Equatable {
    /// The SHA-256 of the bytes: of large files.
    case sha256(String)
    /// The SHA-1 that git gives the file: of small ones.
    case gitBlob(String)

    /// - Parameter etag: 64 or 40 hexadecimal digits. Returns nil for anything else.
    init?(etag: String) {
        guard etag.utf8.allSatisfy({ isHexadecimal($0) }) else { return nil }
        switch etag.utf8.count {
        case 64: self = .sha256(etag.lowercased())
        case 40: self = .gitBlob(etag.lowercased())
        default: return nil
        }
    }

    /// Its hexadecimal digits, in lower case.
    var digits: String {
        switch self {
        case .sha256(let digits), .gitBlob(let digits): digits
        }
    }

    /// Reads a file and returns its checksum of the same kind.
    func found(in path: String) throws(HubError) -> String {
        do throws(FileError) {
            let file = try MappedFile(path: path)
            switch self {
            case .sha256: return file.sha256()
            case .gitBlob: return file.gitBlobSHA1()
            }
        } catch {
            throw .unreadable(path: path, reason: error.reason)
        }
    }
}

func isHexadecimal(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
        UInt8(ascii: "A")...UInt8(ascii: "F"):
        true
    default: false
    }
}

/// The numbers that change when a file is written to or replaced, and stay when it is renamed.
struct FileState: Equatable {
    private let device: UInt64
    private let inode: UInt64
    private let size: Int
    private let modified: Int

    /// Returns nil if there is no such file.
    init?(_ path: String) {
        guard let status = try? FileStatus(path: Array(path.utf8)) else { return nil }
        (device, inode) = (status.device, status.inode)
        (size, modified) = (status.size, status.modified)
    }
}

/// Remembers which files have been read and have their checksum, so that each is read only once.
///
/// A note lies in a folder of the user's own, not in the cache, which others may write to. It holds
/// for the very file that was read: once that is changed or replaced, it is read again. Where no
/// note can be written, files are read each time.
struct VerifiedFiles: Sendable {
    /// The folder of the notes, one for each checksum.
    let folder: String

    /// Returns true if a file is known to have a checksum, without reading it.
    func contains(_ path: String, _ checksum: Checksum) -> Bool {
        guard let identity = Self.identity(of: path),
            let note = try? MappedFile(path: "\(folder)/\(checksum.digits)"), note.count < 1 << 10
        else { return false }
        return note.bytes(0..<note.count) == Array(identity.utf8)
    }

    /// Reads a file, unless it is known, and remembers it if it is right.
    ///
    /// - Returns: the checksum that it has instead; nil if it is right.
    func mismatch(of path: String, _ checksum: Checksum) throws(HubError) -> String? {
        guard !contains(path, checksum) else { return nil }
        let identity = Self.identity(of: path)
        let found = try checksum.found(in: path)
        guard found == checksum.digits else { return found }
        if let identity { write(identity, checksum) }
        return nil
    }

    /// Remembers a file that has just been read, and has its final name.
    ///
    /// - Parameter state: The state of the file before it was read. A file that is in another one
    ///   by now is not remembered.
    func remember(_ path: String, _ checksum: Checksum, readIn state: FileState?) {
        // In this order: a file that changes in between has another identity from then on.
        guard let state, let identity = Self.identity(of: path), state == FileState(path) else {
            return
        }
        write(identity, checksum)
    }

    private func write(_ identity: String, _ checksum: Checksum) {
        // Without a note nothing is lost but time.
        guard (try? makeFolder(folder)) != nil else { return }
        try? writeFile(Array(identity.utf8), to: "\(folder)/\(checksum.digits)")
    }

    /// The numbers that change when a file is written to, renamed or replaced.
    private static func identity(of path: String) -> String? {
        guard let status = try? FileStatus(path: Array(path.utf8)) else { return nil }
        let times = [status.modified, status.changed].map { time in
            let (seconds, nanoseconds) = time.quotientAndRemainder(dividingBy: 1_000_000_000)
            return "\(seconds).\(nanoseconds)"
        }
        return "\(status.device) \(status.inode) \(status.size) \(times[0]) \(times[1])"
    }
}
