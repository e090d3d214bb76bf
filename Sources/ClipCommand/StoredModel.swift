import Files
import CLIP
import CLIPHub
import CLIPSearch

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The location of data that are stored with a record of their model: vectors in an index or in
/// files, or a probe.
enum StoredVectors {
    case index(of: FilePath)
    /// A file, or a folder of files.
    case file(FilePath)
    case probe(FilePath)

    /// A phrase for the vectors in messages, such as "the index of photos".
    var description: String {
        switch self {
        case .index(let folder): "the index of \(folder)"
        case .file(let path): "\(path)"
        case .probe(let path): "the probe \(path)"
        }
    }

    fileprivate func mismatch(stored: ModelRecord, given: ModelRecord) -> any Error {
        let names = stored.names(comparedTo: given)
        switch self {
        case .index(let folder):
            return IndexError.otherModel(
                folder: folder.description, stored: names.own, given: names.other)
        case .file(let path):
            return Failure(
                """
                the vectors in \(path) were made with \(names.own) and cannot be compared with \
                those of \(names.other): omit --model and its options, or encode the images again
                """)
        case .probe(let path):
            return ProbeFileError.otherModel(
                path: "\(path)", stored: names.own, given: names.other)
        }
    }

    /// The folders above the vectors, nearest first.
    ///
    /// In the first format of records, the path of the model may be relative to one of them.
    fileprivate var ancestors: [String] {
        let path =
            switch self {
            case .index(let folder): folder
            case .file(let path), .probe(let path): path
            }
        var folder = absolutePath("\(path)")
        var found: [String] = []
        while let slash = folder.lastIndex(of: "/"), slash > folder.startIndex {
            folder = String(folder[..<slash])
            found.append(folder)
        }
        return found
    }
}

extension ModelOptions {
    /// Returns the name to record for a model: the absolute path of a file or folder, any other
    /// name unchanged.
    static func storedName(of name: String) -> String {
        guard name != BundledModel.name, FileManager.default.fileExists(atPath: name) else {
            return name
        }
        return absolutePath(name)
    }

    /// Loads the model that made stored vectors.
    ///
    /// The record overrides `CLIP_MODEL`. `--model` may give another path of the same weights. The
    /// precision is the recorded one; `--precision` overrides it only for an update of the vectors
    /// (`isUpdate`).
    ///
    /// - Returns: The model, and the name or absolute path that loads it again.
    /// - Throws: `IndexError.otherModel` or `Failure` if the options select another model;
    ///   `Failure` if the recorded model is not found; the errors of loading the model.
    func load(
        _ record: ModelRecord, of vectors: StoredVectors, isUpdate: Bool = false,
        _ common: CommonOptions
    ) throws -> (model: CLIPModel, name: String) {
        let name = model ?? Self.place(of: record, near: vectors)
        var options = self
        if !isUpdate { options.precision = record.precision }
        let found: CLIPModel
        do {
            found = try options.load(record, from: name, common)
        } catch HubError.unknownModel where model == nil {
            throw Failure(
                """
                model not found: \(record.name), which made \(vectors.description); if it was \
                moved, give its new path with --model PATH
                """)
        }
        guard found.fingerprint == record.fingerprint else {
            let given = ModelRecord(found, name: Self.storedName(of: name))
            throw vectors.mismatch(stored: record, given: given)
        }
        return (found, Self.storedName(of: name))
    }

    /// Loads a model with the recorded options; those of the command line take precedence.
    ///
    /// - Parameters:
    ///   - record: The record of the model.
    ///   - name: The name or path of the model.
    ///   - common: The common options, for `--quiet`.
    /// - Returns: The model.
    /// - Throws: `HubError` if the name is unknown; `CLIPError` if the model cannot be loaded.
    func load(
        _ record: ModelRecord, from name: String, _ common: CommonOptions
    ) throws -> CLIPModel {
        var options = self
        options.model = name
        options.precision = precision ?? record.precision
        func load() throws -> CLIPModel {
            let model = try options.load(common)
            // Another model may not support the recorded resolution.
            guard resolution == nil, let stored = record.resolution,
                let other = try? model.at(resolution: stored),
                other.fingerprint == record.fingerprint
            else { return model }
            return other
        }
        do {
            return try load()
        } catch CLIPError.unknownActivation where activation == nil {
            // The first format stored no activation, but the fingerprint depends on it.
            for candidate in record.activation.map({ [$0] }) ?? Activation.allCases {
                options.activation = candidate
                let model = try load()
                if model.fingerprint == record.fingerprint { return model }
            }
            return try load()
        }
    }

    /// Returns the name or path from which the model of a record can be loaded.
    static func place(of record: ModelRecord, near vectors: StoredVectors) -> String {
        let name = record.name
        let files = FileManager.default
        guard name != BundledModel.name, !name.hasPrefix("/"), !files.fileExists(atPath: name)
        else { return name }
        // The first format stored relative paths, which usually start from a folder above the
        // vectors.
        return vectors.ancestors.map { "\($0)/\(name)" }.first(where: files.fileExists) ?? name
    }
}

/// Returns the absolute path of a file.
///
/// Symbolic links are resolved except for the last component, because files that belong to a model
/// lie beside the link.
func absolutePath(_ path: String) -> String {
    let whole = path.hasPrefix("/") ? path : "\(FileManager.default.currentDirectoryPath)/\(path)"
    let parts = whole.split(separator: "/")
    guard let last = parts.last, last != ".", last != ".." else {
        return URL(fileURLWithPath: whole).resolvingSymlinksInPath().path
    }
    let folder = "/" + parts.dropLast().joined(separator: "/")
    let resolved = URL(fileURLWithPath: folder).resolvingSymlinksInPath().path
    return resolved == "/" ? "/\(last)" : "\(resolved)/\(last)"
}
