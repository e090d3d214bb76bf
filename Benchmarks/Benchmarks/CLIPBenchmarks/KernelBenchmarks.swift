import Benchmark
import CKernels

/// Numbers that are neither constant nor sparse.
private func numbers(_ count: Int) -> [Float] {
    (0..<count).map { Float($0 * 7919 % 1000) / 500 - 1 }
}

/// Products with the weights of an MLP of ViT-B, on one thread.
func productBenchmarks() {
    let table = clip_kernels_current().pointee
    let (inputs, outputs) = (768, 3072)
    let kinds: [(String, ((UnsafePointer<clip_product>) -> Void)?, Int)] = [
        ("fp32", table.multiply_float32, 4), ("bf16", table.multiply_bfloat16, 2),
        ("int8", table.multiply_int8, 1),
    ]
    for (name, multiply, width) in kinds {
        guard let multiply else { continue }
        for rows in [1, 12, 50, 400] {
            Benchmark("products \(name) \(rows) x 768 x 3072") { benchmark in
                let x = [UInt8](repeating: 0, count: rows * inputs * width)
                let panels = [UInt8](repeating: 0, count: outputs * inputs * width)
                let (scales, zeros) = (numbers(outputs), [Int32](repeating: 1, count: outputs))
                var y = [Float](repeating: 0, count: rows * outputs)
                benchmark.startMeasurement()
                for _ in benchmark.scaledIterations {
                    x.withUnsafeBytes { x in
                        panels.withUnsafeBytes { panels in
                            y.withUnsafeMutableBytes { y in
                                scales.withUnsafeBufferPointer { scales in
                                    zeros.withUnsafeBufferPointer { zeros in
                                        var product = clip_product()
                                        product.x = x.baseAddress
                                        (product.rows, product.lines) = (rows, 1)
                                        product.row_stride = inputs * width
                                        product.words = inputs * width / 4
                                        product.segments = 1
                                        product.panels = panels.baseAddress
                                        product.outputs = outputs
                                        product.y = y.baseAddress
                                        product.y_row_stride = 4 * outputs
                                        product.activation = CLIP_QUICK_GELU
                                        if width == 1 {
                                            product.row_scales = scales.baseAddress
                                            product.row_zeros = zeros.baseAddress
                                            product.output_scales = scales.baseAddress
                                            product.output_sums = zeros.baseAddress
                                        }
                                        multiply(&product)
                                    }
                                }
                            }
                        }
                    }
                }
                blackHole(y)
            }
        }
    }
}

/// Loops over rows.
func rowBenchmarks() {
    let table = clip_kernels_current().pointee
    let width = 768
    Benchmark("rows layer norm of 768") { benchmark in
        let (x, ones) = (numbers(width), [Float](repeating: 1, count: width))
        var out = x
        benchmark.startMeasurement()
        for _ in benchmark.scaledIterations { table.layer_norm(x, ones, ones, 1e-5, width, &out) }
        blackHole(out)
    }
    Benchmark("rows softmax of 50") { benchmark in
        var x = numbers(50)
        benchmark.startMeasurement()
        for _ in benchmark.scaledIterations { table.softmax(&x, 50, 0.125) }
        blackHole(x)
    }
    for (name, activation) in [("quickgelu", CLIP_QUICK_GELU), ("gelu", CLIP_GELU)] {
        Benchmark("rows \(name) of 3072") { benchmark in
            var x = numbers(3072)
            benchmark.startMeasurement()
            for _ in benchmark.scaledIterations {
                table.bias_activation(&x, nil, x.count, activation)
            }
            blackHole(x)
        }
    }
}
