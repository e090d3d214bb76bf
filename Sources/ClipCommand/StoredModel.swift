import Files
import CLIP
import CLIPHub
import CLIPSearch

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Vectors on disk that came with the record of their model.
enum StoredVectors {
    case index(of: FilePath)
    case npy(FilePath)

    /// The words for them in messages.
    var words: String {
        switch self {
        case .index(let folder): "the index of \(folder)"
        case .npy(let path): "\(path)"
        }
    }

    fileprivate func mismatch(stored: ModelRecord, given: ModelRecord) -> any Error {
        let names = stored.names(comparedTo: given)
        switch self {
        case .index(let folder):
            return IndexError.otherModel(
                folder: folder.description, stored: names.own, given: names.other)
        case .npy(let path):
            return Failure(
                """
                the vectors in \(path) were made with \(names.own), and vectors of \(names.other) cannot be \
                compared with them: leave --model and its options out, or encode the images again
                """)
        }
    }

    /// The folders that a relative path of the first format may start from, the likeliest first.
    fileprivate var ancestors: [String] {
        let path =
            switch self {
            case .index(let folder): folder
            case .npy(let path): path
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
    /// The name under which stored vectors speak of the model: the absolute path of a file or folder, any other
    /// name as it is.
    static func storedName(of name: String) -> String {
        guard name != BundledModel.name, FileManager.default.fileExists(atPath: name) else {
            return name
        }
        return absolutePath(name)
    }

    /// Loads the model that made stored vectors.
    ///
    /// `CLIP_MODEL` is only a default, and yields to the record. `--model` may name another place of the same
    /// weights. The precision is the record's, unless other vectors are to be added to these.
    ///
    /// - Throws: `IndexError.otherModel` or `Failure` if another model is given.
    /// - Returns: the model, and the name that finds it again.
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
                \(vectors.words) was made with the model \(record.name), which is not there any more: if it \
                was moved, give its new place with --model PATH
                """)
        }
        guard found.fingerprint == record.fingerprint else {
            let given = ModelRecord(found, name: Self.storedName(of: name))
            throw vectors.mismatch(stored: record, given: given)
        }
        return (found, Self.storedName(of: name))
    }

    /// Loads a model with the options of a record, where no others are given.
    ///
    /// - Parameter name: the name or path of the model.
    func load(
        _ record: ModelRecord, from name: String, _ common: CommonOptions
    ) throws -> CLIPModel {
        var options = self
        options.model = name
        options.precision = precision ?? record.precision
        func load() throws -> CLIPModel {
            let model = try options.load(common)
            // Another model may not be made for the record's size.
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

    /// The name or path that a record's model is loaded by.
    static func place(of record: ModelRecord, near vectors: StoredVectors) -> String {
        let name = record.name
        let files = FileManager.default
        guard name != BundledModel.name, !name.hasPrefix("/"), !files.fileExists(atPath: name)
        else { return name }
        // A relative path, as the first format stored it, starts from a folder above the vectors,
        // as a rule.
        return vectors.ancestors.map { "\($0)/\(name)" }.first(where: files.fileExists) ?? name
    }
}

/// A path that leads to the same file from every folder.
///
/// Links on the way are resolved, but not the last name: what lies beside a link belongs to it.
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
