package import Files
package import Tensors

/// The state of the names of an index's images in the file system now.
///
/// A link is a second name of an image, not a second image: if the file were deleted as its
/// duplicate, nothing would be left.
package struct IndexedNames: Sendable, Equatable {
    /// The rows of images that are gone.
    package private(set) var gone: Set<Int> = []
    /// The rows of symbolic links, and of hard links and linked folders that lead to a file which
    /// another row has too.
    package private(set) var links: Set<Int> = []

    /// Looks at the files of some images of a folder, without reading them.
    ///
    /// - Complexity: Two calls of the system for each image.
    package init(of images: [IndexedImage], in folder: FilePath) {
        var rows: [[UInt64]: [Int]] = [:]
        for (row, image) in images.enumerated() {
            let path = image.file.bytes
            do throws(FileError) {
                let status = try FileStatus(path: path)
                if try FileStatus(path: path, followingLinks: false).isLink {
                    links.insert(row)
                } else {
                    rows[[status.device, status.inode], default: []].append(row)
                }
            } catch {
                if error.leadsNowhere { gone.insert(row) }
            }
        }
        let root = (try? realPath(folder.bytes)) ?? folder.bytes
        for rows in rows.values where rows.count > 1 {
            // Two names may lead through one linked folder.
            let own = rows.first { row in
                let name = images[row].file.bytes.dropFirst(folder.appending([]).bytes.count)
                return (try? realPath(images[row].file.bytes))
                    == FilePath(root).appending(Array(name)).bytes
            }
            links.formUnion(rows.filter { $0 != own ?? rows[0] })
        }
    }
}
