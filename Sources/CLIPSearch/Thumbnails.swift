package import Files
internal import CLIP
internal import Images
internal import Tensors

/// Makes thumbnails of images, for pages that show many.
///
/// - Parameters:
///   - files: The image files, which several threads read at once.
///   - side: The largest width and height of a thumbnail, in pixels, 1...4096. Images are never
///     enlarged.
///   - threads: The number of threads; all cores of the process if nil.
/// - Returns: JPEG files in the order of `files`; nil where a file is not a readable image, or
///   memory is short.
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
