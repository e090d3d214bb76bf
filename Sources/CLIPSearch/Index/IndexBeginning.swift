internal import Files
internal import CLIP
internal import Tensors

extension IndexUpdate {
    /// Reads the state of the index, or initialises an empty index.
    ///
    /// - Returns: The error if the index was made with another model or other options than this
    ///   update; else nil.
    func begin(
        with record: ModelRecord
    ) throws(FileError) -> IndexError? {
        lastUpdateHasEnded = try database.fact("count") != nil
        let version = try database.fact("version")
        let identity = [  // the error names the first that differs
            ("fingerprint", record.fingerprint),
            ("decoding", IndexedDecoding(decoding, model.preprocessor).stored),
            ("dimension", "\(record.dimension)"), ("precision", record.precision.rawValue),
            ("version", FolderIndex.version),
        ]
        let isBegun = try database.fact("fingerprint") != nil
        if isBegun {
            let isOld = version == FolderIndex.oldVersion
            // The old version did not store a count.
            if isOld { lastUpdateHasEnded = true }
            if !isOld && version == FolderIndex.version { try database.checkFacts() }
            if let other = try difference(
                of: identity.dropLast(isOld ? 1 : 0), record, from: database)
            {
                guard replaced != nil else { return other }
                // These are the files of an interrupted rebuild with another model.
                try clear(identity)
            } else {
                try open(record, isOld: isOld)
            }
        } else {
            // An index with content always names its model.
            guard version == nil, try database.count() == 0 else {
                throw IndexDatabase.damage("the model of its vectors is not stored")
            }
            try clear(identity)
        }
        try database.transaction { () throws(FileError) in
            try database.setModel(record)
            try database.setFact("version", FolderIndex.version)
            try database.removeFact("count")
            try database.setRules(rules)
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
        try rows.clear()
    }

    /// Reads the state of an index of the same model, and verifies it.
    ///
    /// Unless `isVerifying` is true, three kinds are not verified: an old index without checksums,
    /// an index whose seal is intact (`IndexSeal`), and an unfinished rebuild, which was verified
    /// when it was opened.
    private func open(_ record: ModelRecord, isOld: Bool) throws(FileError) {
        let mapped = try database.mappedVectors(record.dimension, in: place)
        let isTrusted = isOld || replaced != nil || IndexSeal(place).isIntact
        if isVerifying || !isTrusted { try database.verify(mapped) }
        try rows.resume(database, rows: mapped.count)
        // Version 0.1 wrote no checksums, and treated every failure as permanent.
        try database.transaction { () throws(FileError) in
            for (id, file) in try database.filesWithoutSums() {
                guard let row = file.row, row < mapped.count else {
                    throw IndexDatabase.damage("the vector of \(file.path) is missing")
                }
                let vector = littleEndianBytes(of: mapped.values(ofRows: [row]))
                try database.setSums(RowSums(file, vector: vector), id: id)
            }
            if isOld { try database.forgetDigestsOfFailures() }
        }
    }

    /// Returns the error if an index was made with another model or other options than this update;
    /// else nil.
    private func difference(
        of identity: some Sequence<(String, String)>, _ record: ModelRecord,
        from database: IndexDatabase
    ) throws(FileError) -> IndexError? {
        for (name, value) in identity {
            let old = try database.fact(name) ?? "?"
            guard old != value else { continue }
            let stored = try database.modelRecord()
            guard name != "fingerprint", let stored else {
                let names = stored?.names(comparedTo: record)
                return .otherModel(
                    folder: folder.description, stored: names?.own ?? "another model",
                    given: names?.other ?? record.name)
            }
            if name == "decoding", let old = IndexedDecoding(stored: old),
                let given = IndexedDecoding(stored: value)
            {
                return .otherDecoding(folder: folder.description, stored: old, given: given)
            }
            return .otherModel(
                folder: folder.description, stored: "\(stored.name) with the \(name) \(old)",
                given: "\(record.name) with the \(name) \(value)")
        }
        return nil
    }

    /// Stops a rebuild if a folder that has images in the old index could not be listed.
    ///
    /// The new index would lack these images. The next rebuild continues this one. A path at which
    /// the old index has no image, such as a dangling link that never led anywhere, is no obstacle.
    func checkRebuild() {
        guard replaced != nil, !unlisted.isEmpty else { return }
        let path = FolderIndex.mainPlace(in: folder).appending("files.sqlite".utf8)
        guard let old = try? IndexDatabase(path: path, isForWriting: false) else { return }
        for (path, reason) in unlisted
        where (try? old.hasVectors(below: path)) == true {
            return stop(
                .unreadableFolder(
                    folder: folder.appending(path.bytes).description,
                    reason: "\(reason); the old index is kept, because it has images of this folder"
                ))
        }
    }

    /// Empties an unfinished rebuild if it is damaged, since nothing in it needs to be kept.
    ///
    /// - Parameters:
    ///   - place: The folder of the rebuild.
    ///   - rows: The writer of the rebuild's vectors.
    /// - Throws: `FileError`.
    static func emptyIfDamaged(_ place: FilePath, _ rows: inout RowWriter) throws(FileError) {
        let path = place.appending("files.sqlite".utf8)
        guard (try? FileStatus(path: path.bytes)) != nil else { return try rows.clear() }
        do throws(FileError) {
            try verifyAll(IndexDatabase(path: path, isForWriting: true), place)
        } catch {
            guard error.isDamage else { throw error }
            try FolderIndex.removeFiles(of: place, except: "vectors.f32")
            try rows.clear()
        }
    }

    /// Compares the whole index with its checksums, even if its seal is intact.
    ///
    /// - Throws: `FileError` if something is damaged.
    private static func verifyAll(
        _ database: IndexDatabase, _ place: FilePath
    ) throws(FileError) {
        let version = try database.fact("version")
        if version == FolderIndex.version { try database.checkFacts() }
        guard let record = try database.modelRecord() else {
            // A process may have ended before it stored the model.
            guard version == nil, try database.count() == 0 else {
                throw IndexDatabase.damage("the model of its vectors is not stored")
            }
            return
        }
        try database.verify(database.mappedVectors(record.dimension, in: place))
        _ = try (database.generation(), database.failures(in: place))
    }
}
