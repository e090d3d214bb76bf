internal import Files

// The shards of a job that an earlier process began.

extension EmbeddingWriter {
    /// Reads the names of the rows of a complete output, so that `takeRow` finds them.
    ///
    /// If the names beside the vectors are missing, `count` stays 0.
    ///
    /// - Throws: `EmbeddingFileError.unwritable` if a file of rows cannot be read.
    package func readCompleteRows() throws(EmbeddingFileError) {
        try writing { () throws(FileError) in
            if layout == .jsonLines {
                let file = try InputFile(path: file(0).bytes)
                while let line = try file.read(upTo: UInt8(ascii: "\n")) { add(line) }
                return
            }
            var number = 0
            while isThere(EmbeddingPart.names(file(number))) {
                try lines(of: number).forEach(add)
                number += 1
                guard case .shards = layout else { return }
            }
        }
    }

    func lines(of number: Int) throws(FileError) -> [[UInt8]] {
        let names = try InputFile(path: EmbeddingPart.names(file(number)).bytes)
        var lines: [[UInt8]] = []
        while let line = try names.read(upTo: UInt8(ascii: "\n")) { lines.append(line) }
        return lines
    }

    func isThere(_ path: FilePath, orIsBegun: Bool = false) -> Bool {
        (try? FileStatus(path: path.bytes)) != nil
            || orIsBegun && GrowingFile.isBegun(path: path.bytes)
    }

    /// Throws if the shard to continue has vectors but no names, or if a later shard exists.
    func checkIsLast(_ number: Int) throws(FileError) {
        guard isThere(file(number + 1), orIsBegun: true) || isThere(file(number)) else { return }
        throw FileError(
            reason: """
                \(file(number)) or its names are missing: remove the folder to begin anew
                """, isDamage: true)
    }

    /// Throws if a folder of shards has an unfinished shard, although no `.job` file describes its
    /// job.
    func checkHasNoParts() throws(FileError) {
        guard case .shards = layout else { return }
        var number = 0
        while isThere(file(number)) { number += 1 }
        guard GrowingFile.isBegun(path: file(number).bytes) else { return }
        throw FileError(
            reason: """
                \(file(number)) is unfinished, and the `.job` file that describes its job is \
                missing: remove the folder to begin anew
                """, isDamage: true)
    }

    /// Removes the files of checksums that a finished job no longer needs.
    func removeSums() {
        guard case .shards = layout else { return EmbeddingPart.removeSums(of: file(0)) }
        var number = 0
        while isThere(file(number)) {
            EmbeddingPart.removeSums(of: file(number))
            number += 1
        }
    }
}
