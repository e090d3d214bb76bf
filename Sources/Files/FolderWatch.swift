internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A change in a watched folder.
package struct FolderEvent: Sendable, Equatable {
    /// The kind of a change.
    package enum Kind: Sendable {
        /// An entry was made: a file that is perhaps still being written, a link or a folder.
        case created
        /// A file was written to and is still open.
        case written
        /// A file that was open for writing was closed.
        case closed
        /// An entry was moved here.
        case arrived
        /// An entry was removed or moved away, or the watched folder itself was.
        case gone
        /// Events were lost, so that anything may have changed.
        case overflow
    }

    package let kind: Kind
    /// The path of the entry, or of the watched folder itself; empty for `.overflow`.
    package let path: FilePath
    package let isFolder: Bool

    package init(_ kind: Kind, _ path: FilePath, isFolder: Bool = false) {
        (self.kind, self.path, self.isFolder) = (kind, path, isFolder)
    }
}

/// The inotify watches of folders; each watches the entries of one folder, but not of folders in
/// it.
///
/// Any thread may add folders. One thread at a time may wait.
package final class FolderWatch: Sendable {
    private struct State {
        /// The watched folders by the numbers of their watches.
        var folders: [Int32: (path: FilePath, pass: Int)] = [:]
        var numbers: [FilePath: Int32] = [:]
        var pass = 0
        var isLimitReached = false

        mutating func forget(_ number: Int32) -> FilePath? {
            guard let (path, _) = folders.removeValue(forKey: number) else { return nil }
            if numbers[path] == number { numbers[path] = nil }
            return path
        }
    }

    private let descriptor: Int32
    private let state = Mutex(State())

    /// True if the system has inotify.
    package static var isSupported: Bool {
        #if os(Linux)
            true
        #else
            false
        #endif
    }

    /// Creates a watch without folders.
    ///
    /// - Throws: `FileError`; its code is `EMFILE` if the user has too many inotify instances.
    package init() throws(FileError) {
        #if os(Linux)
            descriptor = inotify_init1(Int32(IN_NONBLOCK) | Int32(IN_CLOEXEC))
            guard descriptor >= 0 else { throw .last() }
        #else
            throw FileError(reason: "the system has no inotify", code: ENOSYS)
        #endif
    }

    deinit { close(descriptor) }

    /// True if a folder could not be watched since `begin`, because the user has too many watches.
    package var isLimitReached: Bool { state.withLock { $0.isLimitReached } }

    /// The number of watched folders.
    package var count: Int { state.withLock { $0.folders.count } }

    /// Returns true if the folder at a path is watched.
    package func contains(_ path: FilePath) -> Bool {
        state.withLock { $0.numbers[path] != nil }
    }

    /// Begins to add all folders that are to be watched from now on.
    package func begin() {
        state.withLock { state in
            state.pass += 1
            state.isLimitReached = false
        }
    }

    /// Stops watching the folders that were not added since `begin`.
    package func removeOthers() {
        let old = state.withLock { state in
            let old = state.folders.filter { $0.value.pass != state.pass }.map(\.key)
            for number in old { _ = state.forget(number) }
            return old
        }
        #if os(Linux)
            for number in old { inotify_rm_watch(descriptor, number) }
        #else
            precondition(old.isEmpty, "expected no watches, found \(old.count)")
        #endif
    }

    /// Watches a folder; a folder that is watched already gets the new path.
    ///
    /// A folder that is missing or may not be read is left out. Whoever lists it finds out why.
    package func add(_ path: FilePath) {
        #if os(Linux)
            let mask =
                UInt32(IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO)
                | UInt32(IN_DELETE | IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK)
            // With the lock, so that no event of the folder is read before its path is known.
            state.withLock { state in
                let number = withPath(path.bytes) { inotify_add_watch(descriptor, $0, mask) }
                guard number >= 0 else {
                    if errno == ENOSPC { state.isLimitReached = true }
                    return
                }
                if state.folders[number]?.path != path { _ = state.forget(number) }
                state.folders[number] = (path, state.pass)
                state.numbers[path] = number
            }
        #endif
    }

    /// Waits for events.
    ///
    /// - Parameter deadline: The time at which the wait ends without events; nil for never.
    /// - Returns: The events in their order; none at the deadline, or after a signal.
    /// - Throws: `FileError` if the system cannot tell the events.
    package func events(
        until deadline: ContinuousClock.Instant?
    ) throws(FileError) -> [FolderEvent] {
        var timeout: Int32 = -1
        if let deadline {
            let left = (deadline - .now) / .milliseconds(1)
            timeout = Int32(min(max(left.rounded(.up), 0), 3_600_000))
        }
        var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        let ready = poll(&request, 1, timeout)
        guard ready >= 0 || errno == EINTR else { throw .last() }
        guard ready > 0 else { return [] }
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = read(descriptor, &buffer, buffer.count)
        guard count >= 0 else {
            guard errno == EAGAIN || errno == EINTR else { throw .last() }
            return []
        }
        return events(in: buffer[..<count])
    }

    /// Decodes the records `inotify_event`: watch, mask, cookie and length of the name, 32 bits
    /// each, and the name, which is padded with NUL.
    private func events(in bytes: ArraySlice<UInt8>) -> [FolderEvent] {
        var events: [FolderEvent] = []
        #if os(Linux)
            var rest = bytes
            while rest.count >= 16 {
                let (number, mask, length) = rest.withUnsafeBytes { bytes in
                    (
                        bytes.loadUnaligned(fromByteOffset: 0, as: Int32.self),
                        bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self),
                        Int(bytes.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
                    )
                }
                let name = rest.dropFirst(16).prefix(length).prefix { $0 != 0 }
                rest = rest.dropFirst(16 + length)
                if let event = event(number, mask, name) { events.append(event) }
            }
        #endif
        return events
    }

    #if os(Linux)
        /// Returns the event of a record; nil if its watch was removed before.
        private func event(
            _ number: Int32, _ mask: UInt32, _ name: ArraySlice<UInt8>
        ) -> FolderEvent? {
            func has(_ bits: Int32) -> Bool { mask & UInt32(bits) != 0 }
            if has(IN_Q_OVERFLOW) { return FolderEvent(.overflow, "") }
            let isLost = has(IN_IGNORED)
            let folder = state.withLock { state in
                isLost ? state.forget(number) : state.folders[number]?.path
            }
            guard let folder else { return nil }
            if isLost || has(IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT) {
                return FolderEvent(.gone, folder, isFolder: true)
            }
            let kind: FolderEvent.Kind =
                if has(IN_CREATE) {
                    .created
                } else if has(IN_MODIFY) {
                    .written
                } else if has(IN_CLOSE_WRITE) {
                    .closed
                } else if has(IN_MOVED_TO) {
                    .arrived
                } else {
                    .gone
                }
            return FolderEvent(kind, folder.appending(name), isFolder: has(IN_ISDIR))
        }
    #endif
}
