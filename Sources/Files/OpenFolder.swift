#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// An open folder, in which files are opened, moved and removed by name.
///
/// Symbolic links in it are not followed, so that no other process can redirect an operation to a
/// file outside the folder.
package final class OpenFolder {
    let descriptor: Int32

    /// Opens a folder.
    ///
    /// - Parameter path: The path of the folder; symbolic links are followed.
    /// - Throws: `FileError` if it does not exist or may not be read.
    package init(path: [UInt8]) throws(FileError) {
        descriptor = withPath(path) { open($0, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard descriptor >= 0 else { throw .last() }
    }

    private init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Splits a relative path into its components.
    ///
    /// - Parameter path: The path relative to the folder.
    /// - Returns: At least one component.
    /// - Throws: `FileError` if the path is empty or absolute, has a component `.` or `..`, an
    ///   empty one, or a byte 0.
    package static func components(of path: [UInt8]) throws(FileError) -> [[UInt8]] {
        let parts = path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
            .map(Array.init)
        let isUsable = parts.allSatisfy { part in
            !part.isEmpty && part != [UInt8(ascii: ".")] && part != Array("..".utf8)
                && !part.contains(0)
        }
        guard isUsable else {
            throw FileError(
                reason: "expected a relative path inside the folder, without \".\" or \"..\"")
        }
        return parts
    }

    /// Opens a folder below this one.
    ///
    /// - Parameters:
    ///   - components: The components from `components(of:)`.
    ///   - isMade: True to make missing folders.
    /// - Returns: The open folder; this folder itself if there are no components.
    /// - Throws: `FileError` if a component is missing, a symbolic link or not a folder.
    package func folder(
        _ components: some Sequence<[UInt8]>, isMade: Bool = false
    ) throws(FileError) -> OpenFolder {
        var current = self
        for name in components {
            if isMade, withPath(name, { mkdirat(current.descriptor, $0, 0o777) }) != 0,
                errno != EEXIST
            {
                throw .last()
            }
            let child = withPath(name) {
                openat(current.descriptor, $0, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            }
            guard child >= 0 else {
                let error = FileError.last()
                if current.isLink(name) { throw Self.linkError(name) }
                throw error
            }
            current = OpenFolder(descriptor: child)
        }
        return current
    }

    /// Opens a regular file below this folder for reading.
    ///
    /// - Parameter components: The components from `components(of:)`.
    /// - Returns: The open file.
    /// - Throws: `FileError` if a component is a symbolic link, or the last is not a regular file.
    package func file(_ components: [[UInt8]]) throws(FileError) -> OpenedFile {
        guard let name = components.last else { throw FileError(reason: "its path is empty") }
        let parent = try folder(components.dropLast())
        let descriptor = withPath(name) {
            openat(parent.descriptor, $0, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        }
        guard descriptor >= 0 else {
            let error = FileError.last()
            if parent.isLink(name) { throw Self.linkError(name) }
            throw error
        }
        return try OpenedFile(descriptor: descriptor, name: name, parent: parent)
    }

    /// Makes a file, unless one with this name exists.
    ///
    /// - Parameters:
    ///   - name: The name of the file.
    ///   - contents: The content of the file.
    /// - Throws: `FileError`, also if a folder has this name; no incomplete file is left.
    package func makeFile(_ name: [UInt8], contents: [UInt8]) throws(FileError) {
        let file = withPath(name) {
            openat(descriptor, $0, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o666)
        }
        guard file >= 0 else {
            let error = FileError.last()
            if let status = status(of: name) {
                guard status.st_mode & S_IFMT == S_IFDIR else { return }
                let shown = String(decoding: name, as: UTF8.self)
                throw FileError(reason: "it contains a folder named \(shown); expected a file")
            }
            throw error
        }
        defer { close(file) }
        do throws(FileError) {
            try write(contents, to: file)
            guard fsync(file) == 0 else { throw .last() }
        } catch {
            _ = withPath(name) { unlinkat(descriptor, $0, 0) }
            throw error
        }
        synchronize()
    }

    private func isLink(_ name: [UInt8]) -> Bool {
        status(of: name).map { $0.st_mode & S_IFMT == S_IFLNK } ?? false
    }

    private static func linkError(_ name: [UInt8]) -> FileError {
        FileError(
            reason: """
                \(String(decoding: name, as: UTF8.self)) is a symbolic link; only regular files \
                inside the folder are moved or deleted
                """)
    }

    /// True if an entry with this name exists, including a dangling symbolic link.
    package func contains(_ name: [UInt8]) -> Bool { status(of: name) != nil }

    /// Returns the status of an entry without following a symbolic link; nil if there is none or it
    /// cannot be read.
    func status(of name: [UInt8]) -> stat? {
        var status = stat()
        let result = withPath(name) { fstatat(descriptor, $0, &status, AT_SYMLINK_NOFOLLOW) }
        return result == 0 ? status : nil
    }

    /// Writes the entries of the folder to the disk, so that they survive a power failure.
    package func synchronize() { fsync(descriptor) }

    /// The error of renaming a file to a name that already exists.
    static let isTaken = FileError(reason: "a file with this name already exists")
}
