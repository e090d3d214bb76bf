internal import Tensors

/// A function that receives the activations after each stage of a tower, with the stage's name.
///
/// The name is that of the PyTorch module, such as `visual.ln_post`; stages that are not modules
/// have a name such as `visual.embeddings` or `image_embedding`.
typealias StageObserver = (_ stage: String, _ activations: Matrix) -> Void

extension CLIPModel {
    /// True for each tower that has read its weights; for tests.
    var towersRead: (image: Bool, text: Bool) { (visual.isMade, textual.isMade) }

    /// Runs the image tower with an observer, for tests that look for the first stage that differs.
    func observe(pixels: [Float], _ observer: @escaping StageObserver) {
        observe(ImagePlanes(pixels[...], resolution: configuration.resolution), observer)
    }

    /// Runs the image tower with an observer on images of any size that the tower accepts.
    func observe(_ images: ImagePlanes, _ observer: @escaping StageObserver) {
        workspaces.withWorkspace { _ = visual.value(images, workspace: $0, observer: observer) }
    }

    /// Runs the text tower with an observer on rows of tokens; those of a tower that attends to
    /// padding must be padded unless the vocabulary is known.
    func observe(
        tokens: [ArraySlice<Int>], _ observer: @escaping StageObserver
    ) throws(CLIPError) {
        var rows: [TextRow] = []
        for row in tokens { rows.append(try configuration.text.row(Array(row))) }
        workspaces.withWorkspace {
            _ = textual.value(rows, workspace: $0, observer: observer)
        }
    }

    /// Returns the pooled features, which are the input of a ViT's projection, [images, width]; an
    /// empty array for a ResNet.
    package func pooled(pixels: [Float]) -> [Float] {
        var found: [Float] = []
        observe(pixels: pixels) {
            if $0 == "visual.ln_post" || $0 == "visual.attn_pool" { found = $1.values }
        }
        return found
    }

    /// Returns the features of the end tokens, which are the input of the text projection, [texts,
    /// width].
    package func pooled(tokens: [[Int]]) throws(CLIPError) -> [Float] {
        var found: [Float] = []
        try observe(tokens: tokens.map { $0[...] }) { if $0 == "ln_final" { found = $1.values } }
        return found
    }
}
