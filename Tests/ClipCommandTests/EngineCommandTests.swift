import CLIP
import Foundation
import TestSupport
import Testing

/// Tests `--engine`, and the command's output about engines.
@Suite struct EngineCommandTests {
    private let folder: TemporaryFolder
    private var binary: ClipBinary { ClipBinary(folder: folder) }

    init() throws { folder = try TemporaryFolder() }

    private func embedding(
        _ options: [String], environment: [String: String] = [:]
    ) throws -> (values: [Double], errors: String) {
        let result = try binary.run(
            ["encode", "--text", "a red apple", "--model", "tiny"] + options,
            environment: environment)
        #expect(result.status == 0, "\(options): \(result.errors)")
        let row = try result.json()
        return (try #require(row["embedding"] as? [Double]), result.errors)
    }

    @Test func enginesAgree() throws {
        let native = try embedding(["--engine", "native"])
        for (options, environment) in [
            (["--engine", "blas"], [:]), (["--engine", "blas-fast"], [:]),
            ([], ["CLIP_ENGINE": "blas"]),
        ] as [([String], [String: String])] where Engine.isBLASBuilt {
            let found = try embedding(options, environment: environment)
            #expect(found.errors.isEmpty, "\(found.errors)")
            #expect(
                worstDifference(found.values, native.values, limit: 1e-6) == nil,
                "\(options), \(environment)")
        }
    }

    /// Compares every instruction set of the CPU and every precision on a ViT and a ResNet: results
    /// differ by rounding alone.
    @Test(arguments: ["vit", "resnet"], CLIPModel.instructionSets)
    func instructionSetsAgree(_ model: String, instructionSet: String) throws {
        func embedding(_ precision: String, _ instructionSet: String) throws -> [Double] {
            let result = try binary.run(
                [
                    "encode", Fixtures.root + "/Examples/cat.jpg", "--precision", precision,
                    "--model", Fixtures.path("models/\(model)"), "--quiet",
                ], environment: ["CLIP_ISA": instructionSet, "CLIP_ENGINE": "native"])
            return try #require(result.successful().json()["embedding"] as? [Double])
        }
        let exact = try embedding("fp32", "scalar")
        for (precision, limit) in [("fp32", 1e-5), ("bf16", 0.02), ("int8", 0.1)] {
            let found = try embedding(precision, instructionSet)
            let difference = worstDifference(found, exact, limit: limit)
            #expect(difference == nil, "\(precision) on \(instructionSet)")
        }
    }

    @Test func unusableEnginesAreRefused() throws {
        let encode = ["encode", "--text", "a", "--model", "tiny"]
        expectFailure(
            try binary.run(encode + ["--engine", "mkl"]), status: 2,
            says: "'native', 'blas' or 'blas-fast'"
        )
        expectFailure(
            try binary.run(encode, environment: ["CLIP_ENGINE": "mkl"]), status: 2,
            says: "CLIP_ENGINE must be one of native, blas, blas-fast, not \"mkl\"")
        for precision in ["bf16", "int8"] {
            expectFailure(
                try binary.run(encode + ["--engine", "blas", "--precision", precision]), status: 2,
                says: Engine.isBLASBuilt
                    ? "--engine blas supports fp32, not \(precision)" : "built without BLAS")
            // A default is not a request.
            let result = try binary.run(
                encode + ["--precision", precision, "--quiet"], environment: ["CLIP_ENGINE": "blas"]
            )
            #expect(result.status == 0, "\(result.errors)")
        }
    }

    /// Without OpenBLAS, the native engine answers, and one line names the missing package.
    @Test(.enabled(if: Engine.isBLASBuilt)) func missingLibraryIsReported() throws {
        for name in ["libopenblas.so.0", "libopenblas.so", "libopenblasp.so.0"] {
            try Data("no library".utf8).write(to: URL(fileURLWithPath: folder.path + "/" + name))
        }
        let paths = [folder.path, ProcessInfo.processInfo.environment["LD_LIBRARY_PATH"]]
        let environment = ["LD_LIBRARY_PATH": paths.compactMap(\.self).joined(separator: ":")]
        let native = try embedding(["--engine", "native"])
        let found = try embedding(["--engine", "blas"], environment: environment)
        #expect(firstDifference(found.values, native.values) == nil)
        #expect(found.errors.contains("libopenblas0"), "\(found.errors)")
        #expect(found.errors.split(separator: "\n").count == 1, "\(found.errors)")
        let quiet = try embedding(["--engine", "blas", "--quiet"], environment: environment)
        #expect(quiet.errors.isEmpty, "\(quiet.errors)")
        let version = try json(
            binary.run(["--version", "--json"], environment: environment).output)
        #expect(version["engines"] as? [String] == ["native"])
    }

    @Test func benchAndVersionNameTheEngine() throws {
        func bench(_ engine: String) throws -> [String: Any] {
            try json(
                binary.run([
                    "bench", "--tower", "text", "--tokens", "9", "--repetitions", "1", "--json",
                    "--model", "tiny", "--engine", engine,
                ]).output)
        }
        let native = try bench("native")
        #expect(native["engine"] as? String == "native")
        #expect(native["blas"] as? String == "none")
        let version = try json(binary.run(["--version", "--json"]).output)
        let libraries = try #require(version["libraries"] as? [String: Any])
        #expect(version["version"] as? String == "0.1.0")
        #expect(version["commit"] != nil)
        let sets = try #require(version["instruction_sets"] as? [String])
        #expect(sets == CLIPModel.instructionSets)
        #expect(sets.last == "scalar")
        #expect(libraries["libpng"] is String)
        let line = try binary.run(["--version"]).text
        #expect(line.contains("lcms2 not found") != (libraries["lcms2"] is String), "\(line)")
        #expect(libraries["sqlite"] is String)
        guard Engine.isBLASBuilt else {
            #expect(version["engines"] as? [String] == ["native"])
            return
        }
        let blas = try bench("blas")
        #expect(blas["engine"] as? String == "blas")
        #expect(blas["blas"] as? String == libraries["blas"] as? String)
        #expect(blas["blas_core"] as? String == libraries["blas_core"] as? String)
        #expect(version["engines"] as? [String] == ["native", "blas", "blas-fast"])
        #expect(line.contains("engine "), "\(line)")
        #expect(line.contains("OpenBLAS "), "\(line)")
    }

    /// Commands without matrix products load no library and start no thread.
    @Test func tokenizingLoadsNoBLAS() throws {
        let result = try binary.run(
            ["tokenize", "hello"], environment: ["CLIP_ENGINE": "blas", "LD_DEBUG": "libs"])
        #expect(result.status == 0)
        #expect(!result.errors.contains("openblas"))
        #expect(result.errors.contains("libc.so"), "LD_DEBUG printed nothing")
    }
}
