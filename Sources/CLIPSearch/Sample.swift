package import Files

/// An image of an `ImageCollection`: a file, a member of a tar archive, or standard input.
///
/// `ImageCollection` shows how samples are read.
public struct Sample: Sendable {
    /// The path of the file, or the path of the archive followed by the path inside it; `-` for
    /// standard input.
    ///
    /// Bytes that are not UTF-8 become U+FFFD.
    public var path: String { name.description }
    /// The bytes of the path, which need not be UTF-8.
    public var pathBytes: [UInt8] { name.bytes }
    package let name: FilePath
    /// The bytes of the image, or a marker that they are in a file or cannot be read.
    public let content: Content
    /// The contents of the sample's other files in a WebDataset, by suffix: `cls`, `txt`, `json`.
    public let fields: [String: [UInt8]]

    /// The bytes of an image, or a marker that they are in a file or cannot be read.
    public enum Content: Sendable {
        /// The bytes are in the file at `path`, and were not read yet.
        case file
        /// The bytes were read from an archive or standard input.
        case bytes([UInt8])
        /// The input could not be read.
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
