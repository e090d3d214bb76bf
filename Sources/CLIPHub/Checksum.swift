internal import Files

/// The checksum of a file, in lower-case hexadecimal digits.
enum Checksum: Sendable, Equatable {
    /// The SHA-256 of the content; the hub states it for large files.
    case sha256(String)
    /// The SHA-1 of the content as a git blob; the hub states it for small files.
    case gitBlob(String)

    /// Makes a SHA-256 from an etag of 64 hexadecimal digits, or a git SHA-1 from one of 40; nil
    /// for any other etag.
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

    /// Computes the checksum of a file with the algorithm of this one, and returns the digits.
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

/// The file metadata that changes when a file is written to or replaced, but not when it is
/// renamed.
struct FileState: Equatable {
    private let device: UInt64
    private let inode: UInt64
    private let size: Int
    private let modified: Int

    /// Reads the metadata of a file; nil if the file does not exist or is inaccessible.
    init?(_ path: String) {
        guard let status = try? FileStatus(path: Array(path.utf8)) else { return nil }
        (device, inode) = (status.device, status.inode)
        (size, modified) = (status.size, status.modified)
    }
}

/// Records of the files whose checksums have been verified, so that each file is read only once.
///
/// The records are in a folder of the user (`verified` in `ModelHub.home`), not in the cache, to
/// which other users may write. A record applies only to the file that was read: a file that was
/// changed or replaced since is read again. If no record can be written, files are read each time.
struct VerifiedFiles: Sendable {
    /// The folder of the records; the name of each record is the checksum of the verified file.
    let folder: String

    /// Returns true if a record states that a file has this checksum; the file is not read.
    func contains(_ path: String, _ checksum: Checksum) -> Bool {
        guard let identity = Self.identity(of: path),
            let note = try? MappedFile(path: "\(folder)/\(checksum.digits)"), note.count < 1 << 10
        else { return false }
        return note.bytes(0..<note.count) == Array(identity.utf8)
    }

    /// Compares a file with its expected checksum, and records a file that matches; a file with a
    /// record is not read.
    ///
    /// Returns the digits of the checksum that was found if the file does not match; nil if it
    /// matches or has a record.
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
    ///   - state: The state of the file before it was read; nil if it was inaccessible. A file is
    ///     recorded only if its state has not changed since.
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

    /// Returns the metadata that changes when a file is written to, renamed or replaced, as text;
    /// nil if the file does not exist or is inaccessible.
    private static func identity(of path: String) -> String? {
        guard let status = try? FileStatus(path: Array(path.utf8)) else { return nil }
        let times = [status.modified, status.changed].map { time in
            let (seconds, nanoseconds) = time.quotientAndRemainder(dividingBy: 1_000_000_000)
            return "\(seconds).\(nanoseconds)"
        }
        return "\(status.device) \(status.inode) \(status.size) \(times[0]) \(times[1])"
    }
}
