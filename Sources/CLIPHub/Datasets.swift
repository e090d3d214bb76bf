internal import Files
internal import CLIP

extension ModelHub {
    /// Downloads a split of a data set, unless it is on this machine, and returns the path of its
    /// folder.
    ///
    /// The folder has the WebDataset layout of CLIP_benchmark: `classnames.txt`,
    /// `zeroshot_classification_templates.txt` and `dataset_type.txt`, as far as the repository has
    /// them, and a folder for the split with `nshards.txt` and the archives. A data set that is not
    /// for retrieval needs `classnames.txt`, unless `requiresClassNames` is false.
    ///
    /// The call blocks its thread. Files are verified, cached, shared and resumed as in `fetch`.
    ///
    /// - Parameters:
    ///   - name: The name of the data set in CLIP_benchmark, such as `wds/imagenetv2` or
    ///     `wds/vtab/cifar10`, or of a dataset repository, `owner/name`.
    ///   - split: The name of the split.
    ///   - requiresClassNames: False if the class names are known from elsewhere; then
    ///     `classnames.txt` may be missing.
    ///   - progress: Called on the caller's thread for each received piece, and every 0.2 seconds
    ///     while no bytes arrive or another call downloads the file; returns false to stop.
    /// - Returns: The path of the folder that contains the folder of the split.
    /// - Throws: `HubError`. A failed download leaves no incomplete file under its final name.
    public func fetchDataset(
        _ name: String, split: String = "test", requiresClassNames: Bool = true,
        progress: (DownloadProgress) -> Bool = { _ in true }
    ) throws(HubError) -> String {
        try fetchDataset(name, split, requiresClassNames, progress) { Task.isCancelled }
    }

    /// Downloads a split of a data set without blocking the caller's thread.
    ///
    /// ```swift
    /// let folder = try await ModelHub().fetchDataset("wds/imagenetv2")
    /// ```
    ///
    /// The result is that of the synchronous method. A cancelled call ends within a fraction of a
    /// second, or as soon as the checksum that it is computing is complete.
    ///
    /// - Parameters:
    ///   - name: The name of the data set in CLIP_benchmark, such as `wds/imagenetv2` or
    ///     `wds/vtab/cifar10`, or of a dataset repository, `owner/name`.
    ///   - split: The name of the split.
    ///   - requiresClassNames: False if the class names are known from elsewhere; then
    ///     `classnames.txt` may be missing.
    ///   - progress: Called on another thread for each received piece, and every 0.2 seconds while
    ///     no bytes arrive or another call downloads the file; returns false to stop.
    /// - Returns: The path of the folder that contains the folder of the split.
    /// - Throws: `CancellationError` if the task is cancelled, `HubError.cancelled` if `progress`
    ///   returned false, any other `HubError`, and `CLIPError.noThread`.
    public func fetchDataset(
        _ name: String, split: String = "test", requiresClassNames: Bool = true,
        progress: @escaping @Sendable (DownloadProgress) -> Bool = { _ in true }
    ) async throws -> String {
        try await Self.threads.run { cancellation in
            do throws(HubError) {
                return try fetchDataset(name, split, requiresClassNames, progress) {
                    cancellation.isCancelled
                }
            } catch {
                if case .cancelled = error { try cancellation.check() }
                throw error
            }
        }
    }

    /// Returns the folder of a data set whose split is complete on this machine; nil if there is
    /// none.
    ///
    /// Nothing is downloaded or verified.
    ///
    /// - Parameters:
    ///   - name: Any name that `fetchDataset` accepts.
    ///   - split: The name of the split.
    /// - Returns: The path of the folder that contains the folder of the split, or nil.
    /// - Throws: `HubError.unknownDataset` if the name or the split is invalid.
    public func findDataset(_ name: String, split: String = "test") throws(HubError) -> String? {
        let repository = try Self.datasetRepository(name, split)
        return cache.snapshots(of: repository).first { Self.isComplete($0, split) }
    }

    // MARK: Names and files

    /// Returns the repository of a data set; a slash at the end of its name is ignored.
    ///
    /// - Throws: `HubError.unknownDataset` if the name or the split is invalid.
    static func datasetRepository(
        _ name: String, _ split: String
    ) throws(HubError) -> HubRepository {
        let prefix = "wds/"
        let isShort = name.hasPrefix(prefix)
        let whole = name.hasSuffix("/") ? name.dropLast() : name[...]
        let parts = whole.dropFirst(isShort ? prefix.count : 0)
            .split(separator: "/", omittingEmptySubsequences: false)
        let repository =
            isShort ? "clip-benchmark/wds_" + parts.joined(separator: "-") : String(whole)
        guard HubRepository.isName(repository), parts.allSatisfy(HubRepository.isPart),
            HubRepository.isPart(split[...])
        else { throw .unknownDataset(name: name, split: split) }
        return .dataset(repository)
    }

    private static let classNamesFile = "classnames.txt"
    /// The files that describe a data set, beside the folders of its splits.
    private static let descriptions = [
        "dataset_type.txt", classNamesFile, "zeroshot_classification_templates.txt",
    ]

    private static func countFile(_ split: String) -> String {
        "\(split)/\(ArchiveCount.fileName)"
    }

    private static func archive(_ index: Int, _ split: String) -> String { "\(split)/\(index).tar" }

    /// Returns the number of archives that a file states; nil if there is no valid file.
    private static func archiveCount(_ path: String) -> Int? {
        guard let bytes = try? readFile(path: path, limit: 1 << 10) else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        guard let count = byteCount(text[...].trimmed), ArchiveCount.range.contains(count) else {
            return nil
        }
        return count
    }

    /// Returns true if a snapshot has all archives of a split.
    private static func isComplete(_ snapshot: String, _ split: String) -> Bool {
        guard let count = archiveCount("\(snapshot)/\(countFile(split))") else { return false }
        return (0..<count).allSatisfy { fileExists("\(snapshot)/\(archive($0, split))") }
    }

    /// Verifies a data set on this machine and returns the error of the first file whose checksum
    /// is wrong; nil if there is none.
    ///
    /// Files without a known checksum are not verified.
    private func damage(ofDataset snapshot: String, _ split: String) throws(HubError) -> HubError? {
        let count = Self.archiveCount("\(snapshot)/\(Self.countFile(split))") ?? 0
        let archives = (0..<count).lazy.map { Self.archive($0, split) }
        for name in Self.descriptions + [Self.countFile(split)] {
            if let damage = try damage(ofLink: "\(snapshot)/\(name)") { return damage }
        }
        for name in archives {
            if let damage = try damage(ofLink: "\(snapshot)/\(name)") { return damage }
        }
        return nil
    }

    // MARK: Downloads

    private func fetchDataset(
        _ name: String, _ split: String, _ requiresClassNames: Bool,
        _ progress: (DownloadProgress) -> Bool, isCancelled: @escaping () -> Bool
    ) throws(HubError) -> String {
        let repository = try Self.datasetRepository(name, split)
        if let found = try findDataset(name, split: split) {
            guard let damage = try damage(ofDataset: found, split) else { return found }
            guard !isOffline else { throw damage }
        }
        guard !isOffline else { throw .offlineDataset(name: name, split: split) }
        do throws(HubError) {
            return try withTransfer(progress, isCancelled: isCancelled) {
                transfer throws(HubError) in
                try fetch(dataset: repository, split, requiresClassNames, transfer)
            }
        } catch {
            guard case .refused(let url, let status, let hasToken) = error else { throw error }
            throw .refusedDataset(url: url, status: status, hasToken: hasToken)
        }
    }

    /// Downloads the descriptions and the archives of a split into one snapshot.
    private func fetch(
        dataset repository: HubRepository, _ split: String, _ requiresClassNames: Bool,
        _ transfer: Transfer
    ) throws(HubError) -> String {
        let number = try describe(Self.countFile(split), of: repository, nil, transfer)
        try fetchDescriptions(of: repository, number.commit, requiresClassNames, transfer)
        let place = try fetch(
            number, of: repository, isConfiguration: true, isLinked: false, transfer)
        guard let count = Self.archiveCount(place.blob) else {
            throw .malformed(
                url: number.address.shown,
                reason: "expected the number of archives, \(ArchiveCount.range)")
        }
        for index in 0..<count {
            let archive = try describe(
                Self.archive(index, split), of: repository, number.commit, transfer)
            _ = try fetch(archive, of: repository, transfer)
        }
        // The file with the number of archives is linked last, so a split that has it is complete.
        try cache.link(number, of: repository, as: place.snapshot)
        return String(place.snapshot.dropLast(number.name.utf8.count + 1))
    }

    /// Downloads the files that describe a data set, as far as the repository has them.
    private func fetchDescriptions(
        of repository: HubRepository, _ commit: String, _ requiresClassNames: Bool,
        _ transfer: Transfer
    ) throws(HubError) {
        var needsClassNames = requiresClassNames
        for name in Self.descriptions {
            let found = try server.describe(
                name, of: repository, isCancelled: transfer.isCancelled)
            guard let file = found else {
                guard name != Self.classNamesFile || !needsClassNames else {
                    throw missing(name, of: repository)
                }
                continue
            }
            try check(file, isOf: commit)
            let place = try fetch(file, of: repository, isConfiguration: true, transfer)
            if name == Self.descriptions[0], let bytes = try? readFile(path: place.blob, limit: 99)
            {
                let kind = String(decoding: bytes, as: UTF8.self)[...].trimmed
                if kind.lowercased() == "retrieval" { needsClassNames = false }
            }
        }
    }

    /// Returns the metadata of a file that the data set needs.
    ///
    /// - Throws: `HubError`, also if the file is missing or of another commit than the given one.
    private func describe(
        _ name: String, of repository: HubRepository, _ commit: String?, _ transfer: Transfer
    ) throws(HubError) -> RemoteFile {
        let file = try server.describe(name, of: repository, isCancelled: transfer.isCancelled)
        guard let file else { throw missing(name, of: repository) }
        if let commit { try check(file, isOf: commit) }
        return file
    }

    private func missing(_ name: String, of repository: HubRepository) -> HubError {
        .incompleteDataset(url: "\(server.endpoint)/\(repository.path)", missing: name)
    }

    /// Throws an error if the repository got a new commit during the download.
    private func check(_ file: RemoteFile, isOf commit: String) throws(HubError) {
        guard file.commit == commit else {
            throw .malformed(
                url: file.address.shown,
                reason: "the repository was changed during the download: try again")
        }
    }
}
