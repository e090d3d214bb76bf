internal import Files
package import Tensors

/// A writer of a safetensors file, tensor by tensor.
///
/// The file appears at its path once `finish()` has synchronised it to the disk.
package struct SafetensorsWriter {
    /// The header's description of a tensor.
    package struct Entry {
        package let name: String
        package let type: StoredType
        package let shape: [Int]

        package init(name: String, type: StoredType, shape: [Int]) {
            (self.name, self.type, self.shape) = (name, type, shape)
        }
    }

    private let path: String
    private let file: OutputFile

    /// Opens a temporary file, which `finish()` moves to the path, and writes the header.
    ///
    /// - Parameters:
    ///   - path: The path of the file.
    ///   - entries: All tensors, in the order in which they will be appended.
    ///   - metadata: The strings of the header's `__metadata__`.
    /// - Throws: `TensorFileError.unwritable`.
    package init(
        path: String, entries: [Entry], metadata: [(key: String, value: String)]
    ) throws(TensorFileError) {
        var members: [JSONValue.Member] = [
            ("__metadata__", .object(metadata.map { ($0.key, .string($0.value)) }))
        ]
        var offset = 0
        for entry in entries {
            let end = offset + entry.shape.reduce(1, *) * entry.type.byteWidth
            let description = JSONValue.object([
                "dtype": .string(entry.type.rawValue),
                "shape": .array(entry.shape.map { .integer($0) }),
                "data_offsets": .array([.integer(offset), .integer(end)]),
            ])
            members.append((entry.name, description))
            offset = end
        }
        var header = JSONValue.object(members).bytes
        header += [UInt8](repeating: 0x20, count: (8 - header.count % 8) % 8)
        self.path = path
        do {
            file = try OutputFile(path: path)
            try file.write((0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) })
            try file.write(header)
        } catch {
            throw .unwritable(path: path, reason: error.reason)
        }
    }

    /// Appends the stored bytes of tensors in row-major order, unchanged.
    ///
    /// - Throws: `TensorFileError.unwritable`.
    package func append(bytesOf parts: [StoredTensor]) throws(TensorFileError) {
        do {
            for part in parts { try file.writeBytes(of: part) }
        } catch {
            throw .unwritable(path: path, reason: error.reason)
        }
    }

    /// Appends the numbers of a tensor in a number format, rounded to nearest, ties to even.
    ///
    /// - Throws: `TensorFileError.unrepresentable` if a number is too large for the format,
    ///   `.unwritable`.
    package func append(
        _ tensor: Tensor, as type: StoredType, name: String
    ) throws(TensorFileError) {
        let number: Float?
        do {
            number = try file.write(tensor, as: type)
        } catch {
            throw .unwritable(path: path, reason: error.reason)
        }
        if let number {
            throw .unrepresentable(tensor: name, number: number, format: type.rawValue)
        }
    }

    /// Synchronises the file to the disk and moves it to its path.
    ///
    /// - Throws: `TensorFileError.unwritable`.
    package func finish() throws(TensorFileError) {
        do {
            try file.finish()
        } catch {
            throw .unwritable(path: path, reason: error.reason)
        }
    }
}
