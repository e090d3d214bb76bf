/// Small tar archives.
enum SmallTar {
    /// Makes a ustar archive.
    ///
    /// - Parameters:
    ///   - files: The names and contents, in order.
    ///   - isEnded: False to leave out the end marker.
    ///
    /// - Returns: The archive.
    static func bytes(_ files: [(name: String, content: [UInt8])], isEnded: Bool = true) -> [UInt8]
    {
        var archive: [UInt8] = []
        for (name, content) in files {
            archive += header(name, content.count) + content
            archive += [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
        }
        return isEnded ? archive + [UInt8](repeating: 0, count: 1024) : archive
    }

    private static func header(_ name: String, _ size: Int) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: 512)
        func write(_ text: String, at place: Int) {
            for (index, byte) in text.utf8.enumerated() { block[place + index] = byte }
        }
        func octal(_ value: Int, _ digits: Int) -> String {
            let text = String(value, radix: 8)
            return String(repeating: "0", count: digits - text.count) + text
        }
        write(name, at: 0)
        write(octal(0o644, 7), at: 100)
        write(octal(size, 11), at: 124)
        write("0", at: 156)
        write("ustar", at: 257)
        write("00", at: 263)
        write("        ", at: 148)
        let sum = block.reduce(0) { $0 + Int($1) }
        write(octal(sum, 6), at: 148)
        block[154] = 0
        return block
    }
}
