import ArgumentParser
import CLIP

struct Preprocess: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write a picture as the image tower sees it.",
        discussion: """
            A float32 array [3, r, r]: resized, cropped at the centre, normalised. Without a model, \
            with OpenAI's mean and standard deviation, at 224 pixels.
            """)

    @Argument(help: "A JPEG, PNG or WebP file.")
    var image: String

    @Option(name: .shortAndLong, help: ArgumentHelp("The .npy file to write.", valueName: "file"))
    var output: String

    @Option(help: ArgumentHelp("The side of the result, in pixels.", valueName: "r"))
    var resolution: Int?

    @OptionGroup var pictures: PictureOptions
    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions

    func validate() throws {
        if let resolution, !(1...8192).contains(resolution) {
            throw ValidationError("--resolution must be 1 to 8192, not \(resolution).")
        }
    }

    func run() throws {
        let picture = try pictures.read(image)
        var preprocessor = model.isGiven ? try model.preprocessor(common) : ImagePreprocessor()
        preprocessor.resolution = resolution ?? preprocessor.resolution
        let side = preprocessor.resolution
        try write(npy(preprocessor(picture), shape: [3, side, side]), to: output)
    }
}
