import ArgumentParser
import CLIP
import CLIPSearch

struct Preprocess: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write the preprocessed pixels of an image.",
        discussion: """
            Writes the input of the image tower, a float32 array [3, resolution, resolution]: \
            resized, centre-cropped and normalised. For NaFlex models, it is [3, height, width]. \
            If neither --model, CLIP_MODEL nor clip pull --default names a model, preprocesses as \
            ViT-B/32 does: 224 pixels, OpenAI's mean and standard deviation. --preprocess hf with \
            --reference gives exactly the pixels of transformers.

            Examples:
              clip preprocess bike.jpg -o bike.npy
            """)

    @Argument(help: "Preprocess an image file.", completion: .file())
    var image: String

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Write this .npy file; - is standard output.", valueName: "file"),
        completion: .file(extensions: ["npy"]))
    var output: String

    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions
    @OptionGroup var images: ImageOptions

    func validate() throws { try InputHints.check([image], streamedBy: nil) }

    func run() throws {
        try OutputChecks.checkSuffix(of: output, "-o", is: ["npy"], format: "npy")
        try OutputChecks.checkPlace(of: output)
        let isChosen = try model.isGiven || DefaultModel.stored() != nil
        var preprocessor = isChosen ? try model.preprocessor(common) : ImagePreprocessor()
        if let resolution = model.resolution, !isChosen {
            preprocessor.resolution = resolution
        }
        if let rules = images.preprocess { preprocessor.rules = rules }
        let image = try images.read(image, for: preprocessor)
        let (width, height) = preprocessor.size(of: image)
        try write(npy(preprocessor(image), shape: [3, height, width]), to: output)
    }
}
