package import Files
internal import Tensors

// Parts of an index for a process that serves it for a long time.

extension FolderIndex {
    /// The identities, sizes and times of the files of an index, which every commit changes.
    package struct FileStates: Sendable, Equatable {
        fileprivate let place: FilePath
        fileprivate let states: [[Int]]
    }

    /// Returns the states of the files of the index of a folder; nil if there is no index.
    ///
    /// If states that were read before an index was opened are still the current ones, opening it
    /// again would give the same index.
    package static func fileStates(in folder: FilePath) -> FileStates? {
        // A rebuild may move the folder of the index while it is looked up.
        for _ in 0..<2 {
            guard let place = place(in: folder) else { continue }
            return FileStates(place: place, states: RowReader<IndexDatabase>.states(of: place))
        }
        return nil
    }

    /// An image of the index, with its path relative to the indexed folder.
    package struct Item: Sendable {
        /// The path relative to the folder.
        package let path: FilePath
        /// The width of the image, in pixels.
        package let width: Int
        /// The height of the image, in pixels.
        package let height: Int
        /// The size of the file in bytes, when an update last read it.
        package let size: Int
        /// The SHA-256 of the file when it was encoded, 32 bytes.
        package let digest: [UInt8]
        fileprivate let row: Int
        fileprivate let sums: RowSums?

        /// Returns nil if the entry has no vector or no digest.
        fileprivate init?(_ entry: IndexDatabase.File) {
            guard let digest = entry.digest, let row = entry.row else { return nil }
            (path, width, height, size) = (entry.path, entry.width, entry.height, entry.size)
            (self.digest, self.row, sums) = (digest, row, entry.sums)
        }
    }

    /// Returns the images most similar to a vector, as `search(_:top:threshold:)` does.
    package func nearestItems(
        to vector: [Float], top: Int, threshold: Float
    ) throws(IndexError) -> [(item: Item, cosine: Float)] {
        try nearest(top, to: vector, atLeast: threshold).compactMap { entry, cosine in
            Item(entry).map { ($0, cosine) }
        }
    }

    /// Returns the images with a content.
    ///
    /// - Parameter digest: The SHA-256 of the files.
    /// - Returns: The images whose files had this digest when they were encoded, ordered by path.
    /// - Throws: `IndexError` if the index cannot be read.
    package func items(ofDigest digest: [UInt8]) throws(IndexError) -> [Item] {
        try reading { () throws(FileError) in
            try reader.database.filesWithVectors(ofDigest: digest).compactMap(Item.init)
        }
    }

    /// Returns the L2-normalised vector of an image; nil if an update has added or overwritten it
    /// since the index was opened.
    package func vector(of item: Item) -> [Float]? {
        guard item.row < reader.vectors.count else { return nil }
        let vector = reader.vectors.values(ofRows: [item.row])
        if let sums = item.sums, RowSums.sum(littleEndianBytes(of: vector)) != sums.vector {
            return nil
        }
        return vector
    }

    /// Reads the file of an image, if it is still the file that was encoded.
    ///
    /// The file is opened without following symbolic links below the indexed folder, and its bytes
    /// are compared with the digest in the index. So no other file is ever read in its place.
    ///
    /// - Returns: The bytes of the file; nil if its content has changed.
    /// - Throws: `FileError` if it is missing, or not a regular file in the folder.
    package func contents(of item: Item) throws(FileError) -> [UInt8]? {
        let file = try OpenFolder(path: folder.bytes).file(
            OpenFolder.components(of: item.path.bytes))
        guard item.size < 0 || file.size == item.size else { return nil }
        let bytes = try file.contents(limit: Self.largestFile)
        return sha256(bytes) == item.digest ? bytes : nil
    }

    /// The largest size of an image file, 1 GiB.
    private static let largestFile = 1 << 30
}
