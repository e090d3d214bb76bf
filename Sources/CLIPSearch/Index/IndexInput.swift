internal import Files
internal import CLIP
internal import Tensors

extension IndexUpdate {
    /// A file of the folder that the update has to read.
    struct Input: Sendable {
        /// The path relative to the folder.
        let path: FilePath
        /// The entry of the file in the index; nil if there is none.
        var known: (id: Int, file: IndexDatabase.File)?
        var status: FileStatus?
        /// The content, if it was read to recognise a moved file.
        var bytes: [UInt8]?
        /// The reason why the file cannot be read, if it is already known.
        var failure: String?

        /// Reads the file, and decodes it unless its content is the one that was indexed.
        func decoded(
            in folder: FilePath, _ options: RGBImage.DecodingOptions
        ) -> DecodedInput<Learned> {
            var learned = Learned()
            let name = IndexDatabase.pathMark
            do throws(CLIPError) {
                if let failure { throw .unreadableFile(path: name, reason: failure) }
                let full = folder.appending(path.bytes)
                let limit = options.memoryLimit
                let bytes =
                    if let bytes { bytes } else {
                        try imageFile(path: full.bytes, name: name, memoryLimit: limit)
                    }
                learned.digest = sha256(bytes)
                if let known, known.file.digest == learned.digest {
                    learned.isUnchanged = true
                    return DecodedInput(
                        .failure(.unreadableImage(path: "", reason: "")), learned: learned)
                }
                let image = try RGBImage(decoding: bytes, path: name, options: options)
                (learned.width, learned.height) = (image.width, image.height)
                return DecodedInput(.success(image), learned: learned)
            } catch {
                return DecodedInput(.failure(error), learned: learned)
            }
        }
    }

    /// The properties of a file that are known once it has been read.
    struct Learned: Sendable {
        var digest: [UInt8]?
        var width = 0
        var height = 0
        /// True if the content has not changed since it was indexed.
        var isUnchanged = false
    }

    /// Returns the path of a file relative to the folder.
    private func relative(_ path: FilePath) -> FilePath {
        let prefix = folder.bytes.count + (folder.bytes.last == UInt8(ascii: "/") ? 0 : 1)
        return FilePath(path.bytes.dropFirst(prefix))
    }

    /// Returns the file to read; nil if it is unchanged, moved, gone, or a dangling link, or if an
    /// error has ended the update.
    func input(for found: FolderWalk.Element) -> Input? {
        var result: Input?
        attempt { () throws(FileError) in
            switch found {
            case .file(let path): result = try input(forFile: path)
            case .unreadable(let path, let reason):
                guard path != folder else {
                    return stop(.unreadableFolder(folder: folder.description, reason: reason))
                }
                // The images of a folder that cannot be listed may still exist.
                let path = relative(path)
                unlisted.append((path, reason))
                try markSeen(try database.idsOfFiles(below: path))
                result = Input(path: path, known: try database.file(at: path), failure: reason)
            case .dangling(let path):
                // The disk that the link leads to may be absent only for now.
                unlisted.append((relative(path), "the link leads nowhere"))
                let ids = try database.idsOfFiles(below: relative(path))
                try markSeen(ids)
                if !ids.isEmpty { summary.dangling.append(path) }
            }
        }
        return result
    }

    private func input(forFile full: FilePath) throws(FileError) -> Input? {
        let path = relative(full)
        var known = try database.file(at: path)
        // This entry belongs to a file that has moved elsewhere, which is not committed yet.
        if let id = known?.id, moved.contains(id) { known = nil }
        let status: FileStatus
        do throws(FileError) {
            status = try FileStatus(path: full.bytes)
        } catch {
            // A file that was removed after its folder was listed is not marked as seen.
            return error.isMissing ? nil : Input(path: path, known: known, failure: error.reason)
        }
        if let known, isUnchanged(known.file, status) {
            if known.file.failure == nil { summary.unchanged += 1 }
            if known.file.changed == nil {
                // An older version did not store this time.
                var file = known.file
                file.changed = status.changed
                try set(file, id: known.id)
            } else {
                try markSeen([known.id])
            }
            return nil
        }
        var input = Input(path: path, known: known, status: status)
        guard known == nil, try database.hasVector(ofSize: status.size),
            let bytes = try? full.contents()
        else { return input }
        input.bytes = bytes
        guard let (id, old) = try takeMovedFile(of: sha256(bytes)) else { return input }
        var file = old
        (file.path, file.size, file.modified) = (path, status.size, status.modified)
        file.changed = status.changed
        // A failure belonged to the old path; the content can be read.
        file.failure = nil
        if let sums = old.sums { file.sums = RowSums(file, vectorSum: sums.vector) }
        moved.insert(id)
        try set(file, id: id)
        summary.moved += 1
        return nil
    }

    /// Returns an entry with the given digest whose file is gone from its path; nil if there is
    /// none that was not returned before.
    ///
    /// The database is queried once per digest between two commits, because thousands of files may
    /// have the same content.
    private func takeMovedFile(
        of digest: [UInt8]
    ) throws(FileError) -> (id: Int, file: IndexDatabase.File)? {
        var candidates =
            if let known = movedCandidates[digest] { known } else {
                Array(try database.unseenFiles(of: digest).reversed())
            }
        // A candidate whose file exists is no candidate for later files either.
        var found = candidates.popLast()
        while let candidate = found, !isGone(candidate.file.path) { found = candidates.popLast() }
        movedCandidates[digest] = candidates
        return found
    }

    /// Returns true if a file need not be read.
    private func isUnchanged(_ known: IndexDatabase.File, _ status: FileStatus) -> Bool {
        !isVerifying && known.size == status.size && known.modified == status.modified
            && (known.changed ?? status.changed) == status.changed
            // A failure with a digest is due to the content, and would occur again.
            && (known.failure == nil || known.digest != nil)
    }

    private func isGone(_ path: FilePath) -> Bool {
        do throws(FileError) {
            _ = try FileStatus(path: folder.appending(path.bytes).bytes)
            return false
        } catch {
            return error.isMissing
        }
    }

    /// Records the outcome of reading and encoding a file.
    func take(_ encoded: EncodedInput<Input, Learned>) {
        let (input, learned) = (encoded.input, encoded.learned)
        attempt { () throws(FileError) in
            if learned.isUnchanged, let known = input.known {
                try takeUnchanged(known, input)
                return
            }
            var file = IndexDatabase.File(
                path: input.path, size: input.status?.size ?? -1,
                modified: input.status?.modified ?? 0, digest: learned.digest,
                width: learned.width, height: learned.height)
            file.changed = input.status?.changed
            switch encoded.embedding {
            case .success(let vector):
                let vector = Embeddings(rows: vector, dimension: vector.count).normalized().values
                file.row = try rows.store(vector)
                file.sums = RowSums(file, vector: littleEndianBytes(of: vector))
                summary.encoded += 1
            case .failure(let error):
                let failure = StoredFailure(error)
                if !failure.isCause(of: input.known?.file.failure) {
                    markNewFailure(of: input.path)
                }
                if !error.isOfContent {
                    // The next update tries again. Until then the old entry stays, unless the file
                    // was read and has other content, to which the old vector does not belong.
                    if learned.digest == nil, let known = input.known?.file, known.row != nil {
                        file = known
                    }
                    file.modified = -1
                    if file.row == nil { file.digest = nil }
                }
                file.failure = failure.text
            }
            try set(file, id: input.known?.id)
        }
    }

    /// Records a file that was read and whose content has not changed.
    private func takeUnchanged(
        _ known: (id: Int, file: IndexDatabase.File), _ input: Input
    ) throws(FileError) {
        var file = known.file
        if file.row != nil {
            file.failure = nil
            summary.unchanged += 1
        }
        file.size = input.status?.size ?? file.size
        file.modified = input.status?.modified ?? file.modified
        file.changed = input.status?.changed
        try set(file, id: known.id)
    }
}

extension CLIPError {
    /// True if the content of the file is damaged or unsupported, so that reading it again would
    /// fail again.
    fileprivate var isOfContent: Bool {
        if case .unreadableImage = self { true } else { false }
    }
}
