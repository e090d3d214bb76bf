import ArgumentParser
import CLIP

/// How texts are read.
struct TextOptions: ParsableArguments {
    @Flag(help: "Cut texts that are too long for the model instead of refusing them.")
    var truncate = false
}

/// How pictures are read.
struct PictureOptions: ParsableArguments {
    @Flag(help: "Read pictures exactly as OpenAI's Python does: EXIF's orientation is ignored.")
    var reference = false

    @Option(
        help: ArgumentHelp("Refuse pictures of more pixels than this.", valueName: "n"))
    var maxPixels = RGBImage.defaultMaximumPixels

    func validate() throws {
        if maxPixels < 1 {
            throw ValidationError("--max-pixels must be at least 1, not \(maxPixels).")
        }
    }

    func read(_ path: String) throws(CLIPError) -> RGBImage {
        var options: RGBImage.DecodingOptions = reference ? .reference : .init()
        options.maximumPixels = maxPixels
        return try RGBImage(contentsOfFile: path, options: options)
    }
}

/// What every subcommand takes.
struct CommonOptions: ParsableArguments {
    @Flag(name: .shortAndLong, help: "Print nothing but data and errors.")
    var quiet = false
}
