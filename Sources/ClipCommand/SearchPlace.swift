import CLIPSearch
import Files

/// The index that a search in a folder uses: its own, or that of a parent folder.
struct SearchPlace {
    /// The folder that the user gave.
    let given: FilePath
    /// The folder whose index is searched.
    let root: FilePath
    /// The path of the given folder relative to `root`; nil if it has an index of its own.
    let subfolder: FilePath?

    /// Creates the place of a folder that is searched by its own index.
    init(_ folder: FilePath) { (given, root, subfolder) = (folder, folder, nil) }

    private init(_ given: FilePath, root: FilePath, subfolder: FilePath) {
        (self.given, self.root, self.subfolder) = (given, root, subfolder)
    }

    /// Returns the place of a folder without an index if the index of a parent has files in it; nil
    /// otherwise.
    ///
    /// Parents are those of the path without links. The nearest index that has files of the folder
    /// is used.
    ///
    /// A note names an index that cannot be read, which is ignored, unless `quiet` is true.
    static func ofParent(of folder: FilePath, quiet: Bool) -> SearchPlace? {
        let slash = UInt8(ascii: "/")
        guard !FolderIndex.exists(in: folder), let path = try? realPath(folder.bytes) else {
            return nil
        }
        let parts = path.split(separator: slash)
        for count in (0..<parts.count).reversed() {
            let root = FilePath([slash] + parts[..<count].joined(separator: [slash]))
            let subfolder = FilePath(parts[count...].joined(separator: [slash]))
            do {
                guard try FolderIndex.model(ofIndexIn: root) != nil else { continue }
                let index = try FolderIndex(folder: root, threads: 1)
                if try index.hasFiles(below: subfolder) {
                    return SearchPlace(folder, root: root, subfolder: subfolder)
                }
            } catch {
                if !quiet { note("clip: search: ignoring the index of a parent folder: \(error)") }
            }
        }
        return nil
    }

    /// Returns the path of a match, below the folder that the user gave.
    func shown(_ file: FilePath) -> FilePath {
        guard let subfolder else { return file }
        let start = root.appending(subfolder.bytes).bytes + [UInt8(ascii: "/")]
        guard file.bytes.starts(with: start) else { return file }
        return given.appending(file.bytes.dropFirst(start.count))
    }
}
