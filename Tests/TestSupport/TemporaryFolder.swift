import Foundation

/// A folder that is removed with its last reference.
public final class TemporaryFolder {
    /// The path of the folder.
    public let path: String

    /// Creates a folder with a unique name.
    public init() throws {
        path = FileManager.default.temporaryDirectory.path + "/clip-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Writes a file into the folder.
    ///
    /// - Returns: The path of the file.
    @discardableResult
    public func write(_ name: String, _ bytes: some Sequence<UInt8>) throws -> String {
        try Data(Array(bytes)).write(to: URL(fileURLWithPath: "\(path)/\(name)"))
        return "\(path)/\(name)"
    }

    /// Creates empty files in the folder, with the folders in their names.
    public func touch(_ names: String...) throws {
        for name in names {
            let file = URL(fileURLWithPath: "\(path)/\(name)")
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data().write(to: file)
        }
    }

    /// Copies a file into the folder.
    ///
    /// - Returns: The path of the copy.
    @discardableResult
    public func copy(_ source: String, as name: String) throws -> String {
        try FileManager.default.copyItem(atPath: source, toPath: "\(path)/\(name)")
        return "\(path)/\(name)"
    }
}

/// The bytes of a file.
public func bytes(ofFile path: String) throws -> [UInt8] {
    try Array(Data(contentsOf: URL(fileURLWithPath: path)))
}

/// The SHA-256 of a file, computed by another program.
public func sha256sum(_ path: String) throws -> String {
    try firstWord(of: "/usr/bin/sha256sum", path)
}

/// The git SHA-1 of a file with these bytes, computed by another program.
public func gitBlobSHA1(_ bytes: [UInt8]) throws -> String {
    let folder = try TemporaryFolder()
    let path = try folder.write("blob", Array("blob \(bytes.count)\0".utf8) + bytes)
    return try firstWord(of: "/usr/bin/sha1sum", path)
}

private func firstWord(of program: String, _ path: String) throws -> String {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = [path]
    process.standardOutput = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return String(decoding: data.prefix { $0 != UInt8(ascii: " ") }, as: UTF8.self)
}
