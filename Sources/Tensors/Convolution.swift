internal import CKernels

/// A batch of images or feature maps with the channels last: one matrix row for each position.
package struct FeatureMap {
    /// [batch * height * width, channels].
    package let matrix: Matrix
    package let batch: Int
    package let height: Int
    package let width: Int

    package var channels: Int { matrix.columns }

    package init(_ matrix: Matrix, batch: Int, height: Int, width: Int) {
        precondition(
            matrix.rows == batch * height * width,
            "expected \(batch) x \(height) x \(width) rows, found \(matrix.rows)")
        self.matrix = matrix
        self.batch = batch
        self.height = height
        self.width = width
    }

    /// Creates a feature map from numbers in PyTorch's order, [batch, channels, height, width].
    package init(
        planes: ArraySlice<Float>, batch: Int, channels: Int, height: Int, width: Int,
        workspace: Workspace
    ) {
        let area = height * width
        precondition(
            planes.count == batch * channels * area,
            "expected \(batch * channels * area) values, found \(planes.count)")
        let matrix = workspace.matrix(rows: batch * area, columns: channels)
        planes.withUnsafeBufferPointer { source in
            for image in 0..<batch {
                for position in 0..<area {
                    let target = matrix.row(image * area + position)
                    for channel in 0..<channels {
                        target[channel] = source[(image * channels + channel) * area + position]
                    }
                }
            }
        }
        self.init(matrix, batch: batch, height: height, width: width)
    }

    /// Returns the convolution with a kernel of `kernel` x `kernel` positions.
    ///
    /// - Parameters:
    ///   - weights: [outputs, kernel * kernel * channels].
    ///   - kernel: The width and height of the kernel.
    ///   - stride: The distance between neighbouring outputs, in positions.
    ///   - padding: The number of zeros on every side of the map.
    ///   - activation: The function applied to every output.
    /// - Returns: A map with (height + 2 padding - kernel) / stride + 1 rows, and columns likewise.
    package func convolved(
        _ weights: ProductWeights, kernel: Int, stride: Int, padding: Int, activation: Nonlinearity
    ) -> FeatureMap {
        let newHeight = (height + 2 * padding - kernel) / stride + 1
        let newWidth = (width + 2 * padding - kernel) / stride + 1
        let area = newHeight * newWidth
        let output: Matrix
        if kernel == 1 && stride == 1 && padding == 0 {
            output = weights.apply(matrix, activation: activation, rowsTogether: area)
        } else if stride == 1 && weights.format == .float32
            && !weights.usesBLAS(matrix.workspace, rowsTogether: area)
        {
            output = matrix.workspace.matrix(
                rows: batch * newHeight * newWidth, columns: weights.outputs)
            let bordered = bordered(padding)
            // The pixels under a row of the kernel lie side by side.
            let line = bordered.width * channels
            for image in 0..<batch {
                var rows = ProductWeights.Rows(bordered.matrix)
                rows.start += image * bordered.height * line * 4
                (rows.count, rows.lines, rows.lineStride) = (newWidth, newHeight, line * 4)
                (rows.words, rows.segments) = (kernel * channels, kernel)
                rows.segmentStride = line * 4
                weights.multiply(
                    rows, into: output, at: .init(row: image * newHeight * newWidth), activation)
            }
        } else {
            output = matrix.workspace.matrix(
                rows: batch * newHeight * newWidth, columns: weights.outputs)
            // Strips of rows, so that the unfolded pixels stay in the cache.
            let strips = max(1, output.rows * weights.inputs >> 18)
            for strip in 0..<strips {
                let rows = output.rows * strip / strips..<output.rows * (strip + 1) / strips
                let unfolded = self.unfolded(
                    rows, newHeight, newWidth, kernel: kernel, stride: stride, padding: padding)
                weights.apply(
                    unfolded, into: output, fromRow: rows.lowerBound, activation: activation,
                    rowsTogether: area)
            }
        }
        return FeatureMap(output, batch: batch, height: newHeight, width: newWidth)
    }

    /// Returns the map with `padding` zeros on every side, without gaps between positions.
    private func bordered(_ padding: Int) -> FeatureMap {
        let (newHeight, newWidth) = (height + 2 * padding, width + 2 * padding)
        let result = matrix.workspace.compactMatrix(
            rows: batch * newHeight * newWidth, columns: channels)
        matrix.workspace.team.split(batch * newHeight) { _, lines in
            for line in lines {
                let (image, y) = (line / newHeight, line % newHeight - padding)
                let target = result.row(line * newWidth)
                guard y >= 0 && y < height else {
                    target.update(repeating: 0, count: newWidth * channels)
                    continue
                }
                target.update(repeating: 0, count: padding * channels)
                for x in 0..<width {
                    (target + (padding + x) * channels).update(
                        from: matrix.row((image * height + y) * width + x), count: channels)
                }
                (target + (padding + width) * channels).update(
                    repeating: 0, count: padding * channels)
            }
        }
        return FeatureMap(result, batch: batch, height: newHeight, width: newWidth)
    }

    /// Returns the im2col matrix of a range of output positions: the numbers under the kernel.
    private func unfolded(
        _ rows: Range<Int>, _ newHeight: Int, _ newWidth: Int, kernel: Int, stride: Int,
        padding: Int
    ) -> Matrix {
        let channels = channels
        let result = matrix.workspace.matrix(
            rows: rows.count, columns: kernel * kernel * channels)
        matrix.workspace.team.split(rows.count) { _, range in
            for i in range {
                let position = rows.lowerBound + i
                let image = position / (newHeight * newWidth)
                let y = position / newWidth % newHeight * stride - padding
                let x = position % newWidth * stride - padding
                var target = result.row(i)
                for row in y..<(y + kernel) {
                    for column in x..<(x + kernel) {
                        if row >= 0 && row < height && column >= 0 && column < width {
                            let source = (image * height + row) * width + column
                            target.update(from: matrix.row(source), count: channels)
                        } else {
                            target.update(repeating: 0, count: channels)
                        }
                        target += channels
                    }
                }
            }
        }
        return result
    }

    /// Returns the mean of each `size` x `size` square; a remainder at the right and bottom is
    /// dropped.
    package func averagePooled(_ size: Int) -> FeatureMap {
        guard size > 1 else { return self }
        let (newHeight, newWidth) = (height / size, width / size)
        let output = matrix.workspace.matrix(
            rows: batch * newHeight * newWidth, columns: channels)
        let kernels = Kernels.current
        matrix.workspace.team.split(output.rows, unit: 16) { _, rows in
            for position in rows {
                let image = position / (newHeight * newWidth)
                let top = position / newWidth % newHeight * size
                let left = position % newWidth * size
                let target = output.row(position)
                target.update(repeating: 0, count: channels)
                for row in top..<(top + size) {
                    for column in left..<(left + size) {
                        let source = (image * height + row) * width + column
                        kernels.add(target, matrix.row(source), channels)
                    }
                }
                kernels.scale(target, 1 / Float(size * size), channels)
            }
        }
        return FeatureMap(output, batch: batch, height: newHeight, width: newWidth)
    }

    /// Returns a matrix in which the rows of each image follow their mean:
    /// [batch * (1 + height * width), channels].
    package func withMeanFirst() -> Matrix {
        let area = height * width
        let result = matrix.workspace.matrix(rows: batch * (1 + area), columns: channels)
        let positions = (0..<batch).map { $0 * area..<($0 + 1) * area }
        let means = matrix.means(ofRows: positions)
        for (image, positions) in positions.enumerated() {
            let first = image * (1 + area)
            result.setRows(from: first, to: image..<(image + 1), of: means)
            result.setRows(from: first + 1, to: positions, of: matrix)
        }
        return result
    }
}
