package import Files
package import CLIP
package import Images
package import Tensors

/// Small copies of whole images, as JPEG files, for pages that show many.
///
/// - Parameters:
///   - files: read by several threads at once.
///   - side: The longest that a side may be, in pixels, 1...4096. An image is never enlarged.
///   - threads: all cores of the process if nil.
/// - Returns: in the order of the files; nil where one cannot be read as an image, or there
///   is no memory.
package func thumbnails(of files: [FilePath], fitting side: Int, threads: Int? = nil) -> [[UInt8]?]
{
    var options = RGBImage.DecodingOptions()
    options.smallestSide = 2 * side
    options.allowsTruncated = true
    let decoding = options
    return WorkspacePool(threads: max(1, threads ?? availableCores())).map(files.count) { index in
        let file = try? ImageMemory.whileHolding { () throws(CLIPError) in
            try Sample(file: files[index]).image(decoding).thumbnail(fitting: side)
        }
        return file?.isEmpty == true ? nil : file
    }
}
