import Files
import CLIPSearch

/// Checks of an output of `clip encode` that is already complete when `--resume` is given.
enum CompleteOutput {
    /// Rejects a complete output with vectors of another model, precision or normalisation.
    ///
    /// Other options are not compared, because the output does not record them. The inputs are
    /// compared by `Encode.noteCompleteOutput`.
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
        guard let origin = try EmbeddingWriter.origin(ofComplete: path, layout) else { return }
        try check(origin, wanted, output)
    }

    /// Rejects a complete Parquet file or directory of clip-retrieval with vectors of another
    /// model, precision or normalisation.
    ///
    /// - Throws: `Failure` if the vectors differ.
    static func check(_ table: EmbeddingTable, wanted: ModelRecord, _ output: String) throws {
        guard let model = table.model else { return }
        try check(
            EmbeddingWriter.Origin(
                modelName: model.name, record: model, dimension: table.dimension), wanted, output)
    }

    private static func check(
        _ origin: EmbeddingWriter.Origin, _ wanted: ModelRecord, _ output: String
    ) throws {
        guard let difference = difference(of: origin, from: wanted) else { return }
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

extension Encode {
    /// Prints a note that a complete output is left unchanged, with the number of inputs that have
    /// no row in it.
    ///
    /// Archives and standard input are not read for this. If an input is one of them, or the output
    /// has no readable names, the note says that the inputs were not compared.
    ///
    /// - Parameters:
    ///   - rows: The rows of the output.
    ///   - job: The job, before it has counted any input.
    ///   - nextText: A function that returns the next text, or nil at the end.
    /// - Throws: Errors of `nextText`.
    func noteCompleteOutput(
        _ rows: any RowOutput, _ job: CollectionJob, _ nextText: () throws -> String?
    ) throws {
        let output = output ?? ""
        let sources = collection.sources(inputs)
        guard rows.count > 0, ImageCollection.canBeCounted(sources) else {
            note(
                "clip: \(output) is already complete; its rows were not compared with these inputs")
            return
        }
        var (count, missing) = (0, 0)
        func compare(_ kind: String, _ name: FilePath) {
            guard job.takesNext() else { return }
            count += 1
            if !rows.takeRow(kind, name) { missing += 1 }
        }
        for sample in ImageCollection(sources, rules: try collection.folders.rules()) {
            compare("image", sample.name)
        }
        while let text = try nextText() { compare("text", FilePath(text)) }
        guard missing > 0 else {
            note("clip: \(output) is already complete; nothing to do")
            return
        }
        let why =
            missing == 1
            ? "has no row in it (it failed, or is new); give another output to encode it"
            : "have no row in it (they failed, or are new); give another output to encode them"
        note(
            """
            clip: encode: \(output) is already complete, but \(grouped(missing)) of the \
            \(counted(count, "input")) \(why)
            """)
    }
}
