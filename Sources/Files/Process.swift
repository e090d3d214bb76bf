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

/// Reads the next line of standard input through C's `stdin` buffer, as `readLine` does.
///
/// - Returns: The bytes with the line feed, if there is one; nil at the end.
package func readStandardInputLine() -> [UInt8]? {
    var buffer: UnsafeMutablePointer<CChar>?
    var capacity = 0
    defer { free(buffer) }
    let count = getline(&buffer, &capacity, stdin)
    guard count > 0, let buffer else { return nil }
    return Array(UnsafeRawBufferPointer(start: buffer, count: count))
}

/// Returns true if the process ignores a signal, as `nohup` makes it do.
package func isIgnored(signal: Int32) -> Bool { clip_signal_is_ignored(signal) }
