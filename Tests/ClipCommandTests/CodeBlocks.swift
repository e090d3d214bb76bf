// Written by Scripts/code_blocks.py: the code blocks of README, DocC and doc comments, to be compiled.
// swift-format-ignore-file

import CLIP
import CLIPHub
import CLIPSearch
import Foundation

// README.md, block 1
func README_1() async throws {
    // Package.swift: .package(url: "…/swift-clip", from: "0.1.0"), and the product "CLIP"
    let weights = "Weights/tiny.safetensors"  // any folder or file of CLIP weights
    let image = "Examples/bike.jpg"

    let model = try CLIPModel(path: weights)
    let images = try model.encode(images: [RGBImage(contentsOfFile: image)])
    let labels = ["a man riding bicycle", "a man climbing mountain"]
    let texts = try model.encode(texts: labels)
    let cosines = images.cosineSimilarities(to: texts)[0]
    for (label, probability) in zip(labels, model.probabilities(ofCosines: cosines)) {
        print(label, probability)
    }
    _ = weights
    _ = image
    _ = model
    _ = images
    _ = labels
    _ = texts
    _ = cosines
}

// README.md, block 2
func README_2() async throws {
    // Found where it is, or fetched; a progress callback that returns false, or a cancelled task, stops it.
    let model = try ModelHub().fetch("ViT-B/32") { print($0.received); return true }.load()
    _ = model
}

// README.md, block 3
func README_3(model: CLIPModel) async throws {
    let update = try IndexUpdate(folder: "photos", model: model, modelName: "ViT-B/32", decoding: .init())
    print(try update.run())
    let dog = try model.encode(texts: ["a dog"]).values
    let index = try FolderIndex(folder: "photos")
    for match in try index.search(dog, top: 10) { print(match.cosine, match.path) }
    let (images, embeddings) = try index.contents()
    let clusters = SphericalKMeans(embeddings, clusters: 20).assignments
    let points = TSNE().layout(of: embeddings).points
    _ = update
    _ = dog
    _ = index
    _ = (images, embeddings)
    _ = clusters
    _ = points
}

// Sources/CLIP/CLIP.docc/CLIP.md, block 1
func CLIP_CLIP_docc_CLIP_1() async throws {
    let model = try CLIPModel(path: "ViT-B-32")
    let classifier = try ZeroShotClassifier(
        model: model, labels: ["bicycle", "mountain"], templates: ["a photo of a {}."])
    let best = try classifier.classify([RGBImage(contentsOfFile: "bike.jpg")])[0][0]
    print(best.label, best.probability)
    _ = model
    _ = classifier
    _ = best
}

// Sources/CLIP/EncodingStream.swift, block 1
func CLIP_EncodingStream_1(model: CLIPModel, paths: [String]) async throws {
    for encoded in model.encodings(of: paths, decode: { path throws(CLIPError) in
        try RGBImage(contentsOfFile: path)
    }) {
        print(encoded.input, try encoded.embedding.get().count)
    }
}
