/// The pixels of a batch of images, which may differ in size.
///
/// The numbers of an image are in PyTorch's order, [3, height, width].
package struct ImagePlanes: Sendable {
    /// The size of an image in pixels.
    package struct Size: Sendable, Equatable {
        package let width: Int
        package let height: Int

        package init(width: Int, height: Int) { (self.width, self.height) = (width, height) }
    }

    /// The numbers of all images, one after the other.
    package private(set) var values: ArraySlice<Float> = []
    /// The size of each image.
    package private(set) var sizes: [Size] = []

    /// The number of images.
    package var count: Int { sizes.count }

    /// Makes an empty batch.
    package init() {}

    /// Makes a batch of square images, [images, 3, resolution, resolution].
    package init(_ values: ArraySlice<Float>, resolution: Int) {
        let area = 3 * resolution * resolution
        precondition(
            values.count % area == 0,
            "expected a multiple of \(area) numbers, found \(values.count)")
        self.values = values
        sizes = [Size](
            repeating: Size(width: resolution, height: resolution), count: values.count / area)
    }

    /// Adds an image, [3, height, width].
    package mutating func append(_ image: [Float], _ size: Size) {
        precondition(
            image.count == 3 * size.width * size.height,
            "expected 3 x \(size.height) x \(size.width) numbers, found \(image.count)")
        values += image
        sizes.append(size)
    }
}

extension ImagePlanes {
    /// Returns the patches of `size` x `size` pixels of each image, row by row.
    ///
    /// The numbers of a patch are in the order [channel, y, x] of a convolution's weights. Pixels
    /// at the right and bottom that do not fill a patch are left out.
    ///
    /// - Parameters:
    ///   - size: The width and height of a patch, in pixels.
    ///   - workspace: The workspace that makes the result.
    /// - Returns: [patches of all images, 3 * size²].
    package func patches(of size: Int, workspace: Workspace) -> Matrix {
        var places: [(image: Int, row: Int)] = []  // the image and row of each row of patches
        var firsts: [Int] = []  // the first patch of each row of patches
        var starts: [Int] = []  // the first number of each image
        var (start, patch) = (0, 0)
        for (image, extent) in sizes.enumerated() {
            starts.append(start)
            start += 3 * extent.width * extent.height
            for row in 0..<(extent.height / size) {
                places.append((image, row))
                firsts.append(patch)
                patch += extent.width / size
            }
        }
        let result = workspace.matrix(rows: patch, columns: 3 * size * size)
        values.withUnsafeBufferPointer { source in
            guard let base = source.baseAddress else { return }
            nonisolated(unsafe) let pixels = base  // only read
            workspace.team.split(places.count) { [places, firsts, starts] _, rows in
                for place in rows {
                    let (image, row) = places[place]
                    let (width, area) = (
                        sizes[image].width, sizes[image].width * sizes[image].height
                    )
                    for column in 0..<(width / size) {
                        var target = result.row(firsts[place] + column)
                        for channel in 0..<3 {
                            let plane = pixels + starts[image] + channel * area
                            for y in (row * size)..<((row + 1) * size) {
                                target.update(from: plane + y * width + column * size, count: size)
                                target += size
                            }
                        }
                    }
                }
            }
        }
        return result
    }
}
