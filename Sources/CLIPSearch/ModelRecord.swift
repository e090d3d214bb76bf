internal import Files
public import CLIP
internal import Tensors

/// The model that made stored vectors, with the options to load it again.
///
/// ```swift
/// let record = ModelRecord(model, name: "ViT-B/32")
/// print(record.fingerprint == index.model.fingerprint)  // true if vectors are comparable
/// ```
public struct ModelRecord: Sendable, Hashable, Codable {
    /// The absolute path of the weights, or a name such as `ViT-B/32`.
    ///
    /// Files of older versions store a path as it was typed, which may be relative.
    public var name: String
    /// The model's `fingerprint`: vectors are comparable only if fingerprints are equal.
    public var fingerprint: String
    /// The number of dimensions of each vector.
    public var dimension: Int
    /// The precision with which the vectors were computed.
    public var precision: Precision
    /// The activation of the MLPs; nil in files of older versions, which do not store it.
    public var activation: Activation?
    /// The side of the model's square input images, in pixels; nil in files of older versions.
    public var resolution: Int?
    /// True if the stored vectors have L2 norm 1; nil if the file does not say.
    public var isNormalized: Bool?

    /// Makes the record of a model.
    ///
    /// - Parameters:
    ///   - model: The model that makes the vectors.
    ///   - name: The name or absolute path from which the model can be loaded again.
    public init(_ model: CLIPModel, name: String) {
        self.name = name
        fingerprint = model.fingerprint
        dimension = model.configuration.embeddingDimension
        precision = model.precision
        activation = model.configuration.activation
        resolution = model.configuration.resolution
    }

    package init(
        name: String, fingerprint: String, dimension: Int, precision: Precision,
        activation: Activation?, resolution: Int?, isNormalized: Bool? = nil
    ) {
        self.name = name
        self.fingerprint = fingerprint
        self.dimension = dimension
        self.precision = precision
        self.activation = activation
        self.resolution = resolution
        self.isNormalized = isNormalized
    }

    /// Returns descriptions of this model and another one that show how they differ.
    package func names(comparedTo other: ModelRecord) -> (own: String, other: String) {
        func describe(_ record: ModelRecord) -> String {
            var parts = [record.name]
            if let activation = record.activation, self.activation != other.activation {
                parts.append("activation \(activation.rawValue)")
            }
            if let resolution = record.resolution, self.resolution != other.resolution {
                parts.append("\(resolution) pixels a side")
            }
            return parts.joined(separator: ", ")
        }
        let (own, others) = (describe(self), describe(other))
        return own == others ? ("another file \(own)", others) : (own, others)
    }
}

// MARK: beside .npy files

extension ModelRecord {
    /// Returns the path of the record beside `x.npy`: `x.model.json`.
    static func file(besideNPY path: FilePath) -> FilePath {
        let base = path.pathExtension == "npy" ? path.bytes.dropLast(4) : path.bytes[...]
        return FilePath(base + ".model.json".utf8)
    }

    /// Returns the path of the record in a folder of shards: `clip-model.json`.
    static func file(inFolder folder: FilePath) -> FilePath {
        folder.appending("clip-model.json".utf8)
    }

    /// Reads the model record beside a `.npy` file or, for a shard, in its folder; nil if there is
    /// none.
    ///
    /// - Throws: `FileError` if the record cannot be read or is damaged.
    static func read(besideNPY path: FilePath) throws(FileError) -> ModelRecord? {
        let beside = file(besideNPY: path)
        if (try? FileStatus(path: beside.bytes)) != nil { return try ModelRecord(beside) }
        // A file whose name is a number is a shard, and its record lies in the folder.
        let name = path.lastComponent
        let number = name.dropLast(4)
        guard number.count >= 5, number.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        let folder = path.bytes.dropLast(name.count)
        let shared = FilePath(folder + "clip-model.json".utf8)
        return (try? FileStatus(path: shared.bytes)) == nil ? nil : try ModelRecord(shared)
    }

    /// Reads the model record of a `.npy` file whose vectors have a number of dimensions.
    ///
    /// - Throws: `FileError`, also if the record states another number of dimensions.
    static func read(
        besideNPY path: FilePath, dimension: Int
    ) throws(FileError) -> ModelRecord? {
        guard let model = try read(besideNPY: path) else { return nil }
        try model.check(
            dimension: dimension,
            in: "the model record beside it (\(file(besideNPY: path)) or clip-model.json)",
            advice: ": remove the record if it belongs to other vectors")
        return model
    }

    /// Checks the number of dimensions of vectors.
    ///
    /// - Parameters:
    ///   - found: The number of dimensions of the vectors.
    ///   - place: The place of the record, for the message.
    ///   - advice: The end of the message.
    /// - Throws: `FileError` if the record states another number.
    func check(
        dimension found: Int, in place: String, advice: String = ""
    ) throws(FileError) {
        guard found == dimension else {
            throw FileError(
                reason: """
                    its vectors have \(found) dimensions, but \(place) states \(dimension)\
                    \(advice)
                    """)
        }
    }

    init(_ path: FilePath) throws(FileError) {
        let bytes = try readFile(path: path.bytes, limit: 1 << 20)
        let object = try? JSONValue(parsing: bytes)
        guard let object, let name = object["model"]?.string,
            let fingerprint = object["fingerprint"]?.string,
            let dimension = object["dimension"]?.integer,
            let precision = object["precision"]?.string.flatMap(Precision.init)
        else {
            throw FileError(
                reason: """
                    the model record \(path) is damaged: remove it, and specify the model that \
                    made the vectors
                    """)
        }
        self.init(
            name: name, fingerprint: fingerprint, dimension: dimension, precision: precision,
            activation: object["activation"]?.string.flatMap(Activation.init),
            resolution: object["resolution"]?.integer,
            isNormalized: object["normalized"].flatMap { value in
                if case .bool(let isNormalized) = value { isNormalized } else { nil }
            })
    }

    /// Writes the record to a file, atomically.
    func write(to path: FilePath) throws(FileError) {
        var members: [JSONValue.Member] = [
            ("model", .string(name)), ("fingerprint", .string(fingerprint)),
            ("dimension", .integer(dimension)), ("precision", .string(precision.rawValue)),
        ]
        if let activation { members.append(("activation", .string(activation.rawValue))) }
        if let resolution { members.append(("resolution", .integer(resolution))) }
        if let isNormalized { members.append(("normalized", .bool(isNormalized))) }
        let file = try GrowingFile(path: path.bytes)
        try file.truncate(to: 0)
        try file.append(JSONValue.object(members).bytes + [UInt8(ascii: "\n")])
        try file.finish()
    }
}

// MARK: in the metadata of a Parquet file

extension ModelRecord {
    /// Reads a record from the metadata of a Parquet file; nil if the metadata does not state the
    /// model's name, fingerprint, dimension and precision.
    package init?(metadata: [(key: String, value: String)]) {
        let values = Dictionary(metadata.map { ($0.key, $0.value) }) { first, _ in first }
        guard let name = values["clip.model"], let fingerprint = values["clip.fingerprint"],
            let dimension = values["clip.dimension"].flatMap({ Int($0) }),
            let precision = values["clip.precision"].flatMap(Precision.init)
        else { return nil }
        self.init(
            name: name, fingerprint: fingerprint, dimension: dimension, precision: precision,
            activation: values["clip.activation"].flatMap(Activation.init),
            resolution: values["clip.resolution"].flatMap { Int($0) },
            isNormalized: values["clip.normalized"].flatMap { Bool($0) })
    }

    /// The record as metadata of a Parquet file.
    package var metadata: [(key: String, value: String)] {
        var pairs = [
            (key: "clip.model", value: name), (key: "clip.fingerprint", value: fingerprint),
            (key: "clip.dimension", value: "\(dimension)"),
            (key: "clip.precision", value: precision.rawValue),
        ]
        if let activation { pairs.append((key: "clip.activation", value: activation.rawValue)) }
        if let resolution { pairs.append((key: "clip.resolution", value: "\(resolution)")) }
        if let isNormalized { pairs.append((key: "clip.normalized", value: "\(isNormalized)")) }
        return pairs
    }
}

// MARK: in an index

extension IndexDatabase {
    /// Returns the model that made the vectors of the index; nil if the index does not state its
    /// name, fingerprint, dimension and precision.
    func modelRecord() throws(FileError) -> ModelRecord? {
        guard let fingerprint = try fact("fingerprint"), let name = try fact("model"),
            let precision = try fact("precision").flatMap(Precision.init),
            let dimension = try fact("dimension").flatMap({ Int($0) })
        else { return nil }
        return ModelRecord(
            name: name, fingerprint: fingerprint, dimension: dimension, precision: precision,
            activation: try fact("activation").flatMap(Activation.init),
            resolution: try fact("resolution").flatMap { Int($0) })
    }

    /// Stores the name, activation and resolution with which the model can be loaded again.
    ///
    /// Older versions did not store all of them.
    func setModel(_ record: ModelRecord) throws(FileError) {
        try setFact("model", record.name)
        if let activation = record.activation { try setFact("activation", activation.rawValue) }
        if let resolution = record.resolution { try setFact("resolution", "\(resolution)") }
    }
}
