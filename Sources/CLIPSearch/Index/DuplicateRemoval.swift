package import Files
internal import CLIP
internal import Tensors

/// Moves or deletes duplicates in a folder, one at a time, after checking that nothing is lost.
///
/// Immediately before each action, the file and the duplicate to keep are read again. Both must be
/// regular files inside the folder, not reached through links, and have the SHA-256 that the index
/// states.
package struct DuplicateRemoval {
    /// The action on a duplicate.
    package enum Action: Sendable {
        case delete
        /// Moves the file into another folder, under the same relative path.
        ///
        /// If the target lies in the indexed folder, it gets a file `.clip-ignore`, so that it is
        /// not indexed.
        case move(to: FilePath)
    }

    private let folder: FilePath
    /// The log of all actions.
    package let log: RemovalLog
    private let root: OpenFolder
    private let rootPath: FilePath
    private let target: (root: OpenFolder, path: FilePath)?

    /// Opens the folders and the log.
    ///
    /// - Parameters:
    ///   - folder: The folder that was indexed.
    ///   - action: The action on each duplicate.
    ///   - log: A closure that opens the log; called after the target folder was made. The log gets
    ///     a line before and after each action.
    /// - Throws: `RemovalError.failed` if the folder cannot be opened or the target cannot be made,
    ///   and the errors of `log`.
    package init(
        folder: FilePath, action: Action, log: () throws(RemovalError) -> RemovalLog
    ) throws(RemovalError) {
        self.folder = folder
        var path = folder
        do throws(FileError) {
            root = try OpenFolder(path: folder.bytes)
            rootPath = FilePath(try realPath(folder.bytes))
            switch action {
            case .delete: target = nil
            case .move(let other):
                path = other
                try makeFolder(other.bytes)
                let opened = try OpenFolder(path: other.bytes)
                let real = FilePath(try realPath(other.bytes))
                target = (opened, real)
                if Self.isBelow(rootPath, real) {
                    try opened.makeFile(
                        Array(FolderWalk.ignoreFile.utf8), contents: Array(Self.ignoreText.utf8))
                }
            }
        } catch {
            throw .failed(path: path, .open, reason: error.reason)
        }
        self.log = try log()
    }

    /// Returns true if a path is below a folder; both paths must be without symbolic links.
    private static func isBelow(_ folder: FilePath, _ path: FilePath) -> Bool {
        path != folder && path.bytes.starts(with: folder.appending([]).bytes)
    }

    private static let ignoreText = """
        The images of this folder are not indexed: they are duplicates that were moved here.

        """

    /// An open file whose content matches the index.
    private struct Proof {
        let file: OpenedFile
        let contents: [UInt8]
        /// The path relative to the folder.
        let relative: [UInt8]
    }

    /// Moves or deletes a duplicate.
    ///
    /// - Parameters:
    ///   - image: The duplicate.
    ///   - other: The image that is kept.
    /// - Throws: `RemovalError`. After `.unusableLog`, no further image may be removed; after any
    ///   other error, the image is where it was.
    package func remove(
        _ image: IndexedImage, keeping other: IndexedImage
    ) throws(RemovalError) {
        let proof = try proof(of: image, for: image)
        let kept = try self.proof(of: other, for: image)
        guard !proof.file.isSame(as: kept.file) else {
            throw .refused(path: image.file, reason: "it is the same file as \(other.file)")
        }
        var entry = RemovalLog.Entry(
            step: .intent, folder: rootPath, target: target?.path,
            from: rootPath.appending(proof.relative), to: nil, digest: image.digest,
            size: proof.contents.count, kept: rootPath.appending(kept.relative))
        guard let target else {
            try record(entry, of: image) { () throws(FileError) in
                try kept.file.checkIsUnchanged()
                try proof.file.remove()
            }
            return
        }
        // Images of the target may be in an index that is older than its `.clip-ignore`.
        guard !Self.isBelow(rootPath, target.path) || !Self.isBelow(target.path, entry.kept) else {
            throw .refused(
                path: image.file,
                reason: """
                    \(other.file), the duplicate to keep, is in the folder that duplicates are \
                    moved to
                    """)
        }
        let to = target.path.appending(proof.relative)
        entry.to = to
        let parent: OpenFolder
        do throws(FileError) {
            let folders = try OpenFolder.components(of: proof.relative).dropLast()
            parent = try target.root.folder(folders, isMade: true)
            guard !parent.contains(proof.file.name) else {
                throw FileError(reason: "\(to) already exists")
            }
        } catch {
            throw .failed(path: image.file, step, reason: error.reason)
        }
        try record(entry, of: image) { () throws(FileError) in
            try kept.file.checkIsUnchanged()
            try proof.file.move(to: parent, proof.file.name, contents: proof.contents)
        }
    }

    private var step: RemovalError.Step { target == nil ? .delete : .move }

    /// Logs an intent, runs the action, and logs the outcome.
    private func record(
        _ entry: RemovalLog.Entry, of image: IndexedImage, _ body: () throws(FileError) -> Void
    ) throws(RemovalError) {
        var entry = entry
        try log.append(entry)
        var failure: RemovalError?
        do throws(FileError) {
            try body()
            entry.step = .done
        } catch {
            (entry.step, entry.reason) = (.failed, error.reason)
            failure = .failed(path: image.file, step, reason: error.reason)
        }
        try log.append(entry)
        if let failure { throw failure }
    }

    /// Opens an indexed file, and checks that its content matches the index.
    ///
    /// - Parameters:
    ///   - file: The file to open.
    ///   - image: The image that would be removed, for the message.
    /// - Returns: The open file.
    /// - Throws: `RemovalError.changed` or `.refused`.
    private func proof(
        of file: IndexedImage, for image: IndexedImage
    ) throws(RemovalError) -> Proof {
        let opened: OpenedFile
        let relative: [UInt8]
        var contents: [UInt8]?
        do throws(FileError) {
            let prefix = folder.appending([]).bytes
            guard file.file.bytes.starts(with: prefix) else {
                throw FileError(reason: "its path leads out of the folder")
            }
            relative = Array(file.file.bytes.dropFirst(prefix.count))
            opened = try root.file(OpenFolder.components(of: relative))
            if opened.size == file.size {
                contents = try opened.contents(limit: RGBImage.maximumFileSize)
            }
        } catch {
            let isKept = file.file != image.file
            throw .refused(
                path: image.file,
                reason: isKept
                    ? "the duplicate to keep, \(file.file), cannot be verified: \(error.reason)"
                    : error.reason)
        }
        guard let contents, file.digest.count == 32, sha256(contents) == file.digest else {
            throw .changed(path: image.file, file: file.file)
        }
        return Proof(file: opened, contents: contents, relative: relative)
    }
}
