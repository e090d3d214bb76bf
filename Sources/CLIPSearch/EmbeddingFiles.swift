package import CLIP
internal import Tensors

extension EmbeddingWriter {
    /// The model and the options that a complete output was made with, as far as it says them.
    package struct Origin {
        /// The name or the path of the model.
        package let modelName: String
        /// The record of the model; nil for JSON Lines, which have only its name.
        package let record: ModelRecord?
        /// The number of dimensions of the vectors.
        package let dimension: Int
    }

    /// Returns what a complete output says about its origin; nil if it says nothing or is not complete.
    ///
    /// - Throws: `CLIPError.unreadableFile` if the record of the model is damaged.
    package static func origin(
        ofComplete path: FilePath, _ layout: Layout
    ) throws(CLIPError) -> Origin? {
        let isShards = if case .shards = layout { true } else { false }
        let first = isShards ? path.appending("00000.npy".utf8) : path
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
}
