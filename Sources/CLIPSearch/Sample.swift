package import Files

/// One image of a collection: a file, or a member of a tar archive.
public struct Sample: Sendable {
    /// The path of the file, or that of the archive and in it. Bytes that are not UTF-8 become U+FFFD.
    public var path: String { name.description }
    /// The bytes of the path, which need not be UTF-8.
    public var pathBytes: [UInt8] { name.bytes }
    package let name: FilePath
    /// Where its bytes are.
    public let content: Content
    /// What a WebDataset says beside the image, by the file's ending: `cls`, `txt`, `json`.
    public let fields: [String: [UInt8]]

    /// Where the bytes of an image are.
    public enum Content: Sendable {
        /// In a file of its own.
        case file
        /// Here.
        case bytes([UInt8])
        /// Nowhere: something on the way to them failed.
        case unreadable(reason: String)
    }

    /// A file of its own.
    package init(file: FilePath) { self.init(file) }

    init(_ name: FilePath, _ content: Content = .file, fields: [String: [UInt8]] = [:]) {
        self.name = name
        self.content = content
        self.fields = fields
    }
}
