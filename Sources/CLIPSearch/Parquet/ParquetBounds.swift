internal import Files

// Checks of a footer that bound the memory and the time to read a damaged or malicious file.

extension ParquetMetadata.Chunk {
    /// The offset of the first page.
    var start: Int {
        // Some writers state 0 if there is no dictionary.
        let dictionary = dictionaryOffset ?? 0
        return dictionary > 0 ? min(dictionary, dataOffset) : dataOffset
    }

    /// True if there are pages in this file, whose place is checked; nothing else may be read.
    var hasPages: Bool { valueCount > 0 && !isElsewhere }
}

extension ParquetMetadata {
    /// Checks that the pages of each column in each row group lie within those of the file, and
    /// that no two of them overlap.
    ///
    /// - Parameter limit: The end of all pages of the file.
    /// - Throws: `FileError`.
    func checkPlaces(limit: Int) throws(FileError) {
        var places: [Range<Int>] = []
        for chunk in rowGroups.flatMap(\.chunks) where chunk.hasPages {
            guard chunk.start >= parquetMagic.count, chunk.start <= limit,
                chunk.size <= limit - chunk.start
            else {
                throw parquetDamage(
                    "a column reaches beyond its pages: \(chunk.size) bytes at \(chunk.start)")
            }
            if chunk.size > 0 { places.append(chunk.start..<(chunk.start + chunk.size)) }
        }
        places.sort { $0.lowerBound < $1.lowerBound }
        for (place, next) in zip(places, places.dropFirst())
        where next.lowerBound < place.upperBound {
            throw parquetDamage("two columns overlap at byte \(next.lowerBound)")
        }
    }

    /// Returns true if a column of vectors has too many elements for the size of its pages in all
    /// row groups, whose places have been checked.
    ///
    /// Otherwise, many row groups of a few bytes could each expand to millions of elements.
    func hasExcess(_ leaf: ParquetLeaf) -> Bool {
        let chunks = rowGroups.map { $0.chunks[leaf.index] }
            .filter { $0.valueCount > 0 && !$0.isElsewhere }
        // The sum is at most the size of the file.
        var rest = max(1 << 22, 16 * chunks.reduce(0) { $0 + $1.size })
        for chunk in chunks {
            guard chunk.valueCount <= rest else { return true }
            rest -= chunk.valueCount
        }
        return false
    }
}
