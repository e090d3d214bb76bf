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

/// Returns the time of the system's clock, in seconds since 1970.
package func secondsSince1970() -> Int { time(nil) }

/// Returns true if the process ignores a signal, as `nohup` makes it do.
package func isIgnored(signal: Int32) -> Bool { clip_signal_is_ignored(signal) }
