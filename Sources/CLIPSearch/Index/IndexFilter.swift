package import Files

/// The images of an index that a search considers, by path and time.
///
/// The time of an image is the modification time of its file, when an update last read it; the
/// index stores no date of the photo itself.
package struct IndexFilter: Sendable, Hashable {
    /// The path of a folder relative to the indexed folder; nil for all folders.
    package var folder: FilePath?
    /// The earliest modification time, in nanoseconds since 1970; nil for no limit.
    package var since: Int?
    /// The modification time before which files are considered, in nanoseconds since 1970; nil for
    /// no limit.
    package var before: Int?

    package init(folder: FilePath? = nil, since: Int? = nil, before: Int? = nil) {
        (self.folder, self.since, self.before) = (folder, since, before)
    }

    /// True if all images of the index pass.
    package var isEmpty: Bool { self == IndexFilter() }

    /// Returns true if an image passes.
    ///
    /// If the index does not know the time of a file, the status of the file is read.
    ///
    /// - Parameters:
    ///   - entry: The entry of the image.
    ///   - root: The indexed folder.
    /// - Returns: False if it is not in the folder, or its time is not in the range or unknown.
    func passes(_ entry: IndexDatabase.File, in root: FilePath) -> Bool {
        if let folder {
            let start = folder.bytes + [UInt8(ascii: "/")]
            guard entry.path == folder || entry.path.bytes.starts(with: start) else { return false }
        }
        guard since != nil || before != nil else { return true }
        var time = entry.modified
        if time < 0 {
            let path = root.appending(entry.path.bytes)
            guard let status = try? FileStatus(path: path.bytes) else { return false }
            time = status.modified
        }
        return time >= since ?? .min && time < before ?? .max
    }
}

extension IndexDatabase {
    /// Returns the rows of the files that may pass a filter, in ascending order, each once.
    ///
    /// Files whose times are unknown are included.
    func rows(of filter: IndexFilter) throws(FileError) -> [Int] {
        var conditions = ["row IS NOT NULL"]
        var values: [SQLite.Value] = []
        if let folder = filter.folder {
            conditions.append("(path = ? OR path > ? AND path < ?)")
            values += Self.range(below: folder)
        }
        if let since = filter.since {
            conditions.append("(modified >= ? OR modified < 0)")
            values.append(.integer(since))
        }
        if let before = filter.before {
            conditions.append("modified < ?")
            values.append(.integer(before))
        }
        let sql = "SELECT DISTINCT row FROM files WHERE \(conditions.joined(separator: " AND "))"
        return try database.run("\(sql) ORDER BY row", values).compactMap { $0[0].integer }
    }
}

extension FolderIndex {
    /// Returns the images most similar to a vector among those that pass a filter.
    ///
    /// The result is exact: the filter is applied before the best images are selected.
    ///
    /// - Parameters:
    ///   - vector: An embedding by the model of the index, of any norm but 0.
    ///   - top: The largest number of images to return.
    ///   - threshold: The least cosine of a match.
    ///   - filter: The filter.
    /// - Returns: The matches, as `search(_:top:threshold:)` orders them.
    /// - Throws: `IndexError`, as `search(_:top:threshold:)` does.
    package func search(
        _ vector: [Float], top: Int, threshold: Float, where filter: IndexFilter
    ) throws(IndexError) -> [Match] {
        try nearest(top, to: vector, atLeast: threshold, where: filter).map {
            Match(file: folder.appending($0.entry.path.bytes), cosine: $0.cosine)
        }
    }

    /// Returns the number of images that pass a filter.
    ///
    /// - Throws: `IndexError`.
    package func count(where filter: IndexFilter) throws(IndexError) -> Int {
        guard !filter.isEmpty else { return count }
        return try reading { () throws(FileError) in
            try reader.database.filesWithVectors().count { filter.passes($0, in: folder) }
        }
    }

    /// Returns true if the index has a file, readable or not, at or below a relative path.
    ///
    /// - Throws: `IndexError`.
    package func hasFiles(below path: FilePath) throws(IndexError) -> Bool {
        try reading { () throws(FileError) in
            try !reader.database.idsOfFiles(below: path).isEmpty
        }
    }
}
