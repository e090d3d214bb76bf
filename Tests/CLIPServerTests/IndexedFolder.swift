import CLIP
import CLIPSearch
import Foundation
import TestSupport

/// A temporary folder of small images with an index.
final class IndexedFolder {
    private let folder: TemporaryFolder
    /// The path of the indexed folder; its parent has room for other files.
    let path: String
    let model: CLIPModel

    private let modelPath: String

    static let modelPath = Fixtures.path("models/seeded")
    /// A model with other vectors.
    static let otherModelPath = Fixtures.path("models/vit")

    init(images: Int = 0, model modelPath: String = IndexedFolder.modelPath) throws {
        self.modelPath = modelPath
        folder = try TemporaryFolder()
        path = folder.path + "/photos"
        try FileManager.default.createDirectory(
            atPath: path + "/sub", withIntermediateDirectories: true)
        model = try CLIPModel(path: modelPath, threads: 2)
        for seed in 0..<images { try add("\(seed).png", seed: seed) }
        if images > 0 { try update() }
    }

    /// Returns a PNG file of 40 x 30 pixels, with other pixels for each seed.
    static func image(_ seed: Int) -> [UInt8] {
        var random = UInt32(truncatingIfNeeded: seed) &* 2_654_435_761 | 1
        let pixels = (0..<(40 * 30 * 3)).map { _ -> UInt8 in
            random = random &* 1_664_525 &+ 1_013_904_223
            return UInt8(random >> 24)
        }
        return pngFile(width: 40, height: 30, channels: 3, pixels: pixels)
    }

    func add(_ name: String, seed: Int) throws { try write(name, Self.image(seed)) }

    func write(_ name: String, _ bytes: [UInt8]) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: "\(path)/\(name)"))
    }

    func update(isRebuild: Bool = false) throws {
        _ = try IndexUpdate(
            folder: path, model: model, modelName: modelPath, isRebuild: isRebuild
        ).run()
    }

    func remove(_ name: String) throws {
        try FileManager.default.removeItem(atPath: "\(path)/\(name)")
    }

    /// Makes a symbolic link in the folder.
    func link(_ name: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(
            atPath: "\(path)/\(name)", withDestinationPath: target)
    }
}
