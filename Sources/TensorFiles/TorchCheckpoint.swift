internal import Files
internal import Tensors

/// A checkpoint of PyTorch 1.6 or later: a zip archive of a pickle and the tensors' bytes.
///
/// It is either a state dict that `torch.save` wrote, alone or in a dictionary with other objects,
/// or an archive of TorchScript, the format in which OpenAI published its models. The code and
/// constants of TorchScript are ignored; tensors are named by their attributes, as in
/// `state_dict()`.
struct TorchCheckpoint {
    let entries: [String: TensorArchive.Entry]
    let isTorchScript: Bool

    private static let pickleLimit = 1 << 24

    init(_ file: MappedFile) throws(FormatError) {
        let archive = try ZipArchive(file)
        let pickles = archive.records.keys.filter {
            $0.hasSuffix("/data.pkl") && $0.split(separator: "/").count == 2
        }
        guard let name = pickles.first, pickles.count == 1 else {
            throw FormatError(
                "the zip archive is not a PyTorch checkpoint", expected: "one data.pkl",
                found: "\(pickles.count)")
        }
        let root = String(name.dropLast("data.pkl".count))
        if let order = try archive.bytes(root + "byteorder", limit: 64),
            String(decoding: order, as: UTF8.self) != "little"
        {
            throw FormatError("unsupported: the numbers are big-endian")
        }
        let pickle = try archive.bytes(name, limit: Self.pickleLimit) ?? []
        var reader = StateDictReader(
            pickle: try PickleReader(pickle), archive: archive, file: file, root: root)
        isTorchScript = archive.records.keys.contains { $0.hasPrefix(root + "code/") }
        entries = try reader.read()
    }
}

/// A reader that finds the tensors in the objects of a pickle.
private struct StateDictReader {
    typealias Value = PickleReader.Value

    let pickle: PickleReader
    let archive: ZipArchive
    let file: MappedFile
    let root: String
    private var entries: [String: TensorArchive.Entry] = [:]
    private var visits = 0

    init(pickle: PickleReader, archive: ZipArchive, file: MappedFile, root: String) {
        (self.pickle, self.archive, self.file, self.root) = (pickle, archive, file, root)
    }

    /// The keys under which training programs store the state dict in a larger dictionary.
    private static let wrappers = ["state_dict", "model_state_dict", "model"]
    private static let visitLimit = 1 << 20
    private static let depthLimit = 64
    private static let nameLimit = 1024

    /// The names of the number formats in safetensors, by their names in PyTorch.
    private static let types = [
        "Float": "F32", "Half": "F16", "BFloat16": "BF16", "Double": "F64", "Long": "I64",
        "Int": "I32", "Short": "I16", "Char": "I8", "Byte": "U8", "Bool": "BOOL",
    ]

    mutating func read() throws(FormatError) -> [String: TensorArchive.Entry] {
        var top = pickle.root
        for name in Self.wrappers {
            if let inner = member(name, of: top), pickle.node(inner)?.kind == .dictionary {
                top = inner
                break
            }
        }
        try collect(top, name: "", depth: 0)
        guard !entries.isEmpty else { throw FormatError("the file contains no tensors with names") }
        // Tensors may share a storage, but all together must not be much larger than the file.
        let numbers = entries.values.reduce(0.0) { sum, entry in
            sum + entry.shape.reduce(4.0) { $0 * Double($1) }
        }
        guard numbers <= 8 * Double(file.count) else {
            throw FormatError("the tensors are more than eight times as large as the file")
        }
        return entries
    }

    /// Returns the value of a key in a dictionary; nil if it is missing.
    private func member(_ key: String, of value: Value) -> Value? {
        guard let node = pickle.node(value), node.kind == .dictionary else { return nil }
        return stride(from: 0, to: node.values.count, by: 2)
            .first { node.values[$0] == .string(key) }.map { node.values[$0 + 1] }
    }

    /// Collects the tensors of a state dict, or of an object of TorchScript and its descendants.
    private mutating func collect(
        _ value: Value, name: String, depth: Int
    ) throws(FormatError) {
        visits += 1
        guard depth <= Self.depthLimit, visits <= Self.visitLimit else {
            throw FormatError(
                "the objects are nested too deeply or too many",
                expected: "a depth of \(Self.depthLimit) and \(Self.visitLimit) objects at most")
        }
        guard let node = pickle.node(value) else { return }
        if let tensor = try tensor(node, name: name) {
            guard entries.updateValue(tensor, forKey: name) == nil else {
                throw FormatError("the tensor \(name) appears twice")
            }
            return
        }
        let isObject = node.kind == .call && node.state != nil
        guard let members = isObject ? pickle.node(node.state) : node,
            members.kind == .dictionary, isObject || depth == 0
        else { return }
        for index in stride(from: 0, to: members.values.count, by: 2) {
            visits += 1
            guard case .string(let key) = members.values[index], visits <= Self.visitLimit,
                pickle.node(members.values[index + 1]) != nil
            else { continue }
            guard name.utf8.count + key.utf8.count < Self.nameLimit else {
                throw FormatError("the name of a tensor has more than \(Self.nameLimit) bytes")
            }
            let path = name.isEmpty ? key : "\(name).\(key)"
            try collect(members.values[index + 1], name: path, depth: depth + 1)
        }
    }

    // MARK: tensors

    /// Returns the tensor that a call would create; nil if it would create something else.
    private func tensor(
        _ node: PickleReader.Node, name: String
    ) throws(FormatError) -> TensorArchive.Entry? {
        guard node.kind == .call, case .global(let function) = node.values[0],
            let arguments = pickle.node(node.values[1])?.values
        else { return nil }
        switch function {
        case "torch._utils _rebuild_parameter":
            guard let inner = pickle.node(arguments.first), inner.values.first != node.values.first
            else { throw FormatError("the parameter \(name) contains no tensor") }
            return try tensor(inner, name: name)
        case "torch._utils _rebuild_tensor", "torch._utils _rebuild_tensor_v2":
            do {
                return try tensor(arguments)
            } catch {
                throw error.of(tensor: name)
            }
        default:
            return nil
        }
    }

    /// Returns the tensor with these arguments: a storage, and its offset, shape and strides in
    /// elements.
    private func tensor(_ arguments: [Value]) throws(FormatError) -> TensorArchive.Entry {
        guard arguments.count >= 4, let storage = pickle.node(arguments[0]),
            storage.kind == .persistent, storage.values.count >= 5,
            storage.values[0] == .string("storage"), case .global(let kind) = storage.values[1],
            case .string(let key) = storage.values[2]
        else { throw FormatError("has no storage") }
        let storageName = String(kind.dropFirst("torch ".count).dropLast("Storage".count))
        guard kind == "torch \(storageName)Storage", let type = Self.types[storageName],
            let width = SafetensorsFile.byteWidths[type]
        else { throw FormatError("has the unsupported storage type \(kind)") }
        guard let record = archive.records["\(root)data/\(key)"] else {
            throw FormatError("is in the record data/\(key), which is missing")
        }
        guard record.isPlain else {
            throw FormatError("is in the record data/\(key), which is compressed or encrypted")
        }
        guard case .integer(let offset) = arguments[1], offset >= 0,
            let shape = integers(arguments[2]), let strides = integers(arguments[3]),
            shape.count == strides.count, shape.count <= 16
        else { throw FormatError("has an invalid offset, shape or stride") }

        let available = record.range.count / width
        var (last, count) = (offset, 1)
        for (side, stride) in zip(shape, strides) {
            let (product, tooMany) = count.multipliedReportingOverflow(by: side)
            let (reach, tooFar) = max(side - 1, 0).multipliedReportingOverflow(by: stride)
            let (end, beyond) = last.addingReportingOverflow(reach)
            guard !tooMany, !tooFar, !beyond else {
                throw FormatError("has a shape whose size overflows 64 bits")
            }
            (count, last) = (product, end)
        }
        guard count == 0 || (last < available && count <= available) else {
            throw FormatError(
                "is larger than its storage", expected: "at most \(available) numbers",
                found: "\(type) \(shape), whose last number has the index \(last)")
        }
        guard let stored = StoredType(rawValue: type), count > 0 else {
            return .init(type: type, shape: shape, tensor: nil)
        }
        let start = record.range.lowerBound + offset * width
        return .init(
            type: type, shape: shape,
            tensor: StoredTensor(
                type: stored, shape: shape, strides: strides, file: file,
                byteRange: start..<start + (last - offset + 1) * width))
    }

    /// Returns the numbers of a tuple or list of non-negative integers; nil for any other value.
    private func integers(_ value: Value) -> [Int]? {
        guard var node = pickle.node(value) else { return nil }
        if node.kind == .call {  // TorchScript and torch.Size have the list as an argument
            guard let list = pickle.node(pickle.node(node.values[1])?.values.first) else {
                return nil
            }
            node = list
        }
        guard node.kind == .tuple || node.kind == .list else { return nil }
        let numbers = node.values.compactMap { value -> Int? in
            guard case .integer(let number) = value, number >= 0 else { return nil }
            return number
        }
        return numbers.count == node.values.count ? numbers : nil
    }
}
