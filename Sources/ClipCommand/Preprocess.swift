import ArgumentParser
import CLIP
import CLIPSearch

struct Preprocess: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write an image as the image tower sees it.",
        discussion: """
            A float32 array [3, r, r]: resized, cropped at the centre, normalised. Without --model, \
            CLIP_MODEL and a default set by clip pull, with OpenAI's mean and standard deviation at \
            224 pixels, as ViT-B/32 does.

            Examples:
              clip preprocess bike.jpg -o bike.npy
            """)

    @Argument(help: "A JPEG, PNG or WebP file.", completion: .file())
    var image: String

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("The .npy file to write; - is standard output.", valueName: "file"),
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
        preprocessor.rules = images.preprocess
        let image = try images.read(image, for: preprocessor)
        let side = preprocessor.resolution
        try write(npy(preprocessor(image), shape: [3, side, side]), to: output)
    }
}
