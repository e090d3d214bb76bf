internal import CLIPHub
internal import Files

/// The names of models in requests.
///
/// A name in a request is looked up in tables and never used as a path.
struct ModelNames: Sendable {
    /// A model that a name means.
    struct Model: Sendable, Hashable {
        /// The text that identifies the model: the same for all of its names.
        var key: String { variant.map { "\(base) \($0)" } ?? base }
        /// The part of `key` that does not depend on the variant.
        private let base: String
        /// The name by which the model is loaded.
        let loadName: String
        /// The name in responses, which is never the path of a folder.
        let name: String
        /// True if the operator of the server named the model.
        var isServed = false
        /// The way in which the model runs; nil for that of the server's options.
        var variant: Variant?

        init(key: String, loadName: String, name: String, isServed: Bool = false) {
            (base, self.loadName, self.name) = (key, loadName, name)
            self.isServed = isServed
        }
    }

    /// The models of `ServerOptions.models`, in order.
    let served: [Model]
    private let byName: [String: Model]

    /// Makes the table of the names that the operator of the server gave.
    init(served names: [String]) {
        var models: [Model] = []
        var byName: [String: Model] = [:]
        for name in names {
            var model = Self.trusted(name)
            // Other folders may have the same name. Clients never see the paths that tell them
            // apart, but numbers.
            let (last, key) = (model.name, model.key)
            var number = 1
            while let other = byName[model.name], other.key != key {
                number += 1
                model = Model(
                    key: key, loadName: model.loadName, name: "\(last) (\(number))",
                    isServed: true)
            }
            if !models.contains(where: { $0.key == model.key }) { models.append(model) }
            let first = models.first { $0.key == model.key } ?? model
            for spelling in [name, model.name] where byName[spelling] == nil {
                byName[spelling] = first
            }
        }
        (self.served, self.byName) = (models, byName)
    }

    /// Returns the model of a name that the operator gave, which may be a path.
    ///
    /// As on the command line, an existing file or folder takes precedence over names.
    static func trusted(_ name: String) -> Model {
        if fileExists(name) || isDirectory(name) {
            let last = name.split(separator: "/").last.map(String.init) ?? name
            return Model(key: "path \(name)", loadName: name, name: last, isServed: true)
        }
        let known = known(name)
        return Model(
            key: known?.key ?? name, loadName: known?.loadName ?? name, name: name, isServed: true)
    }

    /// Returns the model that a name in a request means; nil if it is unknown.
    ///
    /// - Parameters:
    ///   - name: The name in the request.
    ///   - installed: The names of installed models, which need not be in the registry.
    /// - Returns: The model.
    func model(_ name: String, installed: @autoclosure () -> [String]) -> Model? {
        if let model = byName[name] { return model }
        // No name in the registry is as long.
        guard name.utf8.count <= 200 else { return nil }
        if let known = Self.known(name) {
            return served.first { $0.key == known.key } ?? known
        }
        // A repository that the registry does not have.
        return installed().contains(name) && !name.contains("..")
            ? Model(key: name, loadName: name, name: name) : nil
    }

    /// Returns the model of the registry that a name means in any known spelling; nil if there is
    /// none.
    ///
    /// The spellings are OpenAI's `ViT-B/32`, open_clip's `ViT-B-32:openai` and `ViT-B-32/openai`,
    /// immich's `ViT-B-32__openai`, and repositories.
    static func known(_ name: String) -> Model? {
        if let model = HubModel.named(name) ?? spellings[folded(name)] {
            return Model(key: model.name, loadName: model.name, name: model.name)
        }
        guard let model = HubModel.inRepository(name) else { return nil }
        let prefix = "hf-hub:"
        let repository = name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name
        // If a model has its own vocabulary, its repository in the format of transformers gives
        // other embeddings: texts and images are preprocessed by other rules.
        guard model.tokenizer == nil || model.repository == repository else {
            return Model(key: repository, loadName: repository, name: repository)
        }
        return Model(key: model.name, loadName: model.name, name: model.name)
    }

    /// The models of the registry by `architecture:tag`, folded.
    static let spellings: [String: HubModel] = {
        var models: [String: HubModel] = [:]
        for model in HubModel.all {
            for name in [model.name] + model.aliases where name.contains(":") {
                models[folded(name)] = model
            }
        }
        return models
    }()

    /// Returns a name in lower case, with a colon before the tag and dashes instead of underscores:
    /// immich writes `ViT-B-32__laion2b-s34b-b79k`, open_clip `ViT-B-32:laion2b_s34b_b79k`.
    static func folded(_ name: String) -> String {
        name.lowercased().replacing("__", with: ":").replacing("/", with: ":")
            .replacing("_", with: "-")
    }

    /// Returns up to three names that are similar to an unknown one.
    static func similar(to name: String) -> [String] {
        // The time of the comparison grows with the length of the name.
        name.utf8.count <= 64 ? HubModel.similar(to: name) : []
    }
}

extension Server {
    /// Returns the name of the registry for a name in any spelling that requests may have, such as
    /// immich's `ViT-B-32__openai`; nil for unknown names.
    package static func registryName(ofModel name: String) -> String? {
        ModelNames.known(name)?.loadName
    }
}
