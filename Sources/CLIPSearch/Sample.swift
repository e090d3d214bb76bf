package import Files

/// An image of a collection: a file, or a member of a tar archive.
///
/// `ImageCollection` shows how samples are read.
public struct Sample: Sendable {
    /// The path of the file, or the path of the archive followed by the path inside it.
    ///
    /// Bytes that are not UTF-8 become U+FFFD.
    public var path: String { name.description }
    /// The bytes of the path, which need not be UTF-8.
    public var pathBytes: [UInt8] { name.bytes }
    package let name: FilePath
    /// The source of the image's bytes: a file, memory, or a failure.
    public let content: Content
    /// The other files of the sample in a WebDataset, by suffix: `cls`, `txt`, `json`.
    public let fields: [String: [UInt8]]

    /// The bytes of an image file, or a marker that they are read from its path or could not be
    /// read.
    public enum Content: Sendable {
        /// The content is read from the file at `path`.
        case file
        /// The content was read from an archive or standard input.
        case bytes([UInt8])
        /// The content could not be read.
        case unreadable(reason: String)
    }

    /// Creates a sample whose content is read from a file.
    package init(file: FilePath) { self.init(file) }

    init(_ name: FilePath, _ content: Content = .file, fields: [String: [UInt8]] = [:]) {
        self.name = name
        self.content = content
        self.fields = fields
    }
}
