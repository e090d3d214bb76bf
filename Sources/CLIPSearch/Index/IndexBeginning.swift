internal import CLIP
internal import Tensors

extension IndexUpdate {
    /// Reads the state of the index, or begins it; returns how the index and the update differ, if
    /// they do.
    func begin(
        with record: ModelRecord
    ) throws(FileError) -> (stored: String, given: String)? {
        lastUpdateHasEnded = try database.fact("count") != nil
        let version = try database.fact("version")
        let identity = [  // the first that differs is the one that is said
            ("fingerprint", record.fingerprint),
            ("decoding", Self.description(of: decoding, model.preprocessor)),
            ("dimension", "\(record.dimension)"), ("precision", record.precision.rawValue),
            ("version", EmbeddingIndex.version),
        ]
        let isBegun = try database.fact("fingerprint") != nil
        if isBegun {
            let isOld = version == EmbeddingIndex.oldVersion
            // That version did not store a count.
            if isOld { lastUpdateHasEnded = true }
            if !isOld && version == EmbeddingIndex.version { try database.checkFacts() }
            if let other = try difference(
                of: identity.dropLast(isOld ? 1 : 0), record, from: database)
            {
                guard replaced != nil else { return other }
                // The files of an interrupted rebuild with another model.
                try clear(identity)
            } else {
                try open(record, isOld: isOld)
            }
        } else {
            // What was begun always says its model.
            guard version == nil, try database.count() == 0 else {
                throw IndexDatabase.damage("the model of its vectors is not stored")
            }
            try clear(identity)
        }
        try database.transaction { () throws(FileError) in
            try database.setModel(record)
            try database.setFact("version", EmbeddingIndex.version)
            try database.removeFact("count")
            try database.sealFacts()
        }
        return nil
    }

    private func clear(_ identity: [(String, String)]) throws(FileError) {
        let rounded = place.appending("vectors.i8".utf8)
        if (try? FileStatus(path: rounded.bytes, followingLinks: false)) != nil {
            try removeFile(rounded.bytes)
        }
        try database.transaction { () throws(FileError) in
            try database.clear()
            for (name, value) in identity { try database.setFact(name, value) }
            try database.setFact("rows", "0")
            try database.sealFacts()
        }
        try vectors.truncate(to: 0)
    }

    /// Reads the state of an index of the same model, and verifies it unless nothing else can have
    /// changed it, or it is an unfinished rebuild, which was verified when it was opened.
    private func open(_ record: ModelRecord, isOld: Bool) throws(FileError) {
        let mapped = try EmbeddingIndex.mappedVectors(database, record, place)
        let isTrusted = isOld || replaced != nil || IndexSeal(place).isIntact
        if isVerifying || !isTrusted { try database.verify(mapped) }
        rows = mapped.count
        generation = try database.generation()
        // What lies behind was not spoken of.
        try vectors.truncate(to: 4 * record.dimension * rows)
        if try database.count() < rows * 3 / 4 { free = try database.freeRows(of: rows) }
        // Version 0.1 wrote no checksums, and took each failure for one of the content.
        try database.transaction { () throws(FileError) in
            for (id, file) in try database.filesWithoutSums() {
                guard let row = file.row, row < rows else {
                    throw IndexDatabase.damage("the vector of \(file.path) is missing")
                }
                let vector = littleEndianBytes(of: mapped.values(ofRows: [row]))
                try database.setSums(RowSums(file, vector: vector), id: id)
            }
            if isOld { try database.forgetDigestsOfFailures() }
        }
    }

    /// Says how an index and what is to update it differ; nil if they do not.
    private func difference(
        of identity: some Sequence<(String, String)>, _ record: ModelRecord,
        from database: IndexDatabase
    ) throws(FileError) -> (stored: String, given: String)? {
        for (name, value) in identity {
            let old = try database.fact(name) ?? "?"
            guard old != value else { continue }
            let stored = try database.modelRecord()
            guard name != "fingerprint", let stored else {
                let names = stored?.names(comparedTo: record)
                return (names?.own ?? "another model", names?.other ?? record.name)
            }
            let words = DecodingWords.describe(name, stored: old, given: value)
            return ("\(stored.name) \(words.stored)", "\(record.name) \(words.given)")
        }
        return nil
    }

    /// Describes the conversion of images to pixels.
    private static func description(
        of decoding: RGBImage.DecodingOptions, _ preprocessor: ImagePreprocessor
    ) -> String {
        """
        \(preprocessor.rules.rawValue), orientation \(decoding.appliesOrientation), 16 bits \
        \(decoding.scales16Bits), truncated \(decoding.allowsTruncated), smallest side \
        \(decoding.smallestSide ?? 0)
        """
    }

    /// Ends a rebuild without its result if a folder could not be listed of which the old index has
    /// images: these would be lost. The next rebuild goes on with it.
    func checkRebuild() {
        guard replaced != nil, !unlisted.isEmpty else { return }
        let path = EmbeddingIndex.mainPlace(in: folder).appending("files.sqlite".utf8)
        guard let old = try? IndexDatabase(path: path, isForWriting: false) else { return }
        for (path, reason) in unlisted
        where (try? old.idsOfFiles(below: path).isEmpty) == false {
            return stop(
                .unreadableFolder(
                    folder: folder.appending(path.bytes).description,
                    reason: "\(reason); the old index, which has images of it, stays"))
        }
    }

    /// Empties an unfinished rebuild if it is damaged; there is nothing in it to be kept.
    ///
    /// - Parameter vectors: Its vectors, whose lock the caller holds.
    static func emptyIfDamaged(_ place: FilePath, _ vectors: GrowingFile) throws(FileError) {
        let path = place.appending("files.sqlite".utf8)
        guard (try? FileStatus(path: path.bytes)) != nil else { return try vectors.truncate(to: 0) }
        do throws(FileError) {
            try verifyAll(IndexDatabase(path: path, isForWriting: true), place)
        } catch {
            guard error.isDamage else { throw error }
            try EmbeddingIndex.removeFiles(of: place, except: "vectors.f32")
            try vectors.truncate(to: 0)
        }
    }

    /// Compares everything that an index holds with its checksums, sealed or not.
    ///
    /// - Throws: `FileError` if something is damaged.
    private static func verifyAll(
        _ database: IndexDatabase, _ place: FilePath
    ) throws(FileError) {
        let version = try database.fact("version")
        if version == EmbeddingIndex.version { try database.checkFacts() }
        guard let record = try database.modelRecord() else {
            // A process may have ended before it stored the model.
            guard version == nil, try database.count() == 0 else {
                throw IndexDatabase.damage("the model of its vectors is not stored")
            }
            return
        }
        try database.verify(EmbeddingIndex.mappedVectors(database, record, place))
        _ = try (database.generation(), database.failures(in: place))
    }
}
