package import Files
package import CLIP
internal import Tensors

extension EmbeddingWriter {
    /// The model that made a finished output, as the files of the output state it.
    package struct Origin {
        /// The name or the path of the model.
        package let modelName: String
        /// The record of the model; nil for JSON Lines, which state only the model's name.
        package let record: ModelRecord?
        /// The number of dimensions of the vectors.
        package let dimension: Int

        package init(modelName: String, record: ModelRecord?, dimension: Int) {
            (self.modelName, self.record, self.dimension) = (modelName, record, dimension)
        }
    }

    /// Returns the model that the files of a finished output name; nil if they name none, or if the
    /// output is unfinished or missing.
    ///
    /// - Parameters:
    ///   - path: The path of the file, or of the folder of shards.
    ///   - layout: The format of the rows.
    /// - Returns: The origin of the vectors.
    /// - Throws: `CLIPError.unreadableFile` if a file cannot be read, or the record of the model is
    ///   damaged.
    package static func origin(
        ofComplete path: FilePath, _ layout: Layout
    ) throws(CLIPError) -> Origin? {
        let (isShards, first) = (layout.isShards, firstFile(path, layout))
        let job = isShards ? path.appending(".job".utf8) : FilePath(path.bytes + ".job".utf8)
        guard (try? FileStatus(path: job.bytes)) == nil, !GrowingFile.isBegun(path: first.bytes),
            (try? FileStatus(path: first.bytes)) != nil
        else { return nil }
        do throws(FileError) {
            guard layout == .jsonLines else {
                return try ModelRecord.read(besideNPY: first).map {
                    Origin(modelName: $0.name, record: $0, dimension: $0.dimension)
                }
            }
            let line = try InputFile(path: path.bytes).read(upTo: UInt8(ascii: "\n")) ?? []
            let row = try? JSONValue(parsing: line)
            guard let name = row?["model"]?.string, let vector = row?["embedding"]?.array else {
                return nil
            }
            return Origin(modelName: name, record: nil, dimension: vector.count)
        } catch {
            throw .unreadableFile(path: path.description, reason: error.reason)
        }
    }

    /// Throws if another process is writing an output, if a symbolic link is at the path of its
    /// file of names or of its model record, or if the file at the latter path is no model record.
    ///
    /// - Parameters:
    ///   - path: The path of the file, or of the folder of shards.
    ///   - layout: The format of the rows.
    /// - Throws: `EmbeddingFileError.unwritable`, which names the file.
    package static func checkFiles(
        of path: FilePath, _ layout: Layout
    ) throws(EmbeddingFileError) {
        let first = firstFile(path, layout)
        var growing = first
        if layout.isShards {
            var number = 0
            while (try? FileStatus(path: growing.bytes)) != nil {
                number += 1
                growing = shard(path, number)
            }
        }
        if isBeingWritten(growing.bytes + ".partial".utf8) {
            throw .unwritable(path: path.description, reason: "another process is writing it")
        }
        guard layout != .jsonLines else { return }
        let record =
            layout.isShards
            ? ModelRecord.file(inFolder: path) : ModelRecord.file(besideNPY: path)
        for file in [EmbeddingPart.names(first), record]
        where (try? FileStatus(path: file.bytes, followingLinks: false))?.isLink == true {
            throw .unwritable(
                path: file.description,
                reason: "it is a symbolic link, which is not replaced")
        }
        if (try? FileStatus(path: record.bytes)) != nil, (try? ModelRecord(record)) == nil {
            throw .unwritable(
                path: path.description,
                reason: """
                    \(record) exists and is not a model record: remove it, or choose another \
                    name for the output
                    """)
        }
    }

    private static func firstFile(_ path: FilePath, _ layout: Layout) -> FilePath {
        layout.isShards ? shard(path, 0) : path
    }
}

extension EmbeddingWriter.Layout {
    fileprivate var isShards: Bool { if case .shards = self { true } else { false } }
}
