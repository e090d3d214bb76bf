package import Files

/// The rules that decide which files and folders below a folder are skipped.
///
/// Always skipped are `.git`, the folders of indexes, `@eaDir` (thumbnails of Synology),
/// `node_modules`, and names that begin with `._` (metadata of macOS).
package struct FolderRules: Sendable, Hashable {
    /// True to include hidden files and folders, whose names begin with a dot.
    package var includesHidden: Bool
    /// The patterns of further names and paths to skip, relative to the folder.
    package var excluded: [GlobPattern]

    package init(includesHidden: Bool = false, excluded: [GlobPattern] = []) {
        (self.includesHidden, self.excluded) = (includesHidden, excluded)
    }

    private static let alwaysSkipped = Set(
        [".git", ".clip-index", ".clip-index.new", ".clip-index.old", "@eaDir", "node_modules"]
            .map { Array($0.utf8) })

    /// Returns true if a name is skipped wherever it occurs.
    package func skips(name: [UInt8]) -> Bool {
        guard name.first == UInt8(ascii: ".") else { return Self.alwaysSkipped.contains(name) }
        return !includesHidden || name.starts(with: "._".utf8) || Self.alwaysSkipped.contains(name)
    }

    /// Returns true if a pattern matches a path.
    ///
    /// - Parameters:
    ///   - path: The path relative to the folder.
    ///   - isFolder: True if the path is that of a folder.
    /// - Returns: True if the path is to be skipped.
    package func excludes(_ path: FilePath, isFolder: Bool) -> Bool {
        excluded.contains { $0.matches(path, isFolder: isFolder) }
    }

    /// Returns true if a file or a folder above it is skipped.
    ///
    /// - Parameter path: The path of the file relative to the folder.
    /// - Returns: True if a walk of the folder does not reach the file.
    package func skipsFile(at path: FilePath) -> Bool {
        let slash = UInt8(ascii: "/")
        let names = path.bytes.split(separator: slash)
        for count in 1...max(1, names.count) where count <= names.count {
            if skips(name: Array(names[count - 1])) { return true }
            let part = FilePath(names[..<count].joined(separator: [slash]))
            if excludes(part, isFolder: count < names.count) { return true }
        }
        return false
    }
}

/// The rules of an update of an index, where a value that is not given is that of the last update.
package struct FolderRuleChanges: Sendable, Hashable {
    /// True to include hidden files, false to skip them; nil to do as the last update did.
    package var includesHidden: Bool?
    /// The patterns to skip, instead of those of the last update; nil to keep these.
    package var excluded: [GlobPattern]?

    package init(includesHidden: Bool? = nil, excluded: [GlobPattern]? = nil) {
        (self.includesHidden, self.excluded) = (includesHidden, excluded)
    }

    /// Returns rules with the given values, and those of `old` for the others.
    func applied(to old: FolderRules) -> FolderRules {
        FolderRules(
            includesHidden: includesHidden ?? old.includesHidden, excluded: excluded ?? old.excluded
        )
    }
}
