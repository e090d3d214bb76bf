package import Files

/// An image of a collection: a file, or a member of a tar archive.
///
/// `ImageCollection` shows how samples are read.
public struct Sample: Sendable {
    /// The path of the file, or the path of the archive followed by that in the archive.
    ///
    /// Bytes that are not UTF-8 become U+FFFD.
    public var path: String { name.description }
    /// The bytes of the path, which need not be UTF-8.
    public var pathBytes: [UInt8] { name.bytes }
    package let name: FilePath
    /// The content of the file, or its place.
    public let content: Content
    /// The other files of the sample in a WebDataset, by suffix: `cls`, `txt`, `json`.
    public let fields: [String: [UInt8]]

    /// The content of an image file, or its place.
    public enum Content: Sendable {
        /// The content is in the file at `path`.
        case file
        /// The content was read from an archive or standard input.
        case bytes([UInt8])
        /// The content could not be read.
        case unreadable(reason: String)
    }

    /// Makes the sample of a file.
    package init(file: FilePath) { self.init(file) }

    init(_ name: FilePath, _ content: Content = .file, fields: [String: [UInt8]] = [:]) {
        self.name = name
        self.content = content
        self.fields = fields
    }
}
