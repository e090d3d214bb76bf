internal import Tensors

/// Sees the activations after each stage of a tower, under the stage's name in PyTorch.
typealias StageObserver = (_ stage: String, _ activations: Matrix) -> Void

extension CLIPModel {
    /// True for each tower whose weights have been read; for tests.
    var towersRead: (image: Bool, text: Bool) { (visual.isMade, textual.isMade) }

    /// The activations of a pass after every stage, for tests that look for the first that differs.
    func observe(pixels: [Float], _ observer: @escaping StageObserver) {
        let size = 3 * configuration.resolution * configuration.resolution
        workspaces.withWorkspace {
            _ = visual.value(
                pixels[...], batch: pixels.count / size, workspace: $0, observer: observer)
        }
    }

    /// The same for rows of tokens that end with the end token.
    func observe(tokens: [ArraySlice<Int>], _ observer: @escaping StageObserver) {
        workspaces.withWorkspace {
            _ = textual.value(tokens, workspace: $0, observer: observer)
        }
    }

    /// The input of the image projection of a ViT: the class tokens' features, [images, width].
    package func pooled(pixels: [Float]) -> [Float] {
        var found: [Float] = []
        observe(pixels: pixels) { if $0 == "visual.ln_post" { found = $1.values } }
        return found
    }

    /// The input of the text projection: [texts, width].
    package func pooled(tokens: [[Int]]) -> [Float] {
        var found: [Float] = []
        observe(tokens: tokens.map { $0[...] }) { if $0 == "ln_final" { found = $1.values } }
        return found
    }
}
