internal import Files
package import Tensors

/// A safetensors file that is written tensor by tensor.
///
/// The file gets its name when it is whole and on the disk.
package struct SafetensorsWriter {
    /// A tensor of the header.
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

    /// Opens a file, which replaces the one at the path, and writes its header.
    ///
    /// - Parameters:
    ///   - entries: all tensors, in the order in which they will be appended.
    ///   - metadata: free text of the header.
    /// - Throws: `TensorFileError.unwritable`.
    package init(
        path: String, entries: [Entry], metadata: KeyValuePairs<String, String>
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

    /// Appends the numbers of a tensor in a format, rounded to nearest even.
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

    /// Puts the file on the disk and gives it its name.
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
