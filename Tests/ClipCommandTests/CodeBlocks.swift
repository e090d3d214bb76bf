// Written by Scripts/code_blocks.py from the code blocks of README, DocC and doc comments.
// swift-format-ignore-file

import CLIP
import CLIPAnalysis
import CLIPHub
import CLIPSearch
import Foundation

// README.md, block 1
func README_1() throws {
    // Package.swift: .package(url: "…/swift-clip", from: "0.1.0"), and the product "CLIP"
    let weights = "Weights/tiny.safetensors"  // any folder or file of CLIP weights
    let image = "Examples/bike.jpg"

    let model = try CLIPModel(path: weights)
    let images = try model.encode(images: [RGBImage(contentsOfFile: image)])
    let labels = ["a man riding bicycle", "a man climbing mountain"]
    let texts = try model.encode(texts: labels)
    let cosines = try images.cosineSimilarities(to: texts)[0]
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

// Sources/CLIP/CLIP.docc/CLIP.md, block 1
func CLIP_CLIP_docc_CLIP_1() throws {
    let model = try CLIPModel(path: "ViT-B-32")
    let classifier = try ZeroShotClassifier(
        model: model, labels: ["bicycle", "mountain"], templates: ["a photo of a {}."])
    let best = try classifier.classify(RGBImage(contentsOfFile: "bike.jpg"), top: 1)[0]
    print(best.label, best.probability)
    _ = model
    _ = classifier
    _ = best
}

// Sources/CLIP/CLIP.docc/CLIP.md, block 2
func CLIP_CLIP_docc_CLIP_2(model: CLIPModel, paths: [String]) async throws {
    for try await encoded in model.encodings(of: paths, decode: { path throws(CLIPError) in
        try RGBImage(contentsOfFile: path)
    }) {
        print(encoded.input, try encoded.embedding.get().count)
    }
}

// Sources/CLIP/CLIP.docc/Libraries.md, block 1
func CLIP_CLIP_docc_Libraries_1() throws {
    // Found on this machine, or downloaded. A progress callback that returns false, or a cancelled
    // task, stops it.
    let model = try ModelHub().fetch("ViT-B/32") { print($0.received); return true }.load()
    _ = model
}

// Sources/CLIP/CLIP.docc/Libraries.md, block 2
func CLIP_CLIP_docc_Libraries_2(model: CLIPModel) throws {
    let update = try IndexUpdate(folder: "photos", model: model, modelName: "ViT-B/32")
    print(try update.run())
    let dog = try model.encode(text: "a dog")
    let index = try FolderIndex(folder: "photos")
    for match in try index.search(dog, top: 10) { print(match.cosine, match.path) }
    let contents = try index.contents()
    let clusters = SphericalKMeans(contents.embeddings, clusters: 20).assignments
    let points = TSNE().layout(of: contents.embeddings).points
    _ = update
    _ = dog
    _ = index
    _ = contents
    _ = clusters
    _ = points
}

// Sources/CLIP/CLIP.docc/Libraries.md, block 3
func CLIP_CLIP_docc_Libraries_3(model: CLIPModel) throws {
    let dimension = model.configuration.embeddingDimension
    let products = try VectorIndex(at: "products.index", dimension: dimension)
    try products.add(["bike", "boat"], vectors: model.encode(texts: ["a bike", "a boat"]))
    let query = try model.encode(text: "a dog")
    for match in try products.search(query, top: 10) { print(match.cosine, match.id) }
    try products.remove(["boat"])
    _ = dimension
    _ = products
    _ = query
}

// Sources/CLIP/AsyncEncoding.swift, block 1
func CLIP_AsyncEncoding_1(images: [RGBImage], model: CLIPModel) async throws {
    let embeddings = try await model.encode(images: images)
    _ = embeddings
}

// Sources/CLIP/AsyncEncoding.swift, block 2
func CLIP_AsyncEncoding_2(images: [RGBImage], model: CLIPModel) async throws {
    let classifier = try await ZeroShotClassifier(model: model, labels: ["a dog", "a cat"])
    let predictions = try await classifier.classify(images)
    _ = classifier
    _ = predictions
}

// Sources/CLIP/AsyncEncodings.swift, block 1
func CLIP_AsyncEncodings_1(model: CLIPModel, paths: [String]) async throws {
    for try await encoded in model.encodings(of: paths, decode: { path throws(CLIPError) in
        try RGBImage(contentsOfFile: path)
    }) {
        print(encoded.input, try encoded.embedding.get().count)
    }
}

// Sources/CLIP/CLIPError.swift, block 1
func CLIP_CLIPError_1() throws {
    do {
        let model = try CLIPModel(path: "ViT-B-32.safetensors")
    } catch CLIPError.missingTensor(let path, let name, _, _) {
        print("\(path) has no \(name)")
    }
}

// Sources/CLIP/EncodingStream.swift, block 1
func CLIP_EncodingStream_1(model: CLIPModel, paths: [String]) throws {
    for encoded in model.encodings(of: paths, decode: { path throws(CLIPError) in
        try RGBImage(contentsOfFile: path)
    }) {
        print(encoded.input, try encoded.embedding.get().count)
    }
}

// Sources/CLIPHub/Fetching.swift, block 1
func CLIPHub_Fetching_1() async throws {
    let model = try await CLIPHub().fetch("ViT-B/32").load()
    _ = model
}

// Sources/CLIPHub/HubError.swift, block 1
func CLIPHub_HubError_1() throws {
    do {
        let model = try CLIPHub().fetch("ViT-B/32").load()
    } catch let error as HubError {
        print(error)
    }
}

// Sources/CLIPSearch/EmbeddingFileError.swift, block 1
func CLIPSearch_EmbeddingFileError_1(embeddings: NamedEmbeddings) throws {
    do {
        try embeddings.write(npy: "photos.npy")
    } catch {
        print(error)  // cannot write photos.npy: No space left on device
    }
}

// Sources/CLIPSearch/Index/IndexError.swift, block 1
func CLIPSearch_Index_IndexError_1() throws {
    do {
        let index = try FolderIndex(folder: "photos")
    } catch .missing(let folder) {
        print("\(folder) was not indexed yet")
    }
}

// Sources/CLIPSearch/VectorIndex/VectorID.swift, block 1
func CLIPSearch_VectorIndex_VectorID_1() throws {
    let title: VectorIndex.ID = "a title"
    let key = VectorIndex.ID([0xFF, 0x00])
    print(title.string ?? "not UTF-8", key.bytes)
    _ = title
    _ = key
}

// Sources/CLIPSearch/VectorIndex/VectorIndex.swift, block 1
func CLIPSearch_VectorIndex_VectorIndex_1(model: CLIPModel, query: [Float]) throws {
    let index = try VectorIndex(at: "products.index", dimension: 512)
    try index.add(["bike", "boat"], vectors: model.encode(texts: ["a bike", "a boat"]))
    for match in try index.search(query, top: 10) {
        print(match.cosine, match.id)
    }
    _ = index
}

// Sources/CLIPSearch/VectorIndex/VectorIndex.swift, block 2
func CLIPSearch_VectorIndex_VectorIndex_2(index: VectorIndex) throws {
    var last: VectorIndex.ID?
    while case let page = try index.ids(after: last, limit: 1000), !page.isEmpty {
        page.forEach { print($0) }
        last = page.last
    }
    _ = last
}

// Sources/CLIPSearch/VectorIndex/VectorIndexError.swift, block 1
func CLIPSearch_VectorIndex_VectorIndexError_1(index: VectorIndex, vector: [Float]) throws {
    do {
        try index.add("bike", vector: vector)
    } catch .busy(let path) {
        print("another process writes \(path)")
    }
}

// Sources/CLIPSearch/VectorStorage/VectorError.swift, block 1
func CLIPSearch_VectorStorage_VectorError_1(index: FolderIndex, query: [Float]) throws {
    do {
        _ = try index.search(query, top: 10)
    } catch .invalidVector(.wrongDimension(let expected, let found)) {
        print("the index has \(expected) dimensions, the query \(found)")
    }
}
