package import Files
public import CLIP
internal import Images
internal import Tensors

/// A stream of images from files, folders, shell patterns, lists of names and tar archives.
///
/// ```swift
/// for sample in ImageCollection([.path("photos"), .path("more/*.jpg")]) {
///     print(sample.path, try sample.image(RGBImage.DecodingOptions()).width)
/// }
/// ```
///
/// A folder, list or archive that cannot be read yields a `Sample` with content `.unreadable`, and
/// the stream goes on. Image files are only read by `Sample.image`. Copies share the position in
/// files that are being read.
public struct ImageCollection: Sequence, IteratorProtocol {
    /// A source of images.
    public struct Source: Sendable, Hashable {
        fileprivate enum Place: Sendable, Hashable {
            case path(FilePath)
            case file(FilePath)
            case list(FilePath, isNULTerminated: Bool)
            case standardInput(isNULTerminated: Bool)
        }
        fileprivate let place: Place

        package static func path(_ path: FilePath) -> Source { Source(place: .path(path)) }

        package static func file(_ path: FilePath) -> Source { Source(place: .file(path)) }

        package static func list(_ path: FilePath, isNULTerminated: Bool) -> Source {
            Source(place: .list(path, isNULTerminated: isNULTerminated))
        }

        /// Returns standard input as a source: a tar archive, an image, or a list of names.
        ///
        /// - Parameter isNULTerminated: True if names end with NUL, false if with a newline.
        /// - Returns: The source.
        public static func standardInput(isNULTerminated: Bool) -> Source {
            Source(place: .standardInput(isNULTerminated: isNULTerminated))
        }
    }

    /// The sources to read, the next one last.
    private var sources: [Source]
    private let rules: FolderRules
    // The sources that are being read. Of the folder and the archive, at most one is set; if there
    // are lists, the last one may have named it.
    private var folder: FolderWalk?
    private var archive: WebDataset?
    private var lists: [List] = []
    /// The paths that matched a pattern, the next one last.
    private var matches: [FilePath] = []
    /// The numbers of skipped files in the folders and archives that were read before.
    private var skippedBefore = SkippedFormats()

    /// The numbers of files found so far in unsupported image formats, in folders and archives.
    public var skipped: SkippedFormats {
        var all = skippedBefore
        if let folder { all += folder.skipped }
        if let archive { all += archive.skipped }
        return all
    }

    /// Creates a stream of the images of the given sources, in order.
    public init(_ sources: [Source]) { self.init(sources, rules: FolderRules()) }

    /// Creates a stream of the images of the given sources, with rules for the files in folders.
    package init(_ sources: [Source], rules: FolderRules) {
        (self.sources, self.rules) = (sources.reversed(), rules)
    }

    /// Returns the number of samples; nil if counting them would require reading an archive,
    /// standard input, or a list that is not a regular file.
    public static func count(_ sources: [Source]) -> Int? { count(sources, rules: FolderRules()) }

    /// Returns the number of samples, as `count(_:)` does, with rules for the files in folders.
    package static func count(_ sources: [Source], rules: FolderRules) -> Int? {
        guard canBeCounted(sources) else { return nil }
        var collection = ImageCollection(sources, rules: rules)
        var count = 0
        while collection.next() != nil {
            guard collection.archive == nil else { return nil }
            count += 1
        }
        return count
    }

    /// Returns true if a path names a single file, which need not exist, rather than a folder, an
    /// archive, a pattern or standard input (`-`).
    package static func isOneImage(_ path: FilePath) -> Bool {
        guard path != "-", path.pathExtension != "tar" else { return false }
        guard let status = try? FileStatus(path: path.bytes) else {
            return !path.isPattern
        }
        return !status.isFolder
    }

    /// The error for a NUL byte in a newline-separated list of names.
    package static let foundNULs = "expected names that end with a newline, found NUL bytes"

    /// Returns true if an argument is probably the path of an image: it is an existing file, or
    /// begins with `.` or `/` and has the suffix of an image.
    package static func meansImage(_ word: FilePath) -> Bool {
        let names = [".", "/"].contains { word.bytes.starts(with: $0.utf8) }
        let isThere = (try? FileStatus(path: word.bytes))?.isFolder == false
        return isThere || names && FolderWalk.imageExtensions.contains(word.pathExtension)
    }

    /// Returns true unless a source is an archive, standard input, or a list that is not a regular
    /// file.
    ///
    /// Archives that a list or a pattern names are not detected.
    package static func canBeCounted(_ sources: [Source]) -> Bool {
        sources.allSatisfy { source in
            switch source.place {
            case .path(let path): path.pathExtension != "tar"
            case .file: true
            case .list(let path, _): (try? FileStatus(path: path.bytes).isRegular) == true
            case .standardInput: false
            }
        }
    }

    /// A file of names that is being read.
    private struct List {
        let file: InputFile
        let name: FilePath
        let isNULTerminated: Bool
        /// The number of names that were read.
        var count = 0

        /// Returns the next name, empty for an empty line; nil at the end.
        ///
        /// - Throws: `FileError`, also if a line has a NUL byte, which would end the name for the
        ///   system.
        mutating func next() throws(FileError) -> ArraySlice<UInt8>? {
            let end: UInt8 = isNULTerminated ? 0 : 10
            guard let line = try file.read(upTo: end) else { return nil }
            count += 1
            // Programs end names with NUL, and put no mark before them.
            guard !isNULTerminated else { return line[...] }
            guard !line.contains(0) else {
                throw FileError(reason: "line \(count): \(ImageCollection.foundNULs)")
            }
            // Windows ends lines with CR and LF, and its editors begin a file with a byte order
            // mark.
            let name = line.last == 13 ? line.dropLast() : line[...]
            let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
            return count == 1 && name.starts(with: mark) ? name.dropFirst(mark.count) : name
        }
    }

    /// Returns the next image, or an input that cannot be read; nil at the end.
    public mutating func next() -> Sample? {
        while true {
            if let sample = nextOfCurrent() { return sample }
            if let path = matches.popLast() {
                if let sample = open(path, isMatch: true) { return sample }
                continue
            }
            if let last = lists.indices.last {
                do throws(FileError) {
                    if let name = try lists[last].next() {
                        if !name.isEmpty, let failed = open(FilePath(name)) { return failed }
                    } else {
                        lists.removeLast()
                    }
                } catch {
                    let list = lists.removeLast()
                    return Sample(list.name, .unreadable(reason: error.reason))
                }
                continue
            }
            guard let source = sources.popLast() else { return nil }
            if let failed = open(source) { return failed }
        }
    }

    private mutating func nextOfCurrent() -> Sample? {
        // The walk is advanced in place, because a copy of it would copy all paths that it has yet
        // to visit.
        while let found = folder?.next() {
            switch found {
            case .file(let path): return Sample(path)
            case .unreadable(let path, let reason): return Sample(path, .unreadable(reason: reason))
            case .dangling: continue
            }
        }
        if let folder { skippedBefore += folder.skipped }
        folder = nil
        if let sample = archive?.next() { return sample }
        if let archive { skippedBefore += archive.skipped }
        archive = nil
        return nil
    }

    /// Begins to read a source; returns a sample if the source is a single image or cannot be read,
    /// else nil.
    private mutating func open(_ source: Source) -> Sample? {
        switch source.place {
        case .path(let path): return open(path)
        case .file(let path): return Sample(path)
        case .list(let path, let isNULTerminated):
            do throws(FileError) {
                lists.append(
                    List(
                        file: try InputFile(path: path.bytes), name: path,
                        isNULTerminated: isNULTerminated))
            } catch {
                return Sample(path, .unreadable(reason: error.reason))
            }
        case .standardInput(let isNULTerminated):
            let file = InputFile()
            let name: FilePath = "-"
            do throws(FileError) {
                let beginning = try file.peek(512)
                if TarReader.recognizes(beginning) {
                    archive = WebDataset(name, file)
                } else if isImage(beginning) {
                    return Sample(name, .bytes(try file.read(RGBImage.maximumFileSize)))
                } else {
                    lists.append(
                        List(file: file, name: name, isNULTerminated: isNULTerminated))
                }
            } catch {
                return Sample(name, .unreadable(reason: error.reason))
            }
        }
        return nil
    }

    /// Begins to read a path; returns a sample if the path is that of a single image or cannot be
    /// read, else nil.
    ///
    /// - Parameters:
    ///   - path: The path of a file, folder or archive, or a pattern.
    ///   - isMatch: True if a pattern matched the path. A pipe or a device is then an error, since
    ///     opening it could wait for ever; one that the user names, such as `/dev/stdin`, is read.
    /// - Returns: The image, or a sample with content `.unreadable`; nil for a folder, an archive
    ///   or a pattern, which `next` then reads.
    private mutating func open(_ path: FilePath, isMatch: Bool = false) -> Sample? {
        do throws(FileError) {
            let status = try FileStatus(path: path.bytes)
            guard !status.isFolder else {
                folder = FolderWalk(path, rules: rules)
                return nil
            }
            guard status.isRegular || !isMatch else {
                throw FileError(reason: "it is not a regular file")
            }
            guard path.pathExtension == "tar" else { return Sample(path) }
            archive = WebDataset(path, try InputFile(path: path.bytes))
            return nil
        } catch {
            let paths = path.isPattern && !isMatch ? pathsMatching(path.bytes) : []
            guard !paths.isEmpty else { return Sample(path, .unreadable(reason: error.reason)) }
            matches = paths.reversed().map { FilePath($0) }
            return nil
        }
    }
}

extension Sample {
    /// Reads and decodes the image.
    ///
    /// - Parameter options: The limits and options of decoding.
    /// - Returns: The decoded image.
    /// - Throws: `CLIPError.unreadableFile`, `.unreadableImage`, or an error such as
    ///   `.imageTooLarge` for an image that exceeds a limit.
    public func image(_ options: RGBImage.DecodingOptions) throws(CLIPError) -> RGBImage {
        try RGBImage(
            decoding: bytes(memoryLimit: options.memoryLimit), path: name.description,
            options: options)
    }

    /// Reads the bytes of the image.
    ///
    /// - Parameter memoryLimit: The limit on image memory, in bytes. A larger file is not read.
    /// - Returns: The bytes of the image file.
    /// - Throws: `CLIPError.unreadableFile`, `.unreadableImage` or `.imageFileNeedsMemory`.
    package func bytes(memoryLimit: Int) throws(CLIPError) -> [UInt8] {
        switch content {
        case .file: try name.contents(memoryLimit: memoryLimit)
        case .bytes(let bytes): bytes
        case .unreadable(let reason):
            throw .unreadableFile(path: name.description, reason: reason)
        }
    }
}

extension FilePath {
    /// Reads an image file.
    ///
    /// A file in an unsupported format is refused after its first bytes.
    ///
    /// - Parameter memoryLimit: The limit on image memory, in bytes. A larger file is not read.
    /// - Returns: The bytes of the file.
    /// - Throws: `CLIPError.unreadableFile`, `.unreadableImage`, or `.imageFileNeedsMemory` if the
    ///   file is larger than `memoryLimit`.
    package func contents(
        memoryLimit: Int = RGBImage.maximumFileSize
    ) throws(CLIPError) -> [UInt8] {
        try imageFile(path: bytes, name: description, memoryLimit: memoryLimit)
    }

    /// True if the path contains shell wildcards.
    fileprivate var isPattern: Bool { bytes.contains { "*?[".utf8.contains($0) } }
}
