internal import Files

/// The folders in which weights lie: Hugging Face's, as its own libraries keep it, and OpenAI's.
///
/// Of a repository `owner/name` Hugging Face's has `models--owner--name` with `blobs` (files by their
/// hash), `snapshots` (commits, with links to blobs) and `refs` (which commit a branch is at).
struct HubCache: Sendable {
    /// Hugging Face's.
    let root: String
    /// OpenAI's.
    let official: String
    /// The files that have been read and are right.
    var verified: VerifiedFiles { VerifiedFiles(folder: official + "/verified") }

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

    func folder(of repository: String) -> String {
        "\(root)/models--\(repository.replacing("/", with: "--"))"
    }

    /// The folders of the commits that are there, that of the main branch first.
    func snapshots(of repository: String) -> [String] {
        let folder = folder(of: repository)
        var commits: [String] = []
        // A pipe of that name must not be waited for.
        if let file = try? MappedFile(path: folder + "/refs/main"), file.count <= 1 << 10 {
            let text = String(decoding: file.bytes(0..<file.count), as: UTF8.self)
            commits.append(Substring(text).trimmed)
        }
        commits += Self.names(in: folder + "/snapshots").filter { !commits.contains($0) }
        return commits.map { "\(folder)/snapshots/\($0)" }
    }

    /// The repositories of models of which something is there: `owner/name`.
    var repositories: [String] {
        Self.names(in: root).compactMap { folder in
            let parts = folder.replacing("--", with: "/").split(separator: "/")
            guard parts.count >= 3, parts[0] == "models" else { return nil }
            // A name may have two dashes of its own, an owner not.
            return "\(parts[1])/\(parts[2...].joined(separator: "--"))"
        }
    }

    /// The sorted names of what is in a folder; none if it cannot be read.
    private static func names(in folder: String) -> [String] {
        let entries = (try? folderEntries(Array(folder.utf8))) ?? []
        return entries.map { String(decoding: $0.name, as: UTF8.self) }.sorted()
    }

    /// The first of some files that is there: in the main branch's snapshot, else in any that has one.
    func file(of repository: String, among names: [String]) -> String? {
        snapshots(of: repository).lazy.flatMap { folder in names.map { "\(folder)/\($0)" } }
            .first(where: fileExists)
    }

    /// What OpenAI's own package keeps of a model, or what was put there by hand.
    func official(_ file: HubModel.OfficialFile) -> String? {
        let stem = file.stem
        return ["\(stem).safetensors", file.file, stem].map { "\(official)/\($0)" }
            .first { fileExists($0) || isDirectory($0) }
    }

    // MARK: writing

    /// Where a file of a repository goes, with the folders that it needs.
    func place(for file: RemoteFile, of repository: String) throws(HubError) -> (
        blob: String, lock: String, snapshot: String
    ) {
        let folder = folder(of: repository)
        let locks = "\(root)/.locks/\(folder.split(separator: "/").last ?? "")"
        let snapshot = "\(folder)/snapshots/\(file.commit)"
        for path in ["\(folder)/blobs", "\(folder)/refs", snapshot, locks] { try makeFolder(path) }
        return (
            "\(folder)/blobs/\(file.etag)", "\(locks)/\(file.etag).lock", "\(snapshot)/\(file.name)"
        )
    }

    /// Gives a blob its name in a snapshot, and the main branch that snapshot.
    func link(_ file: RemoteFile, of repository: String, as snapshot: String) throws(HubError) {
        try makeLink(snapshot, to: "../../blobs/\(file.etag)")
        try writeFile(Array(file.commit.utf8), to: folder(of: repository) + "/refs/main")
    }
}

/// A file on the hub, as its server describes it.
struct RemoteFile: Sendable, Equatable {
    let name: String
    let address: WebAddress
    /// The hub's name of the contents: the SHA-256 of large files, git's SHA-1 of small ones.
    let etag: String
    let commit: String
    let size: Int?

    var checksum: Checksum? { Checksum(etag: etag) }
}
