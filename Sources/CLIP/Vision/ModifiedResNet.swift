internal import Tensors

/// OpenAI's variant of ResNet: a stem of three convolutions, blocks with average pooling instead of
/// strided convolutions, and an attention pool.
///
/// Source: `ModifiedResNet` in `model.py` of openai/CLIP.
struct ModifiedResNet: VisionEncoder {
    private let stem: [Conv2D]
    private let layers: [[Bottleneck]]
    private let attnpool: AttentionPool2D
    private let resolution: Int

    init(
        _ parameters: Parameters, _ vision: CLIPConfiguration.ModifiedResNet, _ precision: Precision
    ) {
        stem = (1...3).map {
            Conv2D(
                parameters, "conv\($0)", "bn\($0)", stride: $0 == 1 ? 2 : 1, activation: .relu,
                format: precision.firstFormat)
        }
        layers = vision.layers.enumerated().map { stage, count in
            (0..<count).map { block in
                Bottleneck(
                    parameters.scoped("layer\(stage + 1).\(block)"), isFirst: block == 0,
                    stride: stage > 0 && block == 0 ? 2 : 1, format: precision.format)
            }
        }
        attnpool = AttentionPool2D(parameters.scoped("attnpool"), heads: vision.heads)
        resolution = vision.resolution
    }

    func callAsFunction(
        _ images: ImagePlanes, workspace: Workspace, observer: StageObserver?
    ) -> Matrix {
        var x = FeatureMap(
            planes: images.values, batch: images.count, channels: 3, height: resolution,
            width: resolution, workspace: workspace)  // [batch, r, r, 3]
        for convolution in stem { x = convolution(x) }  // [batch, r / 2, r / 2, width]
        x = x.averagePooled(2)  // [batch, r / 4, r / 4, width]
        observer?("visual.stem", x.matrix)
        for (stage, blocks) in layers.enumerated() {
            for (index, block) in blocks.enumerated() {
                x = block(x)  // [batch, r / 4 / 2^stage, …, 4 * width * 2^stage]
                observer?("visual.layer\(stage + 1).\(index)", x.matrix)
            }
        }
        let y = attnpool(x)  // [batch, embedding dimension]
        observer?("image_embedding", y)
        return y
    }
}

/// A bottleneck block: 1 x 1, 3 x 3 and 1 x 1 convolutions beside a shortcut.
///
/// Instead of a strided convolution, both branches have an average pool.
private struct Bottleneck: Sendable {
    private let conv1: Conv2D
    private let conv2: Conv2D
    private let conv3: Conv2D
    private let downsample: Conv2D?
    private let stride: Int

    init(_ parameters: Parameters, isFirst: Bool, stride: Int, format: ElementFormat) {
        conv1 = Conv2D(parameters, "conv1", "bn1", activation: .relu, format: format)
        conv2 = Conv2D(parameters, "conv2", "bn2", activation: .relu, format: format)
        conv3 = Conv2D(parameters, "conv3", "bn3", activation: .relu, format: format)
        downsample =
            isFirst
            ? Conv2D(
                parameters, "downsample.0", "downsample.1", activation: .identity, format: format)
            : nil
        self.stride = stride
    }

    func callAsFunction(_ x: FeatureMap) -> FeatureMap {
        let out = conv2(conv1(x)).averagePooled(stride)  // [.., planes]
        let identity = downsample.map { $0(x.averagePooled(stride)) } ?? x  // [.., 4 * planes]
        return conv3(out, addedTo: identity)  // relu(identity + conv3(out))
    }
}
