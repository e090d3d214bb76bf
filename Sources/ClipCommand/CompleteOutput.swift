import Files
import CLIPSearch

/// An output of `clip encode` that an earlier run has completed, and that --resume names again.
enum CompleteOutput {
    /// Refuses a complete output that another model or another normalisation has made.
    ///
    /// Other options and the inputs are not stored with it.
    ///
    /// - Parameter output: the path as the user gave it, for the message.
    static func check(
        _ path: FilePath, _ layout: EmbeddingWriter.Layout, wanted: ModelRecord, _ output: String
    ) throws {
        guard let origin = try EmbeddingWriter.origin(ofComplete: path, layout),
            let difference = difference(of: origin, from: wanted)
        else { return }
        throw Failure(
            """
            cannot resume \(output): it is complete and was made \(difference); give the same model and \
            options, or another name
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
