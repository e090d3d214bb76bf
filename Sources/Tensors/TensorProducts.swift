internal import CKernels

extension Tensor {
    /// Returns W x + b for a vector, with sums in Float64: [inputs] -> [outputs].
    ///
    /// - Parameters:
    ///   - weight: W, [outputs, inputs].
    ///   - bias: b, [outputs].
    /// - Returns: [outputs].
    package func multiplied(byRowsOf weight: Tensor, adding bias: Tensor) -> Tensor {
        precondition(
            weight.shape == [bias.count, count],
            """
            expected a weight of \(bias.count) rows and \(count) columns, found the shape \
            \(weight.shape)
            """)
        return withExtendedLifetime((self, weight, bias)) {
            Tensor(shape: [bias.count]) { target in
                for row in 0..<bias.count {
                    var sum = Double(bias.elements[row])
                    let weights = weight.elements + row * count
                    for i in 0..<count { sum += Double(weights[i]) * Double(elements[i]) }
                    target[row] = Float(sum)
                }
            }
        }
    }

    /// Returns the sum of the rows of a matrix, each times its factor, with sums in Float64:
    /// [rows, columns] -> [columns].
    package func combined(withFactors factors: Tensor) -> Tensor {
        precondition(
            shape.count == 2 && factors.count == shape[0],
            "expected a matrix and a factor for each row, found \(shape) and \(factors.shape)")
        let columns = shape[1]
        var sums = [Double](repeating: 0, count: columns)
        withExtendedLifetime((self, factors)) {
            for row in 0..<shape[0] {
                let (factor, numbers) = (Double(factors.elements[row]), elements + row * columns)
                for i in 0..<columns { sums[i] += factor * Double(numbers[i]) }
            }
        }
        return Tensor(sums.map { Float($0) }, shape: [columns])
    }
}

extension Matrix {
    /// Adds the rows of `tensor` to a range of rows of a float32 matrix, in place.
    package func add(rowsOf tensor: Tensor, toRows range: Range<Int>) {
        precondition(
            tensor.shape == [range.count, columns],
            """
            expected a tensor of \(range.count) rows and \(columns) columns, found the shape \
            \(tensor.shape)
            """)
        let kernel = Kernels.current.add
        for (place, row) in range.enumerated() {
            kernel(self.row(row), tensor.elements + place * columns, columns)
        }
    }

    /// Returns the mean of each range of rows of a float32 matrix; each range must have a row.
    package func means(ofRows ranges: [Range<Int>]) -> Matrix {
        let result = workspace.matrix(rows: ranges.count, columns: columns)
        let kernels = Kernels.current
        for (place, range) in ranges.enumerated() {
            precondition(!range.isEmpty, "expected rows to take the mean of, found none")
            let mean = result.row(place)
            mean.update(repeating: 0, count: columns)
            for row in range { kernels.add(mean, self.row(row), columns) }
            kernels.scale(mean, 1 / Float(range.count), columns)
        }
        return result
    }
}
