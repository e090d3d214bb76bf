// Written by Scripts/code_blocks.py from the code blocks of README, DocC and doc comments.
// swift-format-ignore-file

import CLIP
import CLIPAnalysis
import CLIPHub
import CLIPSearch
import CLIPServer
import Foundation

// README.md, block 1
func README_1() throws {
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

// Sources/CLIP/CLIP.docc/FromPython.md, block 1
func CLIP_CLIP_docc_FromPython_1() throws {
    let model = try ModelHub().fetch("ViT-B/32").load()
    let image = try RGBImage(contentsOfFile: "CLIP.png")
    let labels = ["a diagram", "a dog", "a cat"]

    let images = try model.encode(images: [image])
    let texts = try model.encode(texts: labels)
    let cosines = try images.cosineSimilarities(to: texts)[0]
    print("Label probs:", model.probabilities(ofCosines: cosines))
    _ = model
    _ = image
    _ = labels
    _ = images
    _ = texts
    _ = cosines
}

// Sources/CLIP/CLIP.docc/UseFromSwift.md, block 1
func CLIP_CLIP_docc_UseFromSwift_1() throws {
    let model = try CLIPModel(path: "Weights/tiny.safetensors")
    let classifier = try ZeroShotClassifier(model: model, labels: ["a bicycle", "a mountain"])
    let best = try classifier.classify(RGBImage(contentsOfFile: "Examples/bike.jpg"), top: 1)[0]
    print(best.label, best.probability)
    _ = model
    _ = classifier
    _ = best
}

// Sources/CLIP/CLIP.docc/UseFromSwift.md, block 2
func CLIP_CLIP_docc_UseFromSwift_2(model: CLIPModel) throws {
    let ids = try model.tokenizer.encode("a photo of a cat")
    let other = model.following(tokenizer: .huggingFace, preprocessing: .huggingFace)
    print(ids, try other.tokenizer.rules)
    _ = ids
    _ = other
}

// Sources/CLIP/CLIP.docc/UseFromSwift.md, block 3
func CLIP_CLIP_docc_UseFromSwift_3() throws {
    // Found on this machine, or downloaded. A progress callback that returns false, or a cancelled
    // task, stops it.
    let model = try ModelHub().fetch("ViT-B/32") { print($0.received); return true }.load()
    _ = model
}

// Sources/CLIP/CLIP.docc/UseFromSwift.md, block 4
func CLIP_CLIP_docc_UseFromSwift_4(model: CLIPModel) throws {
    let update = try IndexUpdate(folder: "photos", model: model, modelName: "ViT-B/32")
    print(try update.run())
    let dog = try model.encode(text: "a dog")
    let index = try FolderIndex(folder: "photos")
    for match in try index.search(dog, top: 10) { print(match.cosine, match.path) }
    let contents = try index.contents()
    let clusters = try SphericalKMeans(clusters: 20).run(on: contents.embeddings).assignments
    let points = try TSNE().run(on: contents.embeddings).points
    _ = update
    _ = dog
    _ = index
    _ = contents
    _ = clusters
    _ = points
}

// Sources/CLIP/CLIP.docc/UseFromSwift.md, block 5
func CLIP_CLIP_docc_UseFromSwift_5(model: CLIPModel) throws {
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

// Sources/CLIP/CLIP.docc/UseFromSwift.md, block 6
func CLIP_CLIP_docc_UseFromSwift_6() async throws {
    var options = ServerOptions()
    (options.models, options.indexes) = (["models/ViT-B-32"], ["photos"])
    let server = try Server(options: options) { name, _ in try CLIPModel(path: name) }
    try await server.run { address, port in print("http://\(address):\(port)") }
    _ = options
    _ = server
}

// Sources/CLIP/CLIP.docc/ZeroShot.md, block 1
func CLIP_CLIP_docc_ZeroShot_1(model: CLIPModel) throws {
    let classifier = try ZeroShotClassifier(
        model: model, labels: ["bicycle", "mountain"], templates: ["a photo of a {}."])
    for prediction in try classifier.classify(RGBImage(contentsOfFile: "bike.jpg")) {
        print(prediction.label, prediction.cosine, prediction.logit, prediction.probability)
    }
    _ = classifier
}

// Sources/CLIPAnalysis/CLIPAnalysis.docc/CLIPAnalysis.md, block 1
func CLIPAnalysis_CLIPAnalysis_docc_CLIPAnalysis_1(embeddings: Embeddings) throws {
    let clusters = try SphericalKMeans(clusters: 20).run(on: embeddings)
    print(clusters.assignments, clusters.meanCosine)

    let map = try TSNE(perplexity: 30).run(on: embeddings)
    for point in map.points { print(point.x, point.y) }
    _ = clusters
    _ = map
}

// Sources/CLIPAnalysis/CLIPAnalysis.docc/CLIPAnalysis.md, block 2
func CLIPAnalysis_CLIPAnalysis_docc_CLIPAnalysis_2(embeddings: Embeddings) throws {
    let axes = try PrincipalComponents(count: 3).run(on: embeddings) { share in
        print("\(Int(100 * share)) %")
        return share < 0.5
    }
    print(axes.variances)
    _ = axes
}

// Sources/CLIPAnalysis/CLIPAnalysis.docc/CLIPAnalysis.md, block 3
func CLIPAnalysis_CLIPAnalysis_docc_CLIPAnalysis_3(embeddings: Embeddings) async throws {
    let task = Task { try await NearDuplicates(threshold: 0.97).run(on: embeddings) }
    let groups = try await task.value.groups
    print(groups.map(\.kept))
    _ = task
    _ = groups
}

// Sources/CLIPAnalysis/CLIPAnalysis.docc/CLIPAnalysis.md, block 4
func CLIPAnalysis_CLIPAnalysis_docc_CLIPAnalysis_4() throws {
    var evaluation = Evaluation(classCount: 3)
    try evaluation.add(logits: [24.1, 20.3, 19.8], label: 0)
    print(evaluation.acc1, evaluation.acc1Interval)
    _ = evaluation
}

// Sources/CLIPHub/CLIPHub.docc/CLIPHub.md, block 1
func CLIPHub_CLIPHub_docc_CLIPHub_1() async throws {
    let hub = ModelHub()
    let installed = try await hub.fetch("ViT-B/32") { progress in
        print(progress.file, progress.received)
        return true  // false stops the download
    }
    let model = try installed.load()
    let embedding = try model.encode(text: "a photo of a dog")
    _ = hub
    _ = installed
    _ = model
    _ = embedding
}

// Sources/CLIPHub/CLIPHub.docc/CLIPHub.md, block 2
func CLIPHub_CLIPHub_docc_CLIPHub_2() throws {
    for model in HubModel.all where model.resolution <= 224 {
        print(model.name, model.embeddingDimension, model.license)
    }
}

// Sources/CLIPHub/CLIPHub.docc/CLIPHub.md, block 3
func CLIPHub_CLIPHub_docc_CLIPHub_3() throws {
    for model in HubModel.all where model.tokenizer != nil {
        print(model.name, model.tokenizer?.repository ?? "", model.tokenizer?.names ?? [])
    }
}

// Sources/CLIPHub/CLIPHub.docc/CLIPHub.md, block 4
func CLIPHub_CLIPHub_docc_CLIPHub_4() async throws {
    let folder = try await ModelHub().fetchDataset("wds/imagenetv2")
    let dataset = try EvaluationDataset(path: folder)
    print(dataset.classNames.count)
    _ = folder
    _ = dataset
}

// Sources/CLIPHub/CLIPHub.docc/CLIPHub.md, block 5
func CLIPHub_CLIPHub_docc_CLIPHub_5() async throws {
    do {
        let installed = try await ModelHub().fetch("openai/clip-vit-base-patch32")
        print(installed.path)
    } catch HubError.offline(let name) {
        print("\(name) is not installed, and downloads are forbidden")
    } catch let error as HubError {
        print(error)
    }
}

// Sources/CLIPSearch/CLIPSearch.docc/CLIPSearch.md, block 1
func CLIPSearch_CLIPSearch_docc_CLIPSearch_1(model: CLIPModel) throws {
    let update = try IndexUpdate(folder: "photos", model: model, modelName: "ViT-B/32")
    print(try update.run().encoded)

    let index = try FolderIndex(folder: "photos")
    let query = try model.encode(text: "a dog on a beach")
    for match in try index.search(query, top: 10) {
        print(match.cosine, match.path)
    }
    _ = update
    _ = index
    _ = query
}

// Sources/CLIPSearch/CLIPSearch.docc/CLIPSearch.md, block 2
func CLIPSearch_CLIPSearch_docc_CLIPSearch_2(model: CLIPModel) throws {
    let products = try VectorIndex(at: "products.index", dimension: 512)
    try products.add(["bike", "boat"], vectors: model.encode(texts: ["a bike", "a boat"]))
    try products.remove(["boat"])
    print(try products.count)
    _ = products
}

// Sources/CLIPSearch/CLIPSearch.docc/CLIPSearch.md, block 3
func CLIPSearch_CLIPSearch_docc_CLIPSearch_3(model: CLIPModel) throws {
    let samples = ImageCollection([.path("photos"), .path("shards/0001.tar")])
    let writer = try EmbeddingWriter(
        path: "photos.npy", layout: .npy, dimension: 512, job: "ViT-B/32")
    for encoded in model.encodings(of: samples, decode: { sample throws(CLIPError) in
        try sample.image(RGBImage.DecodingOptions())
    }) {
        try writer.append("image", encoded.input.pathBytes, vector: encoded.embedding.get())
    }
    try writer.finish()
    _ = samples
    _ = writer
}

// Sources/CLIPSearch/CLIPSearch.docc/CLIPSearch.md, block 4
func CLIPSearch_CLIPSearch_docc_CLIPSearch_4() throws {
    let dataset = try EvaluationDataset(path: "pets.csv")
    for item in dataset.items() {
        switch item.target {
        case .label(let label): print(item.sample.path, dataset.classNames[label])
        case .unusable(let reason): print("skipped \(item.sample.path): \(reason)")
        default: break
        }
    }
    _ = dataset
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

// Sources/CLIP/AsyncEncodings.swift, block 2
func CLIP_AsyncEncodings_2(model: CLIPModel, paths: [String]) async throws {
    for try await encoded in model.encodings(of: paths, decode: { path throws(CLIPError) in
        try RGBImage(contentsOfFile: path)
    }) {
        print(encoded.input, try encoded.embedding.get().count)
    }
}

// Sources/CLIP/CLIPConfiguration.swift, block 1
func CLIP_CLIPConfiguration_1() throws {
    let configuration = try CLIPModel(path: "ViT-B-32").configuration
    print(configuration.summary, configuration.embeddingDimension)
    // ViT, width 768, 12 layers, 12 heads, patch 32, 224 pixels 512
    _ = configuration
}

// Sources/CLIP/CLIPConfiguration.swift, block 2
func CLIP_CLIPConfiguration_2() throws {
    let model = try CLIPModel(path: "weights.pt", activation: .quickGELU)
    _ = model
}

// Sources/CLIP/CLIPError.swift, block 1
func CLIP_CLIPError_1() throws {
    do {
        print(try CLIPModel(path: "ViT-B-32.safetensors").configuration.summary)
    } catch CLIPError.missingTensor(let path, let name, _, _) {
        print("\(path) has no \(name)")
    }
}

// Sources/CLIP/CLIPError.swift, block 2
func CLIP_CLIPError_2() throws {
    do {
        print(try RGBImage(contentsOfFile: "bike.jpg").width)
    } catch where error.exceededLimit == .pixels {
        print("raise DecodingOptions.maximumPixels")
    }
}

// Sources/CLIP/CLIPModel.swift, block 1
func CLIP_CLIPModel_1() throws {
    let model = try CLIPModel(path: "ViT-B-32")
    let image = try model.encode(images: [RGBImage(contentsOfFile: "bike.jpg")])
    let texts = try model.encode(texts: ["a man riding bicycle", "a man climbing mountain"])
    print(try image.cosineSimilarities(to: texts))
    _ = model
    _ = image
    _ = texts
}

// Sources/CLIP/CLIPModel.swift, block 2
func CLIP_CLIPModel_2() throws {
    let model = try CLIPModel(path: "ViT-B-32.pt", threads: 4)
    _ = model
}

// Sources/CLIP/CLIPModel.swift, block 3
func CLIP_CLIPModel_3(model: CLIPModel) throws {
    let fast = try model.at(precision: Precision.bf16.isSupported ? .bf16 : .fp32)
    _ = fast
}

// Sources/CLIP/CLIPModel.swift, block 4
func CLIP_CLIPModel_4(model: CLIPModel) throws {
    let other = try model.at(engine: .blas)
    _ = other
}

// Sources/CLIP/CLIPModel.swift, block 5
func CLIP_CLIPModel_5(model: CLIPModel) throws {
    let other = model.following(tokenizer: .huggingFace, preprocessing: .huggingFace)
    _ = other
}

// Sources/CLIP/CLIPModel.swift, block 6
func CLIP_CLIPModel_6() throws {
    let model = try CLIPModel(path: "ViT-B-16-SigLIP2-256").caching(tokenizersIn: "/tmp/clip")
    _ = model
}

// Sources/CLIP/CLIPModel.swift, block 7
func CLIP_CLIPModel_7(bike: RGBImage, model: CLIPModel, mountain: RGBImage) throws {
    let embeddings = try model.encode(images: [bike, mountain])
    _ = embeddings
}

// Sources/CLIP/CLIPModel.swift, block 8
func CLIP_CLIPModel_8(model: CLIPModel) throws {
    let embeddings = try model.encode(texts: ["a man riding bicycle"])
    _ = embeddings
}

// Sources/CLIP/ConvenientEncoding.swift, block 1
func CLIP_ConvenientEncoding_1(model: CLIPModel) throws {
    let bike = try RGBImage(contentsOfFile: "bike.jpg")
    let vector = try model.encode(image: bike, normalized: true)
    _ = bike
    _ = vector
}

// Sources/CLIP/ConvenientEncoding.swift, block 2
func CLIP_ConvenientEncoding_2(model: CLIPModel) throws {
    let vector = try model.encode(text: "a man riding bicycle")
    _ = vector
}

// Sources/CLIP/Embeddings.swift, block 1
func CLIP_Embeddings_1(bike: RGBImage, model: CLIPModel, mountain: RGBImage) throws {
    let images = try model.encode(images: [bike, mountain])
    let texts = try model.encode(texts: ["a man riding bicycle"])
    print(images.count, images.dimension, try images.cosineSimilarities(to: texts))
    _ = images
    _ = texts
}

// Sources/CLIP/Encodings.swift, block 1
func CLIP_Encodings_1(model: CLIPModel, paths: [String]) throws {
    let encodings = model.encodings(of: paths) { path in
        let image = Result { () throws(CLIPError) in try RGBImage(contentsOfFile: path) }
        let width = (try? image.get())?.width ?? 0
        return DecodedInput(image, learned: width)
    }
    for encoded in encodings { print(encoded.input, encoded.learned) }
    _ = encodings
}

// Sources/CLIP/Encodings.swift, block 2
func CLIP_Encodings_2(model: CLIPModel, paths: [String]) throws {
    for encoded in model.encodings(of: paths, decode: { path throws(CLIPError) in
        try RGBImage(contentsOfFile: path)
    }) {
        switch encoded.embedding {
        case .success(let vector): print(encoded.input, vector.count)
        case .failure(let error): print(encoded.input, error)
        }
    }
}

// Sources/CLIP/Encodings.swift, block 3
func CLIP_Encodings_3(model: CLIPModel, paths: [String]) throws {
    for encoded in model.encodings(of: paths, decode: { path throws(CLIPError) in
        try RGBImage(contentsOfFile: path)
    }) {
        print(encoded.input, try encoded.embedding.get().count)
    }
}

// Sources/CLIP/Encodings.swift, block 4
func CLIP_Encodings_4(model: CLIPModel, paths: [String]) throws {
    for encoded in model.encodings(of: paths, decode: { path throws(CLIPError) in
        try RGBImage(contentsOfFile: path)
    }) {
        print(encoded.input, try encoded.embedding.get().count)
    }
}

// Sources/CLIP/Engine.swift, block 1
func CLIP_Engine_1() throws {
    let model = try CLIPModel(path: "ViT-B-32").at(engine: .blas)
    _ = model
}

// Sources/CLIP/Engine.swift, block 2
func CLIP_Engine_2() throws {
    if let blas = Engine.blasLibrary { print(blas.version, blas.core) }
    // OpenBLAS 0.3.21 SkylakeX
}

#if Foundation
// Sources/CLIP/FoundationInputs.swift, block 1
func CLIP_FoundationInputs_1() throws {
    let image = try RGBImage(contentsOf: URL(filePath: "bike.jpg"))
    _ = image
}
#endif

#if Foundation
// Sources/CLIP/FoundationInputs.swift, block 2
func CLIP_FoundationInputs_2() throws {
    let model = try CLIPModel(contentsOf: URL(filePath: "ViT-B-32"))
    _ = model
}
#endif

// Sources/CLIP/Precision.swift, block 1
func CLIP_Precision_1(model: CLIPModel) throws {
    let fast = try model.at(precision: Precision.bf16.isSupported ? .bf16 : .fp32)
    _ = fast
}

// Sources/CLIP/Text/HiddenStates.swift, block 1
func CLIP_Text_HiddenStates_1() throws {
    let model = try CLIPModel(path: "ViT-L-14").following(tokenizer: .huggingFace)
    let states = try model.hiddenStates(of: ["a photo of a dog"])
    print(states.count, states.positions, states.width)  // 1 77 768
    _ = model
    _ = states
}

// Sources/CLIP/Text/Tokenizing.swift, block 1
func CLIP_Text_Tokenizing_1(model: CLIPModel) throws {
    let ids = try model.tokenizer.tokenize("a cat", contextLength: 64)
    _ = ids
}

// Sources/CLIP/Text/Tokenizing.swift, block 2
func CLIP_Text_Tokenizing_2() throws {
    let ids = try BPETokenizer().tokenize("a cat")  // [49406, 320, 2368, 49407]
    _ = ids
}

// Sources/CLIP/Vision/ImagePreprocessor.swift, block 1
func CLIP_Vision_ImagePreprocessor_1() throws {
    let preprocessor = ImagePreprocessor(resolution: 224)
    let pixels = preprocessor(try RGBImage(contentsOfFile: "bike.jpg"))  // [3, 224, 224]
    _ = preprocessor
    _ = pixels
}

// Sources/CLIP/Vision/RGBImage.swift, block 1
func CLIP_Vision_RGBImage_1(buffer: [UInt8]) throws {
    let file = try RGBImage(contentsOfFile: "bike.jpg")
    let frame = try RGBImage(
        width: 640, height: 480, bytes: buffer, bytesPerRow: 2624, order: .bgra)
    _ = file
    _ = frame
}

// Sources/CLIP/Vision/RGBImage.swift, block 2
func CLIP_Vision_RGBImage_2() throws {
    var options = RGBImage.DecodingOptions()
    options.smallestSide = ImagePreprocessor(resolution: 224).fastDecodingSide
    let image = try RGBImage(contentsOfFile: "bike.jpg", options: options)
    _ = options
    _ = image
}

// Sources/CLIP/Vision/RGBImage.swift, block 3
func CLIP_Vision_RGBImage_3() throws {
    let image = try RGBImage(contentsOfFile: "bike.jpg")
    _ = image
}

// Sources/CLIP/Vision/RGBImage.swift, block 4
func CLIP_Vision_RGBImage_4(data: [UInt8]) throws {
    let image = try RGBImage(decoding: data)  // [UInt8], ArraySlice<UInt8>, Data
    _ = image
}

// Sources/CLIP/Vision/RawPixels.swift, block 1
func CLIP_Vision_RawPixels_1(frame: [UInt8]) throws {
    let image = try RGBImage(width: 640, height: 480, bytes: frame, order: .bgra)
    _ = image
}

// Sources/CLIP/Vision/RawPixels.swift, block 2
func CLIP_Vision_RawPixels_2(frame: [UInt8]) throws {
    let image = try RGBImage(
        width: 640, height: 480, bytes: frame, bytesPerRow: 2624, order: .bgra)
    _ = image
}

// Sources/CLIP/Weights/OfficialModel.swift, block 1
func CLIP_Weights_OfficialModel_1() throws {
    print(OfficialModel.vitL14at336.fileStem)  // ViT-L-14-336px
}

// Sources/CLIP/Weights/WeightNames.swift, block 1
func CLIP_Weights_WeightNames_1(model: CLIPModel) throws {
    print(model.weights.layout == .huggingFace)
}

// Sources/CLIP/Weights/WeightsDescription.swift, block 1
func CLIP_Weights_WeightsDescription_1(model: CLIPModel) throws {
    let weights = model.weights
    print(weights.path, weights.format, weights.types, weights.parameterCount)
    _ = weights
}

// Sources/CLIP/Weights/WeightsMerging.swift, block 1
func CLIP_Weights_WeightsMerging_1(model: CLIPModel) throws {
    let tuned = try CLIPModel(path: "tuned.safetensors")
    try model.write(safetensors: "merged.safetensors", merging: tuned, alpha: 0.5)
    _ = tuned
}

// Sources/CLIP/Weights/WeightsWriting.swift, block 1
func CLIP_Weights_WeightsWriting_1(model: CLIPModel) throws {
    try model.write(safetensors: "half.safetensors", format: .float16)
}

// Sources/CLIP/ZeroShot/PromptTemplates.swift, block 1
func CLIP_ZeroShot_PromptTemplates_1(model: CLIPModel) throws {
    let classifier = try ZeroShotClassifier(
        model: model, labels: ["dog", "cat"], templates: PromptTemplates.imageNet)
    _ = classifier
}

// Sources/CLIP/ZeroShot/Scores.swift, block 1
func CLIP_ZeroShot_Scores_1(cosines: [Float], labels: [String], model: CLIPModel) throws {
    if let sigmoids = model.sigmoidProbabilities(ofCosines: cosines) {
        print(zip(labels, sigmoids).filter { $0.1 > 0.1 })
    }
}

// Sources/CLIP/ZeroShot/ZeroShotClassifier.swift, block 1
func CLIP_ZeroShot_ZeroShotClassifier_1(classifier: ZeroShotClassifier, image: RGBImage) throws {
    for prediction in try classifier.classify(image, top: 3) {
        print(prediction.label, prediction.probability)
    }
}

// Sources/CLIP/ZeroShot/ZeroShotClassifier.swift, block 2
func CLIP_ZeroShot_ZeroShotClassifier_2(model: CLIPModel) throws {
    let classifier = try ZeroShotClassifier(
        model: model, labels: ["bicycle", "mountain"], templates: ["a photo of a {}."])
    let best = try classifier.classify(RGBImage(contentsOfFile: "bike.jpg"), top: 1)[0]
    print(best.label, best.probability)
    _ = classifier
    _ = best
}

// Sources/CLIPAnalysis/Analysis.swift, block 1
func CLIPAnalysis_Analysis_1(embeddings: Embeddings) throws {
    let clusters = try SphericalKMeans(clusters: 20).run(on: embeddings)
    let map = try TSNE().run(on: embeddings) { share in
        print("\(Int(100 * share)) %")
        return true
    }
    _ = clusters
    _ = map
}

// Sources/CLIPAnalysis/Analysis.swift, block 2
func CLIPAnalysis_Analysis_2(embeddings: Embeddings) async throws {
    let map = try await TSNE().run(on: embeddings)
    _ = map
}

// Sources/CLIPAnalysis/AnalysisError.swift, block 1
func CLIPAnalysis_AnalysisError_1(embeddings: Embeddings) throws {
    do {
        print(try SphericalKMeans(clusters: 20).run(on: embeddings).assignments)
    } catch .invalidOption(_, _, let expected) {
        print("expected \(expected) clusters")
    }
}

// Sources/CLIPAnalysis/CaptionScores.swift, block 1
func CLIPAnalysis_CaptionScores_1() throws {
    let score = CaptionScores.clipScore(cosine: 0.31)  // 0.775
    _ = score
}

#if Foundation
// Sources/CLIPAnalysis/Duplicates/DuplicateSearch.swift, block 1
func CLIPAnalysis_Duplicates_DuplicateSearch_1(index: FolderIndex) throws {
    let contents = try index.contents()
    let images = DuplicateSearch.Input(
        embeddings: contents.embeddings, digests: contents.images.map(\.digest)
    ) { row in
        try? Array(Data(contentsOf: URL(fileURLWithPath: contents.images[row].path)))
    }
    for group in try DuplicateSearch().run(on: images).groups {
        print(group.kept, group.members.filter(\.isDuplicate).map(\.row))
    }
    _ = contents
    _ = images
}
#endif

// Sources/CLIPAnalysis/Duplicates/NearDuplicates.swift, block 1
func CLIPAnalysis_Duplicates_NearDuplicates_1(embeddings: Embeddings) throws {
    for group in try NearDuplicates(threshold: 0.97).run(on: embeddings).groups {
        print(group.kept, group.duplicates.map(\.row))
    }
}

// Sources/CLIPAnalysis/Evaluation/ConfidenceInterval.swift, block 1
func CLIPAnalysis_Evaluation_ConfidenceInterval_1() throws {
    let interval = ConfidenceInterval.wilson(87, of: 100)
    print(interval.lower, interval.upper)  // 0.790 0.922
    _ = interval
}

// Sources/CLIPAnalysis/Evaluation/ContrastiveLoss.swift, block 1
func CLIPAnalysis_Evaluation_ContrastiveLoss_1(
    images: [RGBImage], model: CLIPModel, texts: [String]
) throws {
    let pairs = ContrastiveLoss.Input(
        images: try model.encode(images: images).normalized(),
        texts: try model.encode(texts: texts).normalized())
    let result = try ContrastiveLoss(logitScale: model.logitScale).run(on: pairs)
    print(result.loss, result.logitScaleGradient, result.imageGradients.count)
    _ = pairs
    _ = result
}

// Sources/CLIPAnalysis/Evaluation/Evaluation.swift, block 1
func CLIPAnalysis_Evaluation_Evaluation_1() throws {
    var evaluation = Evaluation(classCount: 3)
    try evaluation.add(logits: [24.1, 20.3, 19.8], label: 0)
    try evaluation.add(logits: [21.7, 22.4, 18.9], label: 0)
    print(evaluation.acc1, evaluation.acc1Interval)  // 0.5, 0.095...0.905
    _ = evaluation
}

// Sources/CLIPAnalysis/Evaluation/MultiLabelEvaluation.swift, block 1
func CLIPAnalysis_Evaluation_MultiLabelEvaluation_1() throws {
    var evaluation = MultiLabelEvaluation(classCount: 3)
    try evaluation.add(logits: [24.1, 20.3, 19.8], labels: [true, false, true])
    try evaluation.add(logits: [21.7, 22.4, 18.9], labels: [false, true, false])
    let result = evaluation.result()
    print(result.meanAveragePrecision, result.interval)
    _ = evaluation
    _ = result
}

// Sources/CLIPAnalysis/Evaluation/RetrievalMetrics.swift, block 1
func CLIPAnalysis_Evaluation_RetrievalMetrics_1(images: [RGBImage], model: CLIPModel) throws {
    let input = RetrievalMetrics.Input(
        images: try model.encode(images: images),
        texts: try model.encode(texts: ["a bicycle", "a man on a bicycle", "a mountain"]),
        imageOfText: [0, 0, 1])
    let result = try RetrievalMetrics().run(on: input)
    print(result.imageRetrievalRecall(at: 5), result.textRetrievalRecall(at: 5))
    _ = input
    _ = result
}

// Sources/CLIPAnalysis/Evaluation/SigmoidLoss.swift, block 1
func CLIPAnalysis_Evaluation_SigmoidLoss_1(
    images: [RGBImage], model: CLIPModel, texts: [String]
) throws {
    let pairs = SigmoidLoss.Input(
        images: try model.encode(images: images).normalized(),
        texts: try model.encode(texts: texts).normalized())
    let result = try SigmoidLoss(logitScale: 10, logitBias: -10).run(on: pairs)
    print(result.loss, result.logitScaleGradient, result.logitBiasGradient)
    _ = pairs
    _ = result
}

// Sources/CLIPAnalysis/PairEvaluation.swift, block 1
func CLIPAnalysis_PairEvaluation_1(images: [RGBImage], model: CLIPModel, texts: [String]) throws {
    let pairs = PairEvaluation.Input(
        images: try model.encode(images: images), texts: try model.encode(texts: texts))
    let result = try PairEvaluation(logitScale: model.logitScale).run(on: pairs)
    print(result.loss, result.imageToText.recall(at: 5))
    _ = pairs
    _ = result
}

// Sources/CLIPAnalysis/PrincipalComponents.swift, block 1
func CLIPAnalysis_PrincipalComponents_1(embeddings: Embeddings) throws {
    let result = try PrincipalComponents(count: 2).run(on: embeddings)
    print(result.variances, result.coordinates[0])
    _ = result
}

// Sources/CLIPAnalysis/Probe/LabelledVectors.swift, block 1
func CLIPAnalysis_Probe_LabelledVectors_1(embeddings: Embeddings) throws {
    let examples = try LabelledVectors(embeddings, labels: [0, 1, 1, 0], classCount: 2)
    let few = examples.shots(1, seed: 0)
    print(few.labels.count)  // 2
    _ = examples
    _ = few
}

// Sources/CLIPAnalysis/Probe/LinearClassifier.swift, block 1
func CLIPAnalysis_Probe_LinearClassifier_1(embeddings: Embeddings) throws {
    let examples = try LabelledVectors(embeddings, labels: [0, 1, 1, 0], classCount: 2)
    let probe = try LinearProbe().run(on: examples)
    let logits = try probe.classifier.logits(of: embeddings)
    print(logits[0].count, probe.classifier.classCount)
    _ = examples
    _ = probe
    _ = logits
}

// Sources/CLIPAnalysis/Probe/LinearProbe.swift, block 1
func CLIPAnalysis_Probe_LinearProbe_1(embeddings: Embeddings) throws {
    let examples = try LabelledVectors(embeddings, labels: [0, 1, 2, 0], classCount: 3)
    let result = try LinearProbe(c: 0.316).run(on: examples)
    print(result.loss, result.iterations, try result.classifier.logits(of: embeddings))
    _ = examples
    _ = result
}

// Sources/CLIPAnalysis/Probe/TipAdapter.swift, block 1
func CLIPAnalysis_Probe_TipAdapter_1(embeddings: Embeddings, model: CLIPModel) throws {
    let texts = try model.encode(texts: ["a photo of a cat", "a photo of a dog"])
    let examples = try LabelledVectors(embeddings, labels: [0, 1], classCount: 2)
    let adapter = try TipAdapter(examples: examples, labelEmbeddings: texts)
    print(try adapter.logits(of: embeddings))
    _ = texts
    _ = examples
    _ = adapter
}

// Sources/CLIPAnalysis/Probe/ZeroShotLinearProbe.swift, block 1
func CLIPAnalysis_Probe_ZeroShotLinearProbe_1(embeddings: Embeddings, model: CLIPModel) throws {
    let texts = try model.encode(texts: ["a photo of a cat", "a photo of a dog"])
    let probe = ZeroShotLinearProbe(labelEmbeddings: texts)
    let examples = try LabelledVectors(embeddings, labels: [0, 1], classCount: 2)
    let result = try probe.run(on: examples)
    print(try result.classifier.logits(of: embeddings.normalized()))
    _ = texts
    _ = probe
    _ = examples
    _ = result
}

// Sources/CLIPAnalysis/SphericalKMeans.swift, block 1
func CLIPAnalysis_SphericalKMeans_1(embeddings: Embeddings) throws {
    let result = try SphericalKMeans(clusters: 20).run(on: embeddings)
    print(result.assignments, result.meanCosine)
    _ = result
}

// Sources/CLIPAnalysis/TSNE/TSNE.swift, block 1
func CLIPAnalysis_TSNE_TSNE_1(embeddings: Embeddings) throws {
    let map = try TSNE(perplexity: 30).run(on: embeddings)
    for point in map.points { print(point.x, point.y) }
    _ = map
}

// Sources/CLIPHub/Datasets.swift, block 1
func CLIPHub_Datasets_1() async throws {
    let folder = try await ModelHub().fetchDataset("wds/imagenetv2")
    _ = folder
}

// Sources/CLIPHub/Download.swift, block 1
func CLIPHub_Download_1() async throws {
    let installed = try await ModelHub().fetch("ViT-B/32") { progress in
        print("\(progress.file): \(progress.received) of \(progress.total ?? 0) bytes")
        return true  // false stops the download
    }
    _ = installed
}

// Sources/CLIPHub/Fetching.swift, block 1
func CLIPHub_Fetching_1() async throws {
    let model = try await ModelHub().fetch("ViT-B/32").load()
    _ = model
}

// Sources/CLIPHub/HubError.swift, block 1
func CLIPHub_HubError_1() throws {
    do {
        let installed = try ModelHub().fetch("ViT-B/32")
        print(installed.path)
    } catch let error as HubError {
        print(error)
    }
}

// Sources/CLIPHub/HubModel.swift, block 1
func CLIPHub_HubModel_1() throws {
    if let model = HubModel.named("ViT-B/32") {
        print(model.name, model.embeddingDimension, model.resolution, model.license)
    }
    let accurate = HubModel.all.filter { ($0.imageNetAccuracy ?? 0) > 80 }.map(\.name)
    _ = accurate
}

// Sources/CLIPHub/ModelHub.swift, block 1
func CLIPHub_ModelHub_1() async throws {
    let hub = ModelHub()
    let installed = try await hub.fetch("ViT-B/32")
    let model = try installed.load()
    _ = hub
    _ = installed
    _ = model
}

// Sources/CLIPHub/ModelHub.swift, block 2
func CLIPHub_ModelHub_2() throws {
    if let installed = try ModelHub().find("ViT-B/32") {
        let model = try installed.load()
        print(installed.path, model.configuration.resolution)
    }
}

// Sources/CLIPSearch/Datasets/DatasetError.swift, block 1
func CLIPSearch_Datasets_DatasetError_1() throws {
    do {
        _ = try EvaluationDataset(path: "imagenetv2")
    } catch .missingSplit(_, _, let found) {
        print("the splits are \(found)")
    }
}

// Sources/CLIPSearch/Datasets/EvaluationDataset.swift, block 1
func CLIPSearch_Datasets_EvaluationDataset_1() throws {
    let dataset = try EvaluationDataset(path: "imagenetv2")
    for item in dataset.items() {
        if case .label(let label) = item.target {
            print(item.sample.path, dataset.classNames[label])
        }
    }
    _ = dataset
}

// Sources/CLIPSearch/EmbeddingFileError.swift, block 1
func CLIPSearch_EmbeddingFileError_1(embeddings: NamedEmbeddings) throws {
    do {
        try embeddings.write(npy: "photos.npy")
    } catch {
        print(error)  // cannot write photos.npy: No space left on device
    }
}

// Sources/CLIPSearch/EmbeddingWriter.swift, block 1
func CLIPSearch_EmbeddingWriter_1(model: CLIPModel, paths: [String]) throws {
    let writer = try EmbeddingWriter(
        path: "photos.npy", layout: .npy, dimension: 512, job: "ViT-B/32", resuming: true)
    for path in paths where !writer.isWhole && !writer.takeRow("image", path) {
        let vector = try model.encode(image: RGBImage(contentsOfFile: path))
        try writer.append("image", path, vector: vector)
    }
    if !writer.isWhole { try writer.finish() }
    _ = writer
}

// Sources/CLIPSearch/ImageCollection.swift, block 1
func CLIPSearch_ImageCollection_1() throws {
    for sample in ImageCollection([.path("photos"), .path("more/*.jpg")]) {
        print(sample.path, try sample.image(RGBImage.DecodingOptions()).width)
    }
}

// Sources/CLIPSearch/Index/FolderIndex.swift, block 1
func CLIPSearch_Index_FolderIndex_1(query: [Float]) throws {
    let index = try FolderIndex(folder: "photos")
    for match in try index.search(query, top: 10) { print(match.cosine, match.path) }
    _ = index
}

// Sources/CLIPSearch/Index/IndexError.swift, block 1
func CLIPSearch_Index_IndexError_1() throws {
    do {
        print(try FolderIndex(folder: "photos").count)
    } catch .missing(let folder) {
        print("\(folder) was not indexed yet")
    }
}

// Sources/CLIPSearch/Index/IndexUpdate.swift, block 1
func CLIPSearch_Index_IndexUpdate_1(model: CLIPModel) throws {
    let update = try IndexUpdate(folder: "photos", model: model, modelName: "ViT-B/32")
    let summary = try update.run()
    print(summary.encoded, summary.failures.map(\.path))
    _ = update
    _ = summary
}

// Sources/CLIPSearch/ModelRecord.swift, block 1
func CLIPSearch_ModelRecord_1(index: FolderIndex, model: CLIPModel) throws {
    let record = ModelRecord(model, name: "ViT-B/32")
    print(record.fingerprint == index.model.fingerprint)  // true if vectors are comparable
    _ = record
}

// Sources/CLIPSearch/NamedEmbeddings.swift, block 1
func CLIPSearch_NamedEmbeddings_1(model: CLIPModel, query: [Float]) throws {
    var titles = NamedEmbeddings(dimension: 512)
    try titles.append("a bike", model.encode(text: "a bike"))
    try titles.write(npy: "titles.npy")
    for match in try titles.search(query, top: 10) { print(match.cosine, match.path) }
    _ = titles
}

// Sources/CLIPSearch/SearchQuery.swift, block 1
func CLIPSearch_SearchQuery_1() throws {
    let terms = try SearchQuery.terms(of: ["2:a dog", "+", "a beach", "-", "fruit"])
    print(terms.map(\.weight))  // [2, 1, -1]
    _ = terms
}

// Sources/CLIPSearch/SkippedFormats.swift, block 1
func CLIPSearch_SkippedFormats_1() throws {
    var images = ImageCollection([.path("photos")])
    while let image = images.next() { print(image.path) }
    print(images.skipped)  // 5 files skipped: PSD 3, SVG 2
    _ = images
}

// Sources/CLIPSearch/TextCollection.swift, block 1
func CLIPSearch_TextCollection_1() throws {
    var captions = try TextCollection("captions.txt")
    while let text = try captions.next() { print(text) }
    _ = captions
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
func CLIPSearch_VectorIndex_VectorIndexError_1() throws {
    do {
        _ = try VectorIndex(at: "products.index", dimension: 512)
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

// Sources/CLIPServer/Server.swift, block 1
func CLIPServer_Server_1() async throws {
    var options = ServerOptions()
    options.models = ["ViT-B/32"]
    let server = try Server(options: options) { name, _ in try CLIPModel(path: name) }
    try await server.run { address, port in print("http://\(address):\(port)") }
    _ = options
    _ = server
}

// Sources/CLIPServer/Worker/EncodingWorker.swift, block 1
func CLIPServer_Worker_EncodingWorker_1() throws {
    let worker = EncodingWorker(model: try CLIPModel(path: "ViT-B-32.safetensors"))
    try worker.run()
    _ = worker
}

// Sources/Tokenizers/BPETokenizer.swift, block 1
func Tokenizers_BPETokenizer_1() throws {
    let tokenizer = BPETokenizer()
    let ids = try tokenizer.tokenize("a cat")  // [49406, 320, 2368, 49407]
    print(tokenizer.decode(ids))
    _ = tokenizer
    _ = ids
}

// Sources/Tokenizers/SentencePiece/SentencePieceTokenizer.swift, block 1
func Tokenizers_SentencePiece_SentencePieceTokenizer_1() throws {
    let tokenizer = try SentencePieceTokenizer(contentsOf: "tokenizer.model", format: .siglip2)
    let ids = tokenizer.encode("a photo of a cat")  // [235250, 2686, 576, 476, 4401]
    print(tokenizer.decode(ids))
    _ = tokenizer
    _ = ids
}

// Sources/Tokenizers/Tokenizer.swift, block 1
func Tokenizers_Tokenizer_1() throws {
    let model = try CLIPModel(path: "ViT-B-16-SigLIP2-256")
    let ids = try model.tokenizer.encode("a photo of a cat")
    _ = model
    _ = ids
}
