import ArgumentParser
import CLIP
import CLIPSearch

struct Preprocess: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write a picture as the image tower sees it.",
        discussion: """
            A float32 array [3, r, r]: resized, cropped at the centre, normalised. Without a model, \
            with OpenAI's mean and standard deviation, at 224 pixels.
            """)

    @Argument(help: "A JPEG, PNG or WebP file.", completion: .file())
    var image: String

    @Option(
        name: .shortAndLong, help: ArgumentHelp("The .npy file to write.", valueName: "file"),
        completion: .file(extensions: ["npy"]))
    var output: String

    @OptionGroup var pictures: PictureOptions
    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions

    func run() throws {
        var preprocessor = model.isGiven ? try model.preprocessor(common) : ImagePreprocessor()
        if let resolution = model.resolution, !model.isGiven {
            preprocessor.resolution = resolution
        }
        preprocessor.rules = pictures.preprocess
        let picture = try pictures.read(image, for: preprocessor)
        let side = preprocessor.resolution
        try write(npy(preprocessor(picture), shape: [3, side, side]), to: output)
    }
}
