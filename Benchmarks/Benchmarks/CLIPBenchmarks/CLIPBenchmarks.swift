import Benchmark
import CLIP
import Foundation

/// The root of the repository.
let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

let benchmarks: @Sendable () -> Void = {
    Benchmark.defaultConfiguration.metrics = [.wallClock, .instructions]
    Benchmark.defaultConfiguration.maxDuration = .seconds(2)

    encoderBenchmarks()
    inputBenchmarks()
    startBenchmarks()
}

/// The bundled model's towers, at each precision that the CPU supports.
private func encoderBenchmarks() {
    for precision in Precision.allCases where precision.isSupported {
        for batch in [1, 8] {
            let name = "encoders tiny image \(precision.rawValue) batch \(batch)"
            Benchmark(name) { benchmark, model in
                let side = model.configuration.resolution
                let pixels = (0..<(batch * 3 * side * side)).map { Float($0 % 255) / 64 - 2 }
                benchmark.startMeasurement()
                for _ in benchmark.scaledIterations {
                    blackHole(try? model.encode(pixels: pixels))
                }
            } setup: {
                try warmed(precision)
            }
        }
        Benchmark("encoders tiny text \(precision.rawValue) batch 32 of 12") { benchmark, model in
            let rows = (0..<32).map { row in
                [49406] + (0..<10).map { 320 + (row * 31 + $0 * 7) % 9000 } + [49407]
            }
            benchmark.startMeasurement()
            for _ in benchmark.scaledIterations { blackHole(try? model.encode(tokens: rows)) }
        } setup: {
            try warmed(precision)
        }
    }
}

/// Returns a model with packed weights.
private func warmed(_ precision: Precision) throws -> CLIPModel {
    let model = try CLIPModel(path: root + "/Weights/tiny.safetensors").at(precision: precision)
    let side = model.configuration.resolution
    for _ in 0..<2 {
        _ = try model.encode(pixels: [Float](repeating: 0, count: 3 * side * side))
        _ = try model.encode(texts: ["a dog"])
    }
    return model
}

/// Decoding, preprocessing and tokenizing.
private func inputBenchmarks() {
    let path = root + "/Examples/bike.jpg"
    Benchmark("inputs decode bike.jpg") { benchmark in
        for _ in benchmark.scaledIterations { blackHole(try? RGBImage(contentsOfFile: path)) }
    }
    Benchmark("inputs resize, crop and normalise bike.jpg") { benchmark, image in
        let preprocessor = ImagePreprocessor()
        benchmark.startMeasurement()
        for _ in benchmark.scaledIterations { blackHole(preprocessor(image)) }
    } setup: {
        try RGBImage(contentsOfFile: path)
    }
    Benchmark("inputs tokenize 1,000 captions") { benchmark in
        let tokenizer = BPETokenizer()
        let captions = (0..<1000).map { "A photo of \($0) dogs that play on the beach, at sunset." }
        benchmark.startMeasurement()
        for _ in benchmark.scaledIterations {
            for caption in captions { blackHole(tokenizer.encode(caption)) }
        }
    }
}

/// The start-up of the command, from the release build of the repository.
private func startBenchmarks() {
    let clip = root + "/.build/release/clip"
    guard FileManager.default.isExecutableFile(atPath: clip) else { return }
    let jobs = [
        "tokenize": ["tokenize", "a dog"],
        "zeroshot": [
            "zeroshot", root + "/Examples/bike.jpg", "a dog", "a bicycle", "--model", "tiny",
        ],
    ]
    for (name, arguments) in jobs.sorted(by: { $0.key < $1.key }) {
        Benchmark("start clip \(name)") { benchmark in
            for _ in benchmark.scaledIterations {
                let process = Process()
                process.executableURL = URL(fileURLWithPath: clip)
                process.arguments = arguments
                process.standardOutput = FileHandle.nullDevice
                try? process.run()
                process.waitUntilExit()
            }
        }
    }
}
