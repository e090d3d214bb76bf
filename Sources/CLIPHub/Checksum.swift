internal import Files

/// The checksum of a file, in lower-case hexadecimal digits.
enum Checksum: Sendable, Equatable {
    /// The SHA-256 of the bytes; the hub has it for large files.
    case sha256(String)
    /// The SHA-1 of the git blob; the hub has it for small files.
    case gitBlob(String)

    /// Takes 64 hexadecimal digits for a SHA-256 and 40 for a git SHA-1; nil for anything else.
    init?(etag: String) {
        guard etag.utf8.allSatisfy({ isHexadecimal($0) }) else { return nil }
        switch etag.utf8.count {
        case 64: self = .sha256(etag.lowercased())
        case 40: self = .gitBlob(etag.lowercased())
        default: return nil
        }
    }

    /// The hexadecimal digits, in lower case.
    var digits: String {
        switch self {
        case .sha256(let digits), .gitBlob(let digits): digits
        }
    }

    /// Reads a file and returns the digits of its checksum of the same kind.
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

/// Returns true if a byte is an ASCII hexadecimal digit.
func isHexadecimal(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
        UInt8(ascii: "A")...UInt8(ascii: "F"):
        true
    default: false
    }
}

/// The metadata that changes when a file is written to or replaced, and stays when it is renamed.
struct FileState: Equatable {
    private let device: UInt64
    private let inode: UInt64
    private let size: Int
    private let modified: Int

    /// Reads the metadata of a file; nil if there is none.
    init?(_ path: String) {
        guard let status = try? FileStatus(path: Array(path.utf8)) else { return nil }
        (device, inode) = (status.device, status.inode)
        (size, modified) = (status.size, status.modified)
    }
}

/// A record of the files whose checksum has been verified, so that each is read only once.
///
/// The records are files in the user's own folder, not in the cache, which others may write to.
/// Each holds for the very file that was read: if that is changed or replaced, it is read again. If
/// no record can be written, files are read each time.
struct VerifiedFiles: Sendable {
    /// The folder of the records, one for each checksum.
    let folder: String

    /// Returns true if a file is recorded with this checksum, without reading it.
    func contains(_ path: String, _ checksum: Checksum) -> Bool {
        guard let identity = Self.identity(of: path),
            let note = try? MappedFile(path: "\(folder)/\(checksum.digits)"), note.count < 1 << 10
        else { return false }
        return note.bytes(0..<note.count) == Array(identity.utf8)
    }

    /// Verifies a file, unless it is recorded, and records it if its checksum is right.
    ///
    /// Returns the digits of the wrong checksum; nil if it is right.
    func mismatch(of path: String, _ checksum: Checksum) throws(HubError) -> String? {
        guard !contains(path, checksum) else { return nil }
        let identity = Self.identity(of: path)
        let found = try checksum.found(in: path)
        guard found == checksum.digits else { return found }
        if let identity { write(identity, checksum) }
        return nil
    }

    /// Records a file that has just been verified and renamed to its final path.
    ///
    /// - Parameters:
    ///   - path: The final path.
    ///   - checksum: The verified checksum.
    ///   - state: The state of the file before it was read. A file whose state has changed since is
    ///     not recorded.
    func remember(_ path: String, _ checksum: Checksum, readIn state: FileState?) {
        // The identity is read before the state is compared: a file that changes in between has
        // another identity from then on.
        guard let state, let identity = Self.identity(of: path), state == FileState(path) else {
            return
        }
        write(identity, checksum)
    }

    private func write(_ identity: String, _ checksum: Checksum) {
        // Errors are ignored: without a record the file is read again.
        guard (try? makeFolder(folder)) != nil else { return }
        try? writeFile(Array(identity.utf8), to: "\(folder)/\(checksum.digits)")
    }

    /// The metadata that changes when a file is written to, renamed or replaced; nil if there is no
    /// file.
    private static func identity(of path: String) -> String? {
        guard let status = try? FileStatus(path: Array(path.utf8)) else { return nil }
        let times = [status.modified, status.changed].map { time in
            let (seconds, nanoseconds) = time.quotientAndRemainder(dividingBy: 1_000_000_000)
            return "\(seconds).\(nanoseconds)"
        }
        return "\(status.device) \(status.inode) \(status.size) \(times[0]) \(times[1])"
    }
}
