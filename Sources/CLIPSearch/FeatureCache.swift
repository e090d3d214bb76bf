package import Files
package import CLIP
internal import Images
internal import Synchronization

/// A file of image embeddings, not normalised, with the SHA-256 of the images' bytes as keys.
///
/// The file grows by whole records, so that a process that is killed loses only the last ones. If
/// another process has the file open for writing, its embeddings are read, but none are stored.
///
/// The format: a line of ASCII, padded to 64 bytes with line feeds; then records of 32 bytes (the
/// SHA-256 of the image), the numbers in float32, little-endian, and 8 bytes (the start of the
/// SHA-256 of the record up to there). A record whose checksum differs counts as missing, and so
/// does one beyond the end of a file that is truncated while it is open.
///
/// The file grows with each new image and is never shortened; it may be removed at any time.
///
/// `@unchecked Sendable`: everything that changes is used only while `gate` is locked.
package final class FeatureCache: @unchecked Sendable {
    /// The path of the file.
    package let path: FilePath
    /// The number of dimensions of each embedding.
    package let dimension: Int

    private enum Storage {
        case growing(GrowingFile)
        /// Another process holds the file. It is not mapped into memory, because reading a mapped
        /// file that is truncated ends the process.
        case held(PositionedFile)
        /// Another process holds the file, and has not stored anything yet.
        case none
    }

    /// A SHA-256, as a key that needs no allocation.
    private typealias Key = SIMD4<UInt64>

    private static let headerCount = 64
    private let gate = Mutex(())
    private let storage: Storage
    /// The index of the record of each image; the last one if there are several.
    private var records: [Key: Int] = [:]
    private var recordCount = 0
    private var lastCommit = ContinuousClock.now
    private var failure: FileError?

    private var recordSize: Int { 32 + 4 * dimension + 8 }

    /// Opens the cache of a model and its options, or creates it.
    ///
    /// - Parameters:
    ///   - folder: The folder of all caches; created if it is missing.
    ///   - model: The model, with its precision, resolution and rules of preprocessing.
    ///   - decoding: The options for decoding images.
    /// - Throws: `FileError` if the file cannot be opened, or is not a cache of this model.
    package init(
        folder: FilePath, model: CLIPModel, decoding: RGBImage.DecodingOptions
    ) throws(FileError) {
        let name = Self.fileName(of: model, decoding)
        path = folder.appending(name.utf8)
        dimension = model.configuration.embeddingDimension
        try makeFolder(folder.bytes)
        do throws(FileError) {
            storage = .growing(try GrowingFile(path: path.bytes, isAlwaysWhole: true))
        } catch {
            guard error.isBusy else { throw error }
            let file = try? PositionedFile(path: path.bytes)
            storage = file.map { $0.count < Self.headerCount ? .none : .held($0) } ?? .none
        }
        try readKeys()
    }

    /// Returns the name of the file, which states all on which an embedding depends but the image.
    private static func fileName(
        of model: CLIPModel, _ decoding: RGBImage.DecodingOptions
    ) -> String {
        let rules = model.preprocessor.rules
        var words = [model.fingerprint, model.precision.rawValue, rules.rawValue]
        if !decoding.appliesOrientation { words.append("unoriented") }
        if !decoding.scales16Bits { words.append("clipped") }
        // Without Little CMS profiles are ignored.
        if decoding.convertsColours && CodecVersions.lcms != nil { words.append("srgb") }
        if decoding.allowsTruncated { words.append("truncated") }
        if let side = decoding.smallestSide { words.append("reduced\(side)") }
        return words.joined(separator: "-") + ".features"
    }

    private var header: [UInt8] {
        let line = Array("clip features 1: float32, \(dimension) dimensions\n".utf8)
        return line
            + [UInt8](repeating: UInt8(ascii: "\n"), count: Self.headerCount - line.count)
    }

    /// Reads the SHA-256 of every record, after the header, which is written to a new file.
    private func readKeys() throws(FileError) {
        let count: Int
        switch storage {
        case .none: return
        case .held(let file): count = file.count
        case .growing(let file):
            if file.count < Self.headerCount {
                try file.truncate(to: 0)
                try file.append(header)
                try file.flush()
            }
            count = file.count
        }
        guard try read(Self.headerCount, at: 0) == header else {
            throw FileError(
                reason: """
                    it is not a cache of embeddings of \(dimension) dimensions; remove it to \
                    start a new one
                    """, isDamage: true)
        }
        recordCount = (count - Self.headerCount) / recordSize
        if case .growing(let file) = storage {
            // Remove the incomplete record that a killed process may have left.
            try file.truncate(to: Self.headerCount + recordCount * recordSize)
        }
        for record in 0..<recordCount {
            let digest = try read(32, at: place(of: record))
            // Another process has truncated the file meanwhile.
            guard digest.count == 32 else { break }
            records[Self.key(digest)] = record
        }
    }

    private func place(of record: Int) -> Int { Self.headerCount + record * recordSize }

    private func read(_ count: Int, at offset: Int) throws(FileError) -> [UInt8] {
        switch storage {
        case .growing(let file): try file.read(count, at: offset)
        case .held(let file): try file.read(count, at: offset)
        case .none: []
        }
    }

    private static func key(_ digest: [UInt8]) -> Key {
        var key = Key()
        for (index, byte) in digest.prefix(32).enumerated() {
            key[index / 8] = key[index / 8] << 8 | UInt64(byte)
        }
        return key
    }

    /// The number of images whose embeddings are stored.
    package var count: Int { gate.withLock { _ in records.count } }

    /// True if another process holds the file, so that nothing is stored.
    package var isReadOnly: Bool {
        if case .growing = storage { false } else { true }
    }

    /// Returns the embedding of an image; nil if it is not stored or its record is damaged.
    ///
    /// - Parameter digest: The SHA-256 of the image's bytes.
    /// - Returns: The embedding, to the bit as it was stored, or nil.
    package func vector(for digest: [UInt8]) -> [Float]? {
        gate.withLock { _ in
            guard let record = records[Self.key(digest)],
                let bytes = try? read(recordSize, at: place(of: record)),
                bytes.count == recordSize
            else { return nil }
            let content = Array(bytes.dropLast(8))
            guard Array(content.prefix(32)) == digest,
                sha256(content).prefix(8).elementsEqual(bytes.suffix(8))
            else { return nil }
            return floats(ofLittleEndian: Array(content.dropFirst(32)))
        }
    }

    /// Stores the embedding of an image.
    ///
    /// Embeddings are buffered for about 200 ms while calls continue; `commit` and `close` write
    /// those that are left. After an error, such as a full disk, nothing more is stored, and
    /// `close` throws the error.
    ///
    /// - Parameters:
    ///   - vector: The embedding.
    ///   - digest: The SHA-256 of the image's bytes.
    package func add(_ vector: [Float], for digest: [UInt8]) {
        precondition(
            vector.count == dimension && digest.count == 32,
            "\(vector.count) numbers of \(dimension), \(digest.count) bytes of SHA-256")
        gate.withLock { _ in
            attempt { file throws(FileError) in
                let content = digest + littleEndianBytes(of: vector)
                try file.append(content + sha256(content).prefix(8))
                records[Self.key(digest)] = recordCount
                recordCount += 1
                guard ContinuousClock.now - lastCommit > .milliseconds(200) else { return }
                try file.flush()
                lastCommit = .now
            }
        }
    }

    /// Writes all stored embeddings to the file, so that they survive the end of the process.
    ///
    /// Any thread may call it at any moment.
    package func commit() {
        gate.withLock { _ in attempt { file throws(FileError) in try file.flush() } }
    }

    /// Writes all stored embeddings to the disk.
    ///
    /// - Throws: The first `FileError` since the cache was opened.
    package func close() throws(FileError) {
        let failure = gate.withLock { _ in
            attempt { file throws(FileError) in try file.synchronize() }
            return self.failure
        }
        if let failure { throw failure }
    }

    /// Runs a change of the file, unless an earlier one has failed.
    private func attempt(_ body: (GrowingFile) throws(FileError) -> Void) {
        guard failure == nil, case .growing(let file) = storage else { return }
        do throws(FileError) {
            try body(file)
        } catch {
            failure = error
        }
    }
}
