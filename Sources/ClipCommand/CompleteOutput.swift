import Files
import CLIPSearch

/// Checks of an output of `clip encode` that is already complete when `--resume` is given.
enum CompleteOutput {
    /// Rejects a complete output with vectors of another model, precision or normalisation.
    ///
    /// Other options and the inputs are not compared, because the output does not record them.
    ///
    /// - Parameters:
    ///   - path: The path of the output.
    ///   - layout: The layout of the output.
    ///   - wanted: The record of the model of this run.
    ///   - output: The path as the user gave it, for the message.
    /// - Throws: `Failure` if the vectors differ; `EmbeddingFileError` if the output cannot be
    ///   read.
    static func check(
        _ path: FilePath, _ layout: EmbeddingWriter.Layout, wanted: ModelRecord, _ output: String
    ) throws {
        guard let origin = try EmbeddingWriter.origin(ofComplete: path, layout),
            let difference = difference(of: origin, from: wanted)
        else { return }
        throw Failure(
            """
            cannot resume \(output): it is complete and was made \(difference); give the same \
            model and options, or another output
            """)
    }

    private static func difference(
        of origin: EmbeddingWriter.Origin, from wanted: ModelRecord
    ) -> String? {
        guard let record = origin.record else {
            let name = ModelOptions.storedName(of: origin.modelName)
            return name == wanted.name && origin.dimension == wanted.dimension
                ? nil : "with the model \(origin.modelName), not \(wanted.name)"
        }
        guard record.fingerprint == wanted.fingerprint else {
            let names = record.names(comparedTo: wanted)
            return "with the model \(names.own), not \(names.other)"
        }
        guard record.precision == wanted.precision else {
            return "in \(record.precision.rawValue), not \(wanted.precision.rawValue)"
        }
        guard let isNormalized = record.isNormalized, isNormalized != wanted.isNormalized else {
            return nil
        }
        return isNormalized ? "without --no-normalize" : "with --no-normalize"
    }
}
