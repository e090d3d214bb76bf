internal import CLIP
internal import Files

extension ModelHub {
    /// The place of a tokenizer on the hub.
    struct TokenizerSource: Equatable {
        let repository: HubRepository
        /// The names of the files, in order of preference; the first that exists is enough.
        let names: [String]
        /// True if it is an error that the repository has none of the files.
        let isRequired: Bool
        /// True if the first of the files is wanted even if another one is there, which the
        /// reference does not read.
        var prefersFirst = false
        /// True if `tokenizer_config.json` is wanted too, which tells whether transformers converts
        /// texts to lower case.
        var needsClass = false
    }

    /// A folder of the cache with the files of one commit of a repository.
    private struct Snapshot {
        let repository: HubRepository
        let commit: String
        let path: String
    }

    /// The vocabulary of weights, as their configuration states it.
    private struct Vocabulary {
        /// The number of token ids; 0 if it is not stated.
        let count: Int
        /// True if the configuration is that of transformers.
        let isOfTransformers: Bool
        /// True if the model keeps the aspect ratio of images; transformers then ignores the
        /// tokenizer's class.
        var keepsAspectRatio = false

        /// The place of the tokenizer in the repository of the weights.
        func source(in repository: HubRepository, isRequired: Bool) -> TokenizerSource {
            let kind = SentencePieceTokenizer.Format.Kind(tokenRows: count)
            let names = SentencePieceTokenizer.fileNames(
                kind, isOfTransformers ? .huggingFace : .openCLIP)
            let isOfSigLIP = kind == .siglip || kind == .siglipMultilingual
            return TokenizerSource(
                repository: repository, names: names, isRequired: isRequired,
                prefersFirst: isOfTransformers && isOfSigLIP,
                needsClass: isOfTransformers && kind == .siglip2 && !keepsAspectRatio)
        }
    }

    /// The name of the file with the tokenizer's class.
    private static let classFile = "tokenizer_config.json"
    /// The number of token ids of CLIP.
    private static let clipVocabulary = 49_408

    /// Returns the place of the tokenizer of the weights in a repository; nil if their vocabulary
    /// is CLIP's.
    ///
    /// If the registry does not have the repository, the configuration in the snapshot tells the
    /// vocabulary.
    func tokenizer(of repository: HubRepository, snapshot: String) -> TokenizerSource? {
        if let model = HubModel.inRepository(repository.name) {
            guard let files = model.tokenizer else { return nil }
            guard model.repository != repository.name else {
                return TokenizerSource(
                    repository: .model(files.repository), names: files.names, isRequired: true)
            }
            // The format of transformers: such a repository has its own tokenizer.
            let configuration = try? JSONValue(parsing: model.configuration)
            let count = configuration?["model_cfg"]?["text_cfg"]?["vocab_size"]?.integer
            return Vocabulary(count: count ?? 0, isOfTransformers: true)
                .source(in: repository, isRequired: true)
        }
        return vocabulary(of: snapshot)?.source(in: repository, isRequired: false)
    }

    /// Returns the vocabulary that the configuration in a snapshot states; nil if it is CLIP's, or
    /// if there is no configuration.
    private func vocabulary(of snapshot: String) -> Vocabulary? {
        func json(_ name: String) -> JSONValue? {
            guard
                let bytes = try? readFile(
                    path: "\(snapshot)/\(name)", limit: policy.largestConfiguration)
            else { return nil }
            return try? JSONValue(parsing: bytes)
        }
        if let model = json("open_clip_config.json")?["model_cfg"] {
            let text = model["text_cfg"]
            let count = text?["vocab_size"]?.integer ?? Self.clipVocabulary
            let isOwn = text?["hf_tokenizer_name"]?.string != nil
            return isOwn || count != Self.clipVocabulary
                ? Vocabulary(count: count, isOfTransformers: false) : nil
        }
        guard let model = json("config.json"), let text = model["text_config"] else { return nil }
        let type = model["model_type"]?.string ?? "clip"
        // The defaults of transformers.
        let defaults = ["clip": Self.clipVocabulary, "siglip": 32_000, "siglip2": 32_000]
        let count = text["vocab_size"]?.integer ?? defaults[type] ?? 0
        if type == "clip", count == Self.clipVocabulary { return nil }
        return Vocabulary(
            count: count, isOfTransformers: true, keepsAspectRatio: type == "siglip2")
    }

    /// Returns an installed model after its tokenizer was verified and, if it is missing or
    /// damaged, downloaded.
    ///
    /// Other libraries install weights without a tokenizer, or keep it in another repository.
    ///
    /// - Throws: `HubError.damaged` if the tokenizer is damaged and `HF_HUB_OFFLINE` forbids
    ///   downloads, and the errors of a download. A missing tokenizer is no error offline, because
    ///   images can be encoded without it.
    func withTokenizer(
        _ found: InstalledModel, _ progress: (DownloadProgress) -> Bool,
        isCancelled: @escaping () -> Bool
    ) throws(HubError) -> InstalledModel {
        guard let snapshot = snapshot(of: found),
            let source = tokenizer(of: snapshot.repository, snapshot: snapshot.path)
        else { return found }
        if isOffline {
            let classFile = source.needsClass ? "\(snapshot.path)/\(Self.classFile)" : nil
            for path in [source.path(in: snapshot.path), classFile].compactMap(\.self) {
                if let damage = try damage(ofLink: path) { throw damage }
            }
            return found
        }
        guard try !isComplete(source, snapshot) else { return found }
        return try withTransfer(progress, isCancelled: isCancelled) { transfer throws(HubError) in
            try fetchTokenizer(of: snapshot.repository, commit: snapshot.commit, transfer)
            var model = found
            model.filesWithoutChecksum = transfer.filesWithoutChecksum
            return model
        }
    }

    /// Returns the snapshot of an installed model; nil if the weights are not in a snapshot.
    private func snapshot(of found: InstalledModel) -> Snapshot? {
        let path =
            isDirectory(found.path) ? found.path : String(folder(of: found.path).dropLast())
        let model = HubModel.named(found.name)
        let names = [
            model?.repository ?? Self.repository(found.name), model?.transformersRepository,
        ]
        for name in names.compactMap(\.self) {
            let repository = HubRepository.model(name)
            let commit = String(path.split(separator: "/").last ?? "")
            if cache.snapshot(commit, of: repository) == path {
                return Snapshot(repository: repository, commit: commit, path: path)
            }
        }
        return nil
    }

    /// Downloads the tokenizer of the weights in a repository into their snapshot, unless a valid
    /// one is there or the vocabulary is CLIP's.
    ///
    /// - Throws: `HubError.noTokenizer` if the registry has the repository and the hub has none of
    ///   the files; otherwise the errors of a download.
    func fetchTokenizer(
        of repository: HubRepository, commit: String, _ transfer: Transfer
    ) throws(HubError) {
        let path = cache.snapshot(commit, of: repository)
        guard let source = tokenizer(of: repository, snapshot: path) else { return }
        let snapshot = Snapshot(repository: repository, commit: commit, path: path)
        // First, so that a snapshot with a tokenizer has its class.
        if source.needsClass {
            _ = try fetch(
                Self.classFile, of: source, into: snapshot, limit: policy.largestConfiguration,
                transfer)
        }
        if !source.prefersFirst, let file = source.path(in: path),
            try damage(ofLink: file) == nil
        {
            return
        }
        for name in source.names {
            let isThere = try fetch(
                name, of: source, into: snapshot, limit: policy.largestTokenizer, transfer)
            if isThere { return }
        }
        guard !source.isRequired else {
            throw .noTokenizer(
                url: "\(server.endpoint)/\(source.repository.path)", files: source.names)
        }
    }

    /// Downloads a file into a snapshot, unless a valid one is there; returns false if the
    /// repository has no such file.
    ///
    /// That it has none is recorded, so that it is not asked again.
    private func fetch(
        _ name: String, of source: TokenizerSource, into snapshot: Snapshot, limit: Int,
        _ transfer: Transfer
    ) throws(HubError) -> Bool {
        let link = "\(snapshot.path)/\(name)"
        if fileExists(link), try damage(ofLink: link) == nil { return true }
        // A required file is asked for again each time, because its absence is an error.
        let isOptional =
            !source.isRequired || name == Self.classFile
            || (source.prefersFirst && name == source.names.first)
        if isOptional,
            cache.isAbsent(name, commit: snapshot.commit, of: snapshot.repository)
        {
            return false
        }
        guard
            let file = try server.describe(
                name, of: source.repository, isCancelled: transfer.isCancelled)
        else {
            cache.recordAbsence(of: name, commit: snapshot.commit, of: snapshot.repository)
            return false
        }
        // The file may come from another repository, so it is stored as one of the weights'
        // commit. The commit of the main branch stays as it is until the weights are linked.
        let stored = file.inCommit(snapshot.commit)
        let place = try fetch(
            stored, of: snapshot.repository, isLinked: false, limit: limit, transfer)
        try cache.link(stored, as: place.snapshot)
        return true
    }

    /// Returns true if a snapshot has the tokenizer, undamaged, and all that can be had with it.
    private func isComplete(
        _ source: TokenizerSource, _ snapshot: Snapshot
    ) throws(HubError) -> Bool {
        func isKnown(_ name: String) throws(HubError) -> Bool {
            let path = "\(snapshot.path)/\(name)"
            if fileExists(path) { return try damage(ofLink: path) == nil }
            return cache.isAbsent(name, commit: snapshot.commit, of: snapshot.repository)
        }
        if source.needsClass, try !isKnown(Self.classFile) { return false }
        if source.prefersFirst, let first = source.names.first, try !isKnown(first) { return false }
        if let path = source.path(in: snapshot.path) { return try damage(ofLink: path) == nil }
        for name in source.names where try !isKnown(name) { return false }
        return !source.isRequired
    }
}

extension HubCache {
    /// Returns true if a repository was found to have no file of this name beside a commit.
    fileprivate func isAbsent(_ name: String, commit: String, of repository: HubRepository) -> Bool
    {
        fileExists(absence(of: name, commit: commit, of: repository))
    }

    /// Records that a repository has no file of this name, for one commit; errors are ignored.
    fileprivate func recordAbsence(
        of name: String, commit: String, of repository: HubRepository
    ) {
        let path = absence(of: name, commit: commit, of: repository)
        try? makeFolder(String(Files.folder(of: path).dropLast()))
        try? writeFile([], to: path)
    }

    private func absence(
        of name: String, commit: String, of repository: HubRepository
    ) -> String {
        let folder = folder(of: repository).split(separator: "/").last ?? ""
        return "\(official)/absent/\(folder)/\(commit)/\(name)"
    }
}

extension ModelHub.TokenizerSource {
    /// Returns the path of the first of the files that a snapshot has; nil if it has none.
    fileprivate func path(in snapshot: String) -> String? {
        names.lazy.map { "\(snapshot)/\($0)" }.first(where: fileExists)
    }
}
