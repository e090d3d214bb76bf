internal import Files

extension ModelHub {
    /// The place of a tokenizer on the hub.
    struct TokenizerSource: Equatable {
        let repository: HubRepository
        /// The names of the files, in order of preference; the first that exists is enough.
        let names: [String]
        /// True if it is an error that the repository has none of the files.
        let isRequired: Bool
    }

    /// A folder of the cache with the files of one commit of a repository.
    private struct Snapshot {
        let repository: HubRepository
        let commit: String
        let path: String
    }

    /// The names of tokenizer files, in order of preference.
    ///
    /// transformers reads `tokenizer.json` if there is one, and the SentencePiece models of some
    /// repositories give other ids.
    static let tokenizerNames = [
        "tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model",
    ]
    /// The numbers of token ids of CLIP and of Gemma.
    private static let (clipVocabulary, gemmaVocabulary) = (49_408, 256_000)

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
            let others = Self.tokenizerNames.filter { !files.names.contains($0) }
            return TokenizerSource(
                repository: repository, names: files.names + others, isRequired: true)
        }
        guard let count = vocabulary(of: snapshot) else { return nil }
        // Both of Gemma's files give the same ids, and tokenizer.json is eight times as large.
        let first = count == Self.gemmaVocabulary ? ["tokenizer.model"] : []
        return TokenizerSource(
            repository: repository,
            names: first + Self.tokenizerNames.filter { !first.contains($0) }, isRequired: false)
    }

    /// Returns the number of token ids that the configuration in a snapshot states, or 0 if it
    /// states none; nil if the vocabulary is CLIP's, or if there is no configuration.
    private func vocabulary(of snapshot: String) -> Int? {
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
            return isOwn || count != Self.clipVocabulary ? count : nil
        }
        guard let model = json("config.json"), let text = model["text_config"] else { return nil }
        let isCLIP = model["model_type"]?.string ?? "clip" == "clip"
        let count = text["vocab_size"]?.integer ?? (isCLIP ? Self.clipVocabulary : 0)
        return isCLIP && count == Self.clipVocabulary ? nil : count
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
        if let path = source.path(in: snapshot.path) {
            guard let damage = try damage(ofLink: path) else { return found }
            guard !isOffline else { throw damage }
        }
        guard !isOffline else { return found }
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
        let snapshot = cache.snapshot(commit, of: repository)
        guard let source = tokenizer(of: repository, snapshot: snapshot) else { return }
        if let path = source.path(in: snapshot), try damage(ofLink: path) == nil { return }
        for name in source.names {
            guard
                let file = try server.describe(
                    name, of: source.repository, isCancelled: transfer.isCancelled)
            else { continue }
            // The file may come from another repository, so it is stored as one of the weights'
            // commit. The commit of the main branch stays as it is until the weights are linked.
            let stored = file.inCommit(commit)
            let place = try fetch(
                stored, of: repository, isLinked: false, limit: policy.largestTokenizer, transfer)
            return try cache.link(stored, as: place.snapshot)
        }
        guard !source.isRequired else {
            throw .noTokenizer(
                url: "\(server.endpoint)/\(source.repository.path)", files: source.names)
        }
    }
}

extension ModelHub.TokenizerSource {
    /// Returns the path of the first of the files that a snapshot has; nil if it has none.
    fileprivate func path(in snapshot: String) -> String? {
        names.lazy.map { "\(snapshot)/\($0)" }.first(where: fileExists)
    }
}
