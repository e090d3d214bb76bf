// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "clip-benchmarks",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "swift-clip", path: ".."),
        // Measures and compares with earlier results; without its trait for another malloc.
        .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
    ],
    targets: [
        .executableTarget(
            name: "CLIPBenchmarks",
            dependencies: [
                .product(name: "CLIP", package: "swift-clip"),
                .product(name: "Benchmark", package: "benchmark"),
            ],
            path: "Benchmarks/CLIPBenchmarks",
            plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]),
        // Trains linear probes on request, for Scripts/bench/probe.py.
        .executableTarget(
            name: "ProbeBenchmark",
            dependencies: [
                .product(name: "CLIP", package: "swift-clip"),
                .product(name: "CLIPAnalysis", package: "swift-clip"),
            ],
            path: "Benchmarks/ProbeBenchmark"),
    ],
    swiftLanguageModes: [.v6]
)
