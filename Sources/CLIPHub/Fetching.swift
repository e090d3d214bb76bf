internal import Files
internal import CLIP

extension ModelHub {
    /// Downloads the weights of a model, unless they are installed, and returns their location.
    ///
    /// If the model has a vocabulary of its own (`HubModel.tokenizer`), the file of its tokenizer
    /// is downloaded too, into the folder of the weights. It is also downloaded if only the weights
    /// are installed. For a repository that is not in the registry, this holds if its configuration
    /// states another vocabulary than CLIP's and the repository has a tokenizer file.
    ///
    /// The call blocks its thread. If several tasks or processes fetch the same files at once, one
    /// downloads and the others wait for it. A download stops soon after its task is cancelled or
    /// `progress` returns false; the received part is kept, and a later call resumes there.
    ///
    /// A file gets its final name only after its size and its SHA-256 or git SHA-1 have been
    /// verified, as far as they are known. The hub states a checksum for each file;
    /// `filesWithoutChecksum` lists the files for which a server did not. An installed file whose
    /// checksum is known is verified when this method first finds it, and fetched again if the
    /// checksum is wrong.
    ///
    /// - Parameters:
    ///   - name: The name of a model in the registry, or of a repository on the hub.
    ///   - official: True for OpenAI's own `.pt` file; false for any installed weights of the model
    ///     or, if there are none, the hub's file, in safetensors if there is one.
    ///   - progress: Called on the caller's thread for each received piece, and several times a
    ///     second while a response pauses or another call downloads the file; returns false to
    ///     stop.
    /// - Returns: The location of the weights.
    /// - Throws: `HubError`. A failed download leaves no incomplete file under its final name.
    public func fetch(
        _ name: String, official: Bool = false,
        progress: (DownloadProgress) -> Bool = { _ in true }
    ) throws(HubError) -> InstalledModel {
        try fetch(name, official, progress) { Task.isCancelled }
    }

    /// Downloads the weights of a model without blocking the caller's thread.
    ///
    /// ```swift
    /// let model = try await ModelHub().fetch("ViT-B/32").load()
    /// ```
    ///
    /// Files are verified as in the synchronous method. A cancelled call ends within a fraction of
    /// a second, or as soon as the checksum that it is computing is complete. The received part of
    /// a file is kept, and a later call resumes there.
    ///
    /// - Parameters:
    ///   - name: The name of a model in the registry, or of a repository on the hub.
    ///   - official: True for OpenAI's own `.pt` file; false for any installed weights of the model
    ///     or, if there are none, the hub's file, in safetensors if there is one.
    ///   - progress: Called on another thread for each received piece, and several times a second
    ///     while a response pauses or another call downloads the file; returns false to stop.
    /// - Returns: The location of the weights.
    /// - Throws: `CancellationError` if the task is cancelled, `HubError.cancelled` if `progress`
    ///   returned false, any other `HubError`, and `CLIPError.noThread` if no thread can be
    ///   created.
    public func fetch(
        _ name: String, official: Bool = false,
        progress: @escaping @Sendable (DownloadProgress) -> Bool = { _ in true }
    ) async throws -> InstalledModel {
        try await Self.threads.run { cancellation in
            do throws(HubError) {
                return try fetch(name, official, progress) { cancellation.isCancelled }
            } catch {
                if case .cancelled = error { try cancellation.check() }
                throw error
            }
        }
    }

    /// The threads of asynchronous calls, which mostly wait for the network.
    static let threads = CallThreads(atMost: 16)

    private func fetch(
        _ name: String, _ official: Bool, _ progress: (DownloadProgress) -> Bool,
        isCancelled: @escaping () -> Bool
    ) throws(HubError) -> InstalledModel {
        let file = official ? try Self.officialFile(of: name) : nil
        if let file, isOffline { return try installed(file, of: name) }
        if !official, let found = try find(name) {
            guard let damage = try damage(of: found) else {
                return try withTokenizer(found, progress, isCancelled: isCancelled)
            }
            guard !isOffline else { throw damage }
        }
        guard !isOffline else { throw .offline(name: name) }
        return try withTransfer(progress, isCancelled: isCancelled) { transfer throws(HubError) in
            var model = try fetch(name, officialFile: file, transfer)
            model.filesWithoutChecksum = transfer.filesWithoutChecksum
            return model
        }
    }

    /// Runs the downloads of a call, which stop once `progress` returns false.
    func withTransfer<Result>(
        _ progress: (DownloadProgress) -> Bool, isCancelled: @escaping () -> Bool,
        _ body: (Transfer) throws(HubError) -> Result
    ) throws(HubError) -> Result {
        try withoutActuallyEscaping(progress) { progress throws(HubError) in
            var isStopped = false
            return try body(
                Transfer(
                    isCancelled: { isStopped || isCancelled() },
                    report: { if !progress($0) { isStopped = true } }))
        }
    }

    /// The state of one call of `fetch` or `fetchDataset`, used only on the thread of that call.
    final class Transfer {
        let isCancelled: () -> Bool
        let report: (DownloadProgress) -> Void
        var filesWithoutChecksum: [String] = []

        init(
            isCancelled: @escaping () -> Bool, report: @escaping (DownloadProgress) -> Void
        ) {
            (self.isCancelled, self.report) = (isCancelled, report)
        }
    }

    /// Returns OpenAI's own file of a model.
    ///
    /// - Throws: `HubError.unknownModel`, with those of OpenAI's names that are similar, or with
    ///   all of them if none is.
    private static func officialFile(of name: String) throws(HubError) -> HubModel.OfficialFile {
        if let file = HubModel.named(name)?.official { return file }
        let names = OfficialModel.allCases.map(\.rawValue)
        let similar = HubModel.similar(to: name).filter(names.contains)
        throw .unknownModel(
            name: "\(name) (OpenAI's file)", similar: similar.isEmpty ? names : similar)
    }

    private func fetch(
        _ name: String, officialFile file: HubModel.OfficialFile?, _ transfer: Transfer
    ) throws(HubError) -> InstalledModel {
        guard let model = HubModel.named(name) else {
            return try fetch(repository: .model(Self.repository(name)), transfer)
        }
        if let file {
            let path = try fetch(file, transfer)
            return installed(name: name, path: path, known: model.name)
        }
        let repository = HubRepository.model(model.repository)
        let isOpenCLIP = model.repository != model.transformersRepository
        let file = try server.describe(
            anyOf: isOpenCLIP ? Self.openCLIPNames : Self.transformersNames, of: repository,
            isCancelled: transfer.isCancelled)
        try fetchTokenizer(of: repository, commit: file.commit, transfer)
        let path = try fetch(file, of: repository, transfer).snapshot
        return installed(name: name, path: path, known: model.name)
    }

    // MARK: Installed files

    /// Verifies OpenAI's own file on this machine, without the network.
    ///
    /// - Throws: `HubError.offlineOfficial` if there is no such file, `.damaged` if its checksum is
    ///   wrong.
    private func installed(
        _ file: HubModel.OfficialFile, of name: String
    ) throws(HubError) -> InstalledModel {
        let path = "\(cache.official)/\(file.file)"
        guard fileExists(path) else { throw .offlineOfficial(name: name, file: file.file) }
        if let damage = try damage(of: path, .sha256(file.sha256.lowercased())) { throw damage }
        return installed(name: name, path: path, known: HubModel.named(name)?.name)
    }

    /// Verifies the files of an installed model whose checksums are known, and returns the error of
    /// the first file that is damaged; nil if none is.
    ///
    /// This is needed because OpenAI's own package leaves incomplete files under their final name,
    /// and because other users may write into a shared cache. Each file is read only once.
    private func damage(of found: InstalledModel) throws(HubError) -> HubError? {
        if let file = found.known.flatMap(HubModel.named)?.official,
            found.path == "\(cache.official)/\(file.file)"
        {
            return try damage(of: found.path, .sha256(file.sha256.lowercased()))
        }
        guard isDirectory(found.path) else { return try damage(ofLink: found.path) }
        let kind = Self.kinds.first { fileExists("\(found.path)/\($0.weights)") }
        for name in kind.map({ [$0.weights] + $0.beside }) ?? [] {
            if let damage = try damage(ofLink: "\(found.path)/\(name)") { return damage }
        }
        guard let index = kind?.weights, index.hasSuffix(".index.json") else { return nil }
        for name in (try? shards(of: "\(found.path)/\(index)")) ?? [] {
            if let damage = try damage(ofLink: "\(found.path)/\(name)") { return damage }
        }
        return nil
    }

    /// Verifies a file of a snapshot, which is a link to a blob whose name is its checksum.
    ///
    /// A file that is no such link has no known checksum, and counts as undamaged.
    func damage(ofLink path: String) throws(HubError) -> HubError? {
        guard let blob = linkTarget(path)?.split(separator: "/").last,
            let checksum = Checksum(etag: String(blob)), fileExists(path)
        else { return nil }
        return try damage(of: path, checksum)
    }

    private func damage(of path: String, _ checksum: Checksum) throws(HubError) -> HubError? {
        try cache.verified.mismatch(of: path, checksum).map {
            .damaged(path: path, expected: checksum.digits, found: $0)
        }
    }

    // MARK: Downloads

    /// Downloads OpenAI's own file into `home` and returns its path.
    private func fetch(
        _ file: HubModel.OfficialFile, _ transfer: Transfer
    ) throws(HubError) -> String {
        guard let base = officialEndpoint,
            let address = WebAddress("\(base.url)/\(file.sha256)/\(file.file)")
        else {
            throw .badRedirect(
                url: "CLIP_OPENAI_ENDPOINT",
                reason: "the value of this environment variable is not an http or https URL")
        }
        try makeFolder(cache.official)
        let path = "\(cache.official)/\(file.file)"
        try Download(
            name: file.file, address: address, credentials: [], destination: path,
            partial: path + ".incomplete", lock: path + ".lock", size: nil,
            checksum: .sha256(file.sha256.lowercased()),
            limit: (file.megabytes + 1) * 1_000_000, verified: cache.verified,
            policy: server.policy, certificates: server.certificates,
            isCancelled: transfer.isCancelled, report: transfer.report
        ).run()
        return path
    }

    /// Downloads the weights of a repository, their configuration and their tokenizer into one
    /// snapshot.
    ///
    /// The weights are last, so that a snapshot with weights is complete.
    private func fetch(
        repository: HubRepository, _ transfer: Transfer
    ) throws(HubError) -> InstalledModel {
        let weights = try server.describe(
            anyOf: Self.kinds.map(\.weights), of: repository, isCancelled: transfer.isCancelled)
        for name in Self.kinds.first(where: { $0.weights == weights.name })?.beside ?? [] {
            if let file = try server.describe(
                name, of: repository, isCancelled: transfer.isCancelled)
            {
                _ = try fetch(file, of: repository, isConfiguration: true, transfer)
            }
        }
        try fetchTokenizer(of: repository, commit: weights.commit, transfer)
        let isIndex = weights.name.hasSuffix(".index.json")
        let place = try fetch(
            weights, of: repository, isConfiguration: isIndex, isLinked: !isIndex, transfer)
        if isIndex {
            for name in try shards(of: place.blob) {
                let shard = try server.describe(
                    anyOf: [name], of: repository, isCancelled: transfer.isCancelled)
                _ = try fetch(shard, of: repository, transfer)
            }
            // The index is linked last, so that a snapshot with an index is complete.
            try cache.link(weights, of: repository, as: place.snapshot)
        }
        return installed(
            name: repository.name, path: String(folder(of: place.snapshot).dropLast()),
            known: HubModel.configured(inRepository: repository.name)?.name)
    }

    /// Returns the names of the weight files that an index lists, sorted, except names that contain
    /// a slash or begin with a dot.
    private func shards(of index: String) throws(HubError) -> [String] {
        let names: Set<String>
        do {
            let json = try JSONValue(
                parsing: readFile(path: index, limit: policy.largestConfiguration))
            names = Set((json["weight_map"]?.members ?? []).compactMap(\.value.string))
        } catch {
            throw .unreachable(url: index, reason: "it is not a JSON index of weight files")
        }
        guard names.count <= 1000 else {
            throw .malformed(
                url: index,
                reason: "too many weight files: expected at most 1000, found \(names.count)")
        }
        return names.filter { !$0.contains("/") && !$0.hasPrefix(".") }.sorted()
    }

    /// Downloads a file of a repository and, if `isLinked` is true, links it into the snapshot of
    /// its commit.
    ///
    /// `limit` is the largest accepted size in bytes; that of a configuration has its own limit.
    ///
    /// Returns the path of the blob, and the path for its link.
    func fetch(
        _ file: RemoteFile, of repository: HubRepository, isConfiguration: Bool = false,
        isLinked: Bool = true, limit: Int? = nil, _ transfer: Transfer
    ) throws(HubError) -> (blob: String, snapshot: String) {
        let place = try cache.place(for: file, of: repository)
        try Download(
            name: file.name, address: file.address, credentials: server.credentials,
            destination: place.blob, partial: place.blob + ".incomplete", lock: place.lock,
            size: file.size, checksum: file.checksum,
            limit: isConfiguration ? policy.largestConfiguration : limit,
            verified: cache.verified,
            policy: server.policy, certificates: server.certificates,
            isCancelled: transfer.isCancelled, report: transfer.report
        ).run { () throws(HubError) in
            if isLinked { try cache.link(file, of: repository, as: place.snapshot) }
        }
        if file.checksum == nil { transfer.filesWithoutChecksum.append(file.name) }
        return (place.blob, place.snapshot)
    }
}
