internal import Files

/// The compact forms of tokenizer files, in a folder, by the SHA-256 of the files.
enum VocabularyCache {
    /// The largest tokenizer file, in bytes.
    static let maximumSize = 1 << 27

    /// Reads a tokenizer file, or its compact form if the cache has it.
    ///
    /// A failure to write to the cache is ignored: the file is then parsed each time.
    ///
    /// - Parameters:
    ///   - path: The path of `tokenizer.json`, `tokenizer.model` or `spiece.model`.
    ///   - conversion: The conversion of a SentencePiece model; `tokenizer.json` has its own
    ///     pipeline.
    ///   - folder: The folder of the cache, which is made if missing; nil for none.
    /// - Returns: The vocabulary.
    /// - Throws: `TokenizerFileError`.
    static func vocabulary(
        path: String, _ conversion: SentencePieceConversion, folder: String?
    ) throws(TokenizerFileError) -> CompactVocabulary {
        let file: MappedFile
        do throws(FileError) {
            file = try MappedFile(path: path)
        } catch {
            throw .unreadable(path: path, reason: error.reason)
        }
        guard file.count <= maximumSize else {
            throw .unreadable(
                path: path,
                reason: "it has \(file.count) bytes; the limit is \(maximumSize)")
        }
        let digest = Self.digest(of: file, path, folder)
        let isJSON = path.hasSuffix(".json") || isJSON(file.bytes(0..<min(4096, file.count)))
        let name = isJSON ? "json" : conversion.rawValue
        let cached = folder.map { "\($0)/\(hexadecimal(digest))-\(name).vocabulary" }
        if let cached, let found = try? MappedFile(path: cached),
            let vocabulary = CompactVocabulary(found, digest: digest)
        {
            return vocabulary
        }
        let block: [UInt8]
        do throws(TokenizerDefect) {
            block = try Self.block(
                of: file.bytes(0..<file.count), isJSON: isJSON, conversion, digest)
        } catch {
            throw error.of(path: path)
        }
        if let folder, let cached {
            try? makeFolder(Array(folder.utf8))
            try? writeFile(block, to: Array(cached.utf8), replacingAnything: true)
            if let found = try? MappedFile(path: cached),
                let vocabulary = CompactVocabulary(found, digest: digest)
            {
                return vocabulary
            }
        }
        do throws(FileError) {
            let copy = try MappedFile(copying: block)
            guard let vocabulary = CompactVocabulary(copy, digest: digest) else {
                preconditionFailure("expected the block of \(path) to be valid")
            }
            return vocabulary
        } catch {
            throw .unreadable(path: path, reason: error.reason)
        }
    }

    /// Returns the SHA-256 of a file, from a record in the cache if the file has not changed since.
    ///
    /// The record is of the file's device, inode, size and times. Hashing takes longer than all
    /// else if the vocabulary is in the cache.
    private static func digest(of file: MappedFile, _ path: String, _ folder: String?) -> [UInt8] {
        // Without a cache, the digest is compared with itself only.
        guard let folder else { return [UInt8](repeating: 0, count: 32) }
        guard let identity = identity(of: path) else { return file.sha256(of: 0..<file.count) }
        let record = "\(folder)/\(hexadecimal(sha256(identity))).source"
        if let note = try? MappedFile(path: record), note.count == identity.count + 32,
            note.bytes(0..<identity.count) == identity
        {
            return note.bytes(identity.count..<note.count)
        }
        let digest = file.sha256(of: 0..<file.count)
        if Self.identity(of: path) == identity {
            try? makeFolder(Array(folder.utf8))
            try? writeFile(identity + digest, to: Array(record.utf8), replacingAnything: true)
        }
        return digest
    }

    private static func identity(of path: String) -> [UInt8]? {
        guard let status = try? FileStatus(path: Array(path.utf8)) else { return nil }
        let numbers = "\(status.device) \(status.inode) \(status.size)"
        return Array("\(numbers) \(status.modified) \(status.changed)\n".utf8)
    }

    /// Parses the bytes of a tokenizer file.
    static func vocabulary(
        bytes: [UInt8], _ conversion: SentencePieceConversion
    ) throws(TokenizerDefect) -> CompactVocabulary {
        let digest = [UInt8](repeating: 0, count: 32)
        let block = try Self.block(of: bytes, isJSON: isJSON(bytes), conversion, digest)
        do throws(FileError) {
            let copy = try MappedFile(copying: block)
            guard let vocabulary = CompactVocabulary(copy, digest: digest) else {
                preconditionFailure("expected a valid block of \(bytes.count) bytes")
            }
            return vocabulary
        } catch {
            throw TokenizerDefect("the file", expected: "enough memory", found: error.reason)
        }
    }

    private static func block(
        of bytes: [UInt8], isJSON: Bool, _ conversion: SentencePieceConversion, _ digest: [UInt8]
    ) throws(TokenizerDefect) -> [UInt8] {
        let model =
            isJSON
            ? try SentencePieceModel(tokenizerJSON: bytes)
            : try SentencePieceModel(protobuf: bytes).converted(conversion)
        return try CompactVocabulary.block(model, digest: digest)
    }

    /// Returns true if the file begins like a JSON object; a SentencePiece model begins with the
    /// key and the length of a field.
    private static func isJSON(_ beginning: [UInt8]) -> Bool {
        var scanner = JSONScanner(beginning)
        return scanner.take("{")
            && [UInt8(ascii: "\""), UInt8(ascii: "}")].contains(scanner.peek())
    }
}
