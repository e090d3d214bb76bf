import Foundation
import TensorFiles
import Tensors
import TestSupport
import Testing

@testable import CLIP

/// Tests the interpolation of the weights of two models.
@Suite struct MergingTests {
    private let folder: TemporaryFolder
    private let model: CLIPModel

    init() throws {
        folder = try TemporaryFolder()
        model = try CLIPModel(path: Fixtures.path("models/vit"))
    }

    /// Writes a model with other weights: each number, except `logit_scale`, is changed by a
    /// function of its value and its index in the file.
    private func changed(
        _ change: (Float, Int) -> Float = { $0 * 1.5 + Float($1 % 7) }
    ) throws -> CLIPModel {
        let path = folder.path + "/b.safetensors"
        try model.write(safetensors: path, format: .float32)
        var file = try bytes(ofFile: path)
        let count = file[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
        let json = try JSONSerialization.jsonObject(with: Data(file[8..<(8 + count)]))
        let header = try #require(json as? [String: Any])
        let scale = try #require(header["logit_scale"] as? [String: Any])
        let kept = try #require(scale["data_offsets"] as? [Int])[0] / 4
        for (index, start) in stride(from: 8 + count, to: file.count, by: 4).enumerated()
        where index != kept {
            let bits = file[start..<(start + 4)].reversed().reduce(UInt32(0)) {
                $0 << 8 | UInt32($1)
            }
            let number = change(Float(bitPattern: bits), index).bitPattern
            for place in 0..<4 {
                file[start + place] = UInt8(truncatingIfNeeded: number >> (8 * UInt32(place)))
            }
        }
        try Data(file).write(to: URL(fileURLWithPath: path))
        return try CLIPModel(path: path)
    }

    private struct Stored: Equatable {
        let type: String
        let values: [Float]
    }

    private func tensors(_ path: String) throws -> [String: Stored] {
        try TensorArchive(path: path).entries.mapValues { entry in
            Stored(type: entry.type, values: try #require(entry.tensor).load().values)
        }
    }

    private func merged(
        with other: CLIPModel, alpha: Double, format: NumberFormat = .float32
    ) throws -> [String: Stored] {
        let path = folder.path + "/merged.safetensors"
        try model.write(safetensors: path, merging: other, alpha: alpha, format: format)
        return try tensors(path)
    }

    @Test(arguments: [0.25, 0.5, 0.9])
    func tensorsAreInterpolatedInFloat32(_ alpha: Double) throws {
        let other = try changed()
        let (a, b) = (model.parameters, other.parameters)
        let found = try merged(with: other, alpha: alpha)
        #expect(found.keys.sorted() == a.names)
        for name in a.names {
            let (own, others) = (a.tensor(name).values, b.tensor(name).values)
            let expected = zip(own, others).map { Float(1 - alpha) * $0 + Float(alpha) * $1 }
            let values = try #require(found[name]?.values)
            #expect(firstDifference(values, expected) == nil, "\(name)")
        }
    }

    @Test func endsHaveTheBitsOfOneModel() throws {
        // A sum with 0 times a number would lose the sign of -0.
        let other = try changed { number, index in index % 3 == 0 ? -0.0 : -number }
        for (alpha, expected) in [(0.0, model), (1.0, other)] {
            let found = try merged(with: other, alpha: alpha)
            for name in model.parameters.names {
                let values = try #require(found[name]?.values)
                let bits = expected.parameters.tensor(name).values.map(\.bitPattern)
                #expect(values.map(\.bitPattern) == bits, "alpha \(alpha): \(name)")
            }
        }
    }

    @Test(arguments: NumberFormat.allCases)
    func formatsAreWritten(_ format: NumberFormat) throws {
        let found = try merged(with: try changed { $0 + Float($1 % 2) }, alpha: 0.5, format: format)
        #expect(found.values.allSatisfy { $0.type.lowercased() == format.rawValue })
    }

    @Test func mergeIsAModelThatStatesItsOrigins() throws {
        let other = try changed { $0 + Float($1 % 5) / 100 }
        let path = folder.path + "/merged.safetensors"
        try model.write(
            safetensors: path, merging: other, alpha: 0.25, source: "A", otherSource: "B")
        let loaded = try CLIPModel(path: path)
        #expect(loaded.configuration == model.configuration)
        #expect(loaded.preprocessor == model.preprocessor)
        let merge = try #require(loaded.weights.merge)
        #expect(merge.first.name == "A")
        #expect(merge.first.fingerprint == model.fingerprint)
        #expect(merge.second.name == "B")
        #expect(merge.second.fingerprint == other.fingerprint)
        #expect(merge.alpha == 0.25)
        #expect(model.weights.merge == nil)
        #expect(try loaded.encode(tokens: [[1, 2, 63]]).values.allSatisfy(\.isFinite))

        // A converted merge keeps the statement.
        let converted = folder.path + "/converted.safetensors"
        try loaded.write(safetensors: converted, format: .bfloat16)
        #expect(try CLIPModel(path: converted).weights.merge == merge)
    }

    @Test func modelsMustAgree() throws {
        let path = folder.path + "/merged.safetensors"
        func error(_ other: CLIPModel, _ alpha: Double = 0.5) throws -> CLIPError {
            try #require(throws: CLIPError.self) {
                try model.write(safetensors: path, merging: other, alpha: alpha)
            }
        }
        for alpha in [-0.1, 1.1, .infinity] {
            #expect(try error(model, alpha) == .invalidAlpha(found: alpha))
        }
        #expect("\(try error(model, .nan))".contains("found nan"))
        let resnet = try CLIPModel(path: Fixtures.path("models/resnet"))
        #expect("\(try error(resnet))".contains("expected the image tower ViT"))

        let copy = folder.path + "/copy"
        try FileManager.default.copyItem(atPath: Fixtures.path("models/vit"), toPath: copy)
        let configuration = try String(
            decoding: bytes(ofFile: copy + "/open_clip_config.json"), as: UTF8.self)
        for (old, new, property, expected, found) in [
            ("\"quick_gelu\": true", "\"quick_gelu\": false", "activation", "quickgelu", "gelu"),
            ("shortest", "squash", "resize mode of images", "shortest", "squash"),
            ("bicubic", "bilinear", "interpolation of images", "bicubic", "bilinear"),
        ] {
            try folder.write(
                "copy/open_clip_config.json", configuration.replacing(old, with: new).utf8)
            let other = try CLIPModel(path: copy)
            #expect(
                try error(other)
                    == .differentModels(
                        path: other.weights.path, reference: model.weights.path,
                        property: property, expected: expected, found: found))
        }
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test func inputsAreNotReplaced() throws {
        let other = try changed()
        let before = try bytes(ofFile: other.weights.path)
        #expect(throws: CLIPError.self) {
            try model.write(safetensors: other.weights.path, merging: other, alpha: 0.5)
        }
        let link = folder.path + "/link.safetensors"
        try FileManager.default.createSymbolicLink(
            atPath: link, withDestinationPath: other.weights.path)
        #expect(throws: CLIPError.self) {
            try other.write(safetensors: link, merging: model, alpha: 0.5)
        }
        #expect(try bytes(ofFile: other.weights.path) == before)
    }

    @Test func nonFiniteWeightsAreNamed() throws {
        let other = try changed { number, index in index == 10_000 ? .infinity : number }
        let error = try #require(throws: CLIPError.self) {
            try model.write(
                safetensors: folder.path + "/merged.safetensors", merging: other, alpha: 0.5)
        }
        guard case .nonFiniteResult(let path, let stage) = error else { throw error }
        #expect(path == other.weights.path)
        #expect(stage.hasPrefix("the tensor "))
        let files = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(files == ["b.safetensors"], "\(files)")
    }
}
