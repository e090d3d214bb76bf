package import Files
package import Tensors

/// The named tensors of a weights file, or of several files with an index, in any supported format.
package struct TensorArchive {
    /// The format of a file.
    package enum Format: String, Sendable {
        case safetensors
        /// A zip archive that `torch.save` writes: `.pt`, `.pth` or `.bin`.
        case pyTorch = "pytorch"
        /// A zip archive of TorchScript.
        case torchScript = "torchscript"
    }

    /// A tensor of the archive.
    package struct Entry {
        /// The number format by its name in safetensors, such as "F32".
        package let type: String
        package let shape: [Int]
        /// The tensor; nil if its type is not one of `StoredType`, or if it is empty.
        package let tensor: StoredTensor?
    }

    /// The path that errors name: that of the file, or of the index if there are several files.
    package let path: String
    package let format: Format
    package let entries: [String: Entry]
    /// The `__metadata__` of a safetensors header; empty for other formats and several files.
    package let metadata: [String: String]
    /// The files that contain the tensors, with their paths.
    package let files: [(path: String, file: MappedFile)]

    /// The size of all files, in bytes.
    package var byteCount: Int { files.reduce(0) { $0 + $1.file.count } }

    /// Opens a weights file, or all files that an `.index.json` in Hugging Face's format names.
    package init(path: String) throws(TensorFileError) {
        guard path.hasSuffix(".index.json") else {
            let file: MappedFile
            do {
                file = try MappedFile(path: path)
            } catch {
                throw .unreadable(path: path, reason: error.reason)
            }
            try self.init(file, path: path)
            return
        }
        var entries: [String: Entry] = [:]
        var files: [(path: String, file: MappedFile)] = []
        var format = Format.safetensors
        for (name, keys) in try Self.shards(of: path) {
            let shard = try TensorArchive(path: name)
            for key in keys {
                guard let entry = shard.entries[key] else {
                    throw .malformed(
                        path: name,
                        FormatError(
                            "the tensor \(key) is missing, which \(path) assigns to this file"))
                }
                entries[key] = entry
            }
            files += shard.files
            format = shard.format
        }
        self.init(path: path, format: format, entries: entries, metadata: [:], files: files)
    }

    /// Opens the tensors of a mapped file; errors name it by `path`.
    package init(_ file: MappedFile, path: String) throws(TensorFileError) {
        do throws(FormatError) {
            try self.init(content: file, path: path)
        } catch {
            throw .malformed(path: path, error)
        }
    }

    private init(content file: MappedFile, path: String) throws(FormatError) {
        let start = file.bytes(0..<min(16, file.count))
        if start.starts(with: Array("PK\u{3}\u{4}".utf8)) {
            let checkpoint = try TorchCheckpoint(file)
            self.init(
                path: path, format: checkpoint.isTorchScript ? .torchScript : .pyTorch,
                entries: checkpoint.entries, metadata: [:], files: [(path, file)])
        } else if file.number(0, 8) > SafetensorsFile.headerLimit,
            let other = Self.otherFormat(start)
        {
            throw FormatError(
                "unsupported format", expected: "safetensors or a PyTorch checkpoint", found: other)
        } else {
            let safetensors = try SafetensorsFile(file)
            self.init(
                path: path, format: .safetensors,
                entries: safetensors.entries.mapValues { entry in
                    Entry(
                        type: entry.type, shape: entry.shape,
                        tensor: safetensors.storedTensor(entry))
                }, metadata: safetensors.metadata, files: [(path, file)])
        }
    }

    private init(
        path: String, format: Format, entries: [String: Entry],
        metadata: [String: String], files: [(path: String, file: MappedFile)]
    ) {
        (self.path, self.format, self.entries) = (path, format, entries)
        (self.metadata, self.files) = (metadata, files)
    }

    /// Checks that the SHA-256 of the file is the expected one, in hexadecimal digits.
    ///
    /// An archive of several files is not checked, since it has no single checksum.
    ///
    /// - Throws: `TensorFileError.damaged` if the checksums differ.
    package func check(sha256 expected: String) throws(TensorFileError) {
        for (path, file) in files where files.count == 1 {
            let found = file.sha256()
            guard found == expected.lowercased() else {
                throw .damaged(path: path, expected: expected.lowercased(), found: found)
            }
        }
    }

    /// Returns the paths of the files that an index names, with the names of the tensors in each.
    ///
    /// The files lie in the folder of the index.
    private static func shards(of path: String) throws(TensorFileError) -> [(String, [String])] {
        func malformed(_ problem: String) -> TensorFileError {
            .malformed(path: path, FormatError(problem))
        }
        let json: JSONValue
        do {
            json = try JSONValue(parsing: readFile(path: path, limit: 1 << 26))
        } catch let error as FileError {
            throw .unreadable(path: path, reason: error.reason)
        } catch let error as JSONValue.SyntaxError {
            throw malformed(error.reason)
        } catch {
            throw malformed("\(error)")
        }
        var keys: [String: [String]] = [:]
        for (key, value) in json["weight_map"]?.members ?? [] {
            guard let name = value.string, !name.isEmpty, !name.contains("/"), name != "..",
                !name.hasSuffix(".index.json")
            else {
                throw malformed(
                    """
                    weight_map has an invalid file name for \(key): expected a file of weights in \
                    the same folder
                    """)
            }
            keys[name, default: []].append(key)
        }
        guard !keys.isEmpty else { throw malformed("weight_map is missing or empty") }
        return keys.sorted { $0.key < $1.key }.map { (folder(of: path) + $0.key, $0.value) }
    }

    /// Returns the name of an unsupported format, recognised by the first bytes, with advice for
    /// the user; nil if the format is unknown.
    private static func otherFormat(_ start: [UInt8]) -> String? {
        func begins(_ bytes: [UInt8]) -> Bool { start.starts(with: bytes) }
        if begins([0x80]), start.count > 1, (2...5).contains(start[1]) {
            return """
                a pickle of PyTorch before 1.6; load it in PyTorch and save its state_dict again, \
                as safetensors if possible
                """
        }
        if begins(Array("GGUF".utf8)) {
            return
                "GGUF, which lacks logit_scale and more; use the weights it was converted from"
        }
        // A protocol buffer that begins with ir_version, then the producer's name or version.
        if begins([0x08]), start.count > 2, start[1] < 32, [0x12, 0x1A, 0x3A].contains(start[2]) {
            return "ONNX, a computation graph; use the weights it was exported from"
        }
        if begins([0x89] + Array("HDF".utf8)) {
            return "HDF5, as TensorFlow writes it; use the PyTorch or safetensors file"
        }
        if begins(Array("version ".utf8)) {
            return "a Git LFS pointer; fetch the file itself with git lfs pull"
        }
        if begins(Array("<".utf8)) {
            return "HTML or XML; perhaps a download failed"
        }
        return nil
    }
}
