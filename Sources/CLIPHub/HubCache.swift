internal import Files

/// The folders of installed weights: Hugging Face's cache, and the folder of OpenAI's files.
///
/// The cache has the layout of Hugging Face's own libraries. A repository `owner/name` is the
/// folder `models--owner--name`, or `datasets--owner--name` for a data set. In it are `blobs`
/// (files, named by their hash), `snapshots` (a folder for each commit, with links to blobs) and
/// `refs` (the commit of each branch).
struct HubCache: Sendable {
    /// Hugging Face's cache.
    let root: String
    /// The folder of OpenAI's files, and of the files that only this library uses.
    let official: String
    /// The records of verified files.
    var verified: VerifiedFiles { VerifiedFiles(folder: official + "/verified") }

    /// Uses the folders that the environment variables name, or the defaults.
    init(environment: [String: String]) {
        func value(_ name: String) -> String? {
            environment[name].flatMap { $0.isEmpty ? nil : $0 }
        }
        let caches = value("XDG_CACHE_HOME") ?? (value("HOME") ?? "") + "/.cache"
        root =
            value("HF_HUB_CACHE") ?? value("HUGGINGFACE_HUB_CACHE")
            ?? (value("HF_HOME") ?? caches + "/huggingface") + "/hub"
        official = value("CLIP_HOME") ?? (value("HOME") ?? "") + "/.cache/clip"
    }

    /// Returns the folder of a repository.
    func folder(of repository: HubRepository) -> String {
        "\(root)/\(repository.kind.rawValue)s--\(repository.name.replacing("/", with: "--"))"
    }

    /// Returns the paths of the snapshot folders of a repository, that of the main branch first if
    /// its commit is known.
    func snapshots(of repository: HubRepository) -> [String] {
        let folder = folder(of: repository)
        var commits: [String] = []
        // MappedFile does not wait if a pipe has that name.
        if let file = try? MappedFile(path: folder + "/refs/main"), file.count <= 1 << 10 {
            let text = String(decoding: file.bytes(0..<file.count), as: UTF8.self)
            commits.append(Substring(text).trimmed)
        }
        commits += names(in: folder + "/snapshots").filter { !commits.contains($0) }
        return commits.map { "\(folder)/snapshots/\($0)" }
    }

    /// Returns the path of the snapshot folder of a commit, which may not exist.
    func snapshot(_ commit: String, of repository: HubRepository) -> String {
        "\(folder(of: repository))/snapshots/\(commit)"
    }

    /// The model repositories that have a folder in the cache, as `owner/name`.
    var repositories: [String] {
        names(in: root).compactMap { folder in
            let parts = folder.replacing("--", with: "/").split(separator: "/")
            guard parts.count >= 3, parts[0] == "models" else { return nil }
            // A name may contain two dashes; an owner cannot.
            return "\(parts[1])/\(parts[2...].joined(separator: "--"))"
        }
    }

    /// The names of a folder's entries, sorted; empty if the folder cannot be listed.
    private func names(in folder: String) -> [String] {
        let entries = (try? folderEntries(Array(folder.utf8))) ?? []
        return entries.map { String(decoding: $0.name, as: UTF8.self) }.sorted()
    }

    /// Returns the path of the first of the named files that exists in a snapshot; nil if none
    /// does.
    ///
    /// The main branch's snapshot is searched before the others.
    func file(of repository: HubRepository, among names: [String]) -> String? {
        snapshots(of: repository).lazy.flatMap { folder in names.map { "\(folder)/\($0)" } }
            .first(where: fileExists)
    }

    /// Returns the path of OpenAI's file of a model, or of a conversion with the same name before
    /// the extension; nil if neither exists.
    func official(_ file: HubModel.OfficialFile) -> String? {
        let stem = file.stem
        return ["\(stem).safetensors", file.file, stem].map { "\(official)/\($0)" }
            .first { fileExists($0) || isDirectory($0) }
    }

    // MARK: Writing

    /// Makes the folders for a file of a repository and returns the paths of its blob, lock and
    /// link.
    func place(for file: RemoteFile, of repository: HubRepository) throws(HubError) -> (
        blob: String, lock: String, snapshot: String
    ) {
        let folder = folder(of: repository)
        let locks = "\(root)/.locks/\(folder.split(separator: "/").last ?? "")"
        let link = "\(snapshot(file.commit, of: repository))/\(file.name)"
        let parent = String(Files.folder(of: link).dropLast())
        for path in ["\(folder)/blobs", "\(folder)/refs", parent, locks] { try makeFolder(path) }
        return ("\(folder)/blobs/\(file.etag)", "\(locks)/\(file.etag).lock", link)
    }

    /// Links a blob into a snapshot, and records the snapshot's commit as that of the main branch.
    func link(
        _ file: RemoteFile, of repository: HubRepository, as snapshot: String
    ) throws(HubError) {
        try link(file, as: snapshot)
        try writeFile(Array(file.commit.utf8), to: folder(of: repository) + "/refs/main")
    }

    /// Links a blob into a snapshot.
    func link(_ file: RemoteFile, as snapshot: String) throws(HubError) {
        // One step out of each folder of the file's path, and two to the folder of the repository.
        let steps = String(repeating: "../", count: 2 + file.name.count { $0 == "/" })
        try makeLink(snapshot, to: "\(steps)blobs/\(file.etag)")
    }
}

/// A file on the hub, as the server describes it.
struct RemoteFile: Sendable, Equatable {
    /// The path in the repository.
    let name: String
    /// The URL to download.
    let address: WebAddress
    /// The hash that the server states: on the hub, the SHA-256 of large files and the git SHA-1 of
    /// small ones.
    let etag: String
    /// The hash of the repository's commit.
    let commit: String
    /// The size in bytes; nil if the server does not state it.
    let size: Int?

    /// Returns the same file as one of another commit.
    func inCommit(_ commit: String) -> RemoteFile {
        RemoteFile(name: name, address: address, etag: etag, commit: commit, size: size)
    }

    /// The expected checksum; nil if `etag` is neither a SHA-256 nor a SHA-1.
    var checksum: Checksum? { Checksum(etag: etag) }
}
