internal import Tensors

/// The file formats in which weights come.
public enum WeightFormat: String, Sendable, Codable {
    case safetensors
    /// A zip archive of `torch.save`: `.pt`, `.pth`, `.bin`.
    case pyTorch = "pytorch"
    /// A zip archive of TorchScript, as OpenAI's nine models are.
    case torchScript = "torchscript"
}

/// The tensors of one file or several, by the names that they have there, whatever the format.
struct TensorArchive {
    struct Entry {
        /// As safetensors calls it.
        let type: String
        let shape: [Int]
        /// nil if its numbers are not of a type that weights have, or if it has none.
        let tensor: StoredTensor?
    }

    /// What messages call it: the file, or the index of several.
    let path: String
    let format: WeightFormat
    let entries: [String: Entry]
    /// Free text that the writer left.
    let metadata: [String: String]
    /// The files that hold the tensors, with their paths.
    let files: [(path: String, file: MappedFile)]

    var byteCount: Int { files.reduce(0) { $0 + $1.file.count } }

    /// Opens a file, or all files that an `index.json` of Hugging Face names.
    init(path: String) throws(CLIPError) {
        guard path.hasSuffix(".index.json") else {
            let file: MappedFile
            do {
                file = try MappedFile(path: path)
            } catch {
                throw .unreadableFile(path: path, reason: error.reason)
            }
            try self.init(file, path: path)
            return
        }
        var entries: [String: Entry] = [:]
        var files: [(path: String, file: MappedFile)] = []
        var format = WeightFormat.safetensors
        for (name, keys) in try Self.shards(of: path) {
            let shard = try TensorArchive(path: name)
            for key in keys {
                guard let entry = shard.entries[key] else {
                    throw .malformedWeights(
                        path: name, reason: "it lacks the tensor \(key), which \(path) puts there")
                }
                entries[key] = entry
            }
            files += shard.files
            format = shard.format
        }
        self.init(path: path, format: format, entries: entries, metadata: [:], files: files)
    }

    /// - Parameter path: what messages call the file.
    init(_ file: MappedFile, path: String) throws(CLIPError) {
        let start = file.bytes(0..<min(16, file.count))
        if start.starts(with: Array("PK\u{3}\u{4}".utf8)) {
            let checkpoint: TorchCheckpoint
            do {
                checkpoint = try TorchCheckpoint(file)
            } catch {
                throw .malformedWeights(path: path, reason: error.reason)
            }
            self.init(
                path: path, format: checkpoint.isTorchScript ? .torchScript : .pyTorch,
                entries: checkpoint.entries, metadata: [:], files: [(path, file)])
        } else if file.number(0, 8) > SafetensorsFile.headerLimit,
            let other = Self.otherFormat(start)
        {
            throw .malformedWeights(path: path, reason: other)
        } else {
            let safetensors = try SafetensorsFile(file, path: path)
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
        path: String, format: WeightFormat, entries: [String: Entry],
        metadata: [String: String], files: [(path: String, file: MappedFile)]
    ) {
        (self.path, self.format, self.entries) = (path, format, entries)
        (self.metadata, self.files) = (metadata, files)
    }

    /// - Parameter sha256: what the file's SHA-256 should be, in hexadecimal digits.
    /// - Throws: `CLIPError.damagedWeights` if it is another.
    func check(sha256 expected: String) throws(CLIPError) {
        // Of several files there is no one sum.
        for (path, file) in files where files.count == 1 {
            let found = file.sha256()
            guard found == expected.lowercased() else {
                throw .damagedWeights(path: path, expected: expected.lowercased(), found: found)
            }
        }
    }

    /// The files that an index names, which lie beside it, each with its tensors.
    private static func shards(of path: String) throws(CLIPError) -> [(String, [String])] {
        func malformed(_ reason: String) -> CLIPError {
            .malformedWeights(path: path, reason: reason)
        }
        let json: JSONValue
        do {
            json = try JSONValue(parsing: readFile(path: path, limit: 1 << 26))
        } catch let error as FileError {
            throw .unreadableFile(path: path, reason: error.reason)
        } catch let error as JSONValue.SyntaxError {
            throw malformed(error.reason)
        } catch {
            throw malformed("\(error)")
        }
        var keys: [String: [String]] = [:]
        for (key, value) in json["weight_map"]?.members ?? [] {
            guard let name = value.string, !name.isEmpty, !name.contains("/"), name != "..",
                !name.hasSuffix(".index.json")
            else { throw malformed("it puts the tensor \(key) into no file beside it") }
            keys[name, default: []].append(key)
        }
        guard !keys.isEmpty else { throw malformed("it has no weight_map") }
        return keys.sorted { $0.key < $1.key }.map { (folder(of: path) + $0.key, $0.value) }
    }

    /// What a file is that cannot be read, where its first bytes tell, and what to do.
    private static func otherFormat(_ start: [UInt8]) -> String? {
        func begins(_ bytes: [UInt8]) -> Bool { start.starts(with: bytes) }
        if begins([0x80]), start.count > 1, (2...5).contains(start[1]) {
            return """
                it is a bare pickle, as PyTorch wrote it before 1.6; load it there once and save its \
                state_dict again, as safetensors if you can
                """
        }
        if begins(Array("GGUF".utf8)) {
            return
                "it is GGUF, which keeps neither all tensors nor logit_scale; use the weights it was made of"
        }
        // A protocol buffer that begins with ir_version, then the producer's name or version.
        if begins([0x08]), start.count > 2, start[1] < 32, [0x12, 0x1A, 0x3A].contains(start[2]) {
            return "it is ONNX, a program rather than weights; use the weights it was exported from"
        }
        if begins([0x89] + Array("HDF".utf8)) {
            return "it is HDF5, as TensorFlow writes it; use the PyTorch or safetensors file"
        }
        if begins(Array("version ".utf8)) {
            return "it is a pointer of Git LFS; fetch the file itself with git lfs pull"
        }
        if begins(Array("<".utf8)) {
            return "it is a page of the web or of XML; perhaps a download went wrong"
        }
        return nil
    }
}
