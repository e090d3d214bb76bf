package import Files
internal import Tensors

/// The images of an index whose files no longer exist, and those that are links.
///
/// A link is a second name of an image, not a second image: if the file were deleted as a duplicate
/// of the link, no image would be left.
package struct IndexedNames: Sendable, Equatable {
    /// The indices of the images whose files no longer exist.
    package private(set) var gone: Set<Int> = []
    /// The indices of the images that are symbolic links, or that are hard links or paths through
    /// linked folders to the file of another image.
    package private(set) var links: Set<Int> = []

    /// Looks up the files of some images in a folder, without reading them.
    ///
    /// - Complexity: O(images), with a few system calls for each.
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
            // All of these paths may lead through a linked folder.
            let own = rows.first { row in
                let name = images[row].file.bytes.dropFirst(folder.appending([]).bytes.count)
                return (try? realPath(images[row].file.bytes))
                    == FilePath(root).appending(Array(name)).bytes
            }
            links.formUnion(rows.filter { $0 != own ?? rows[0] })
        }
    }
}
