internal import CFiles

#if canImport(Glibc)
    @preconcurrency internal import Glibc
#elseif canImport(Musl)
    @preconcurrency internal import Musl
#else
    internal import Darwin
#endif

/// Returns the environment variables of the process.
///
/// Must not be called while another thread changes the environment.
package func environmentVariables() -> [String: String] {
    #if canImport(Darwin)
        let list = _NSGetEnviron().pointee
    #else
        let list: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = environ
    #endif
    guard var next = list else { return [:] }
    var variables: [String: String] = [:]
    while let entry = next.pointee {
        // By bytes: a value may begin with a combining mark. The first of two values counts, as it
        // does for `getenv`.
        let text = String(cString: entry).utf8
        if let end = text.firstIndex(of: UInt8(ascii: "=")) {
            let name = String(decoding: text[..<end], as: UTF8.self)
            let value = String(decoding: text[text.index(after: end)...], as: UTF8.self)
            if variables[name] == nil { variables[name] = value }
        }
        next += 1
    }
    return variables
}

/// Returns the absolute path of the process's current folder; nil if that was removed.
package func currentFolder() -> [UInt8]? {
    guard let path = getcwd(nil, 0) else { return nil }
    defer { free(path) }
    return Array(UnsafeRawBufferPointer(start: path, count: strlen(path)))
}

/// Returns true if the process ignores a signal, as `nohup` makes it do.
package func isIgnored(signal: Int32) -> Bool { clip_signal_is_ignored(signal) }

/// Returns the resident memory of the process in bytes; nil if the system has no `/proc`.
package func residentMemory() -> Int? {
    // Not by a mapped file: files of /proc have the size 0.
    let file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 256)
    let count = read(file, &bytes, bytes.count)
    guard count > 0 else { return nil }
    // The second number is the count of resident pages.
    let numbers = bytes[..<count].split(separator: UInt8(ascii: " "))
    guard numbers.count > 1, let pages = Int(String(decoding: numbers[1], as: UTF8.self)) else {
        return nil
    }
    return pages * Int(getpagesize())
}

/// Returns the time of the system's clock, in seconds since 1970 in UTC.
package func unixTime() -> Double {
    var time = timespec()
    guard clock_gettime(CLOCK_REALTIME, &time) == 0 else { return 0 }
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// Raises the number of files and sockets that the process may open to the most that the system
/// allows it.
///
/// The usual default of 1024 is for programs that use `select`.
///
/// - Returns: The number; nil if it is unlimited or unknown.
package func raiseOpenFileLimit() -> Int? {
    #if canImport(Glibc)
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    #else
        let resource = RLIMIT_NOFILE
    #endif
    var limit = rlimit()
    guard getrlimit(resource, &limit) == 0 else { return nil }
    let before = limit.rlim_cur
    limit.rlim_cur = limit.rlim_max
    #if canImport(Darwin)
        // The hard limit may be infinite, which the system refuses as a soft one.
        limit.rlim_cur = min(limit.rlim_cur, rlim_t(OPEN_MAX))
    #endif
    return Int(exactly: setrlimit(resource, &limit) == 0 ? limit.rlim_cur : before)
}

/// Takes the descriptors of standard input, output and error, if they are closed.
///
/// The next files that the process opens would get them otherwise, and output would be written into
/// those files. Reading and writing still fail, as with closed descriptors.
package func takeStandardDescriptors() {
    for descriptor in Int32(0)...2 where fcntl(descriptor, F_GETFD) < 0 {
        // The lowest free descriptor is this one, because those before it are open. A folder cannot
        // be written to, not even by its name, /dev/stdout.
        _ = descriptor == 0 ? open("/dev/null", O_WRONLY) : open("/", O_RDONLY)
    }
}

/// Returns the absolute path of the running program; nil if the system does not tell it.
package func programPath() -> String? {
    #if canImport(Darwin)
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        var size = UInt32(buffer.count)
        guard _NSGetExecutablePath(&buffer, &size) == 0 else { return nil }
        let link = buffer
    #else
        let link = "/proc/self/exe"
    #endif
    guard let path = realpath(link, nil) else { return nil }
    defer { free(path) }
    return String(cString: path)
}

/// Returns true for the text of an IPv4 or IPv6 address.
package func isAddress(_ text: String) -> Bool {
    var (four, six) = (in_addr(), in6_addr())
    return inet_pton(AF_INET, text, &four) == 1 || inet_pton(AF_INET6, text, &six) == 1
}
