import ArgumentParser

/// A command whose arguments name files, folders or models; none of them may be empty.
protocol FileArguments: ParsableCommand {
    /// The arguments that must not be empty.
    var fileArguments: [FileArgument] { get }
}

/// An option or argument: its name for messages, and its values.
///
/// A value that is not given is nil.
struct FileArgument {
    let role: String
    let values: [String?]

    init(_ role: String, _ values: String?...) { self.init(role, values) }

    init(_ role: String, _ values: [String?]) {
        self.role = role
        self.values = values
    }
}

extension FileArguments {
    /// Rejects empty values, usually the result of an unset shell variable.
    ///
    /// - Throws: `Failure` with status 2 for an empty value.
    func checkFileArguments() throws {
        for argument in fileArguments where argument.values.contains("") {
            throw Failure("\(argument.role) is empty; is a shell variable unset?", status: 2)
        }
    }
}

extension CollectionOptions {
    fileprivate var files: [FileArgument] {
        [FileArgument("--files-from", filesFrom), FileArgument("--errors", errors)]
    }

    /// Rejects a command line that reads standard input (-) more than once.
    ///
    /// - Parameter others: The other arguments that may be `-`: inputs, files of labels or texts.
    /// - Throws: `ValidationError` for such a command line.
    func checkStandardInput(_ others: [String?]) throws {
        guard (filesFrom + others).count(where: { $0 == "-" }) > 1 else { return }
        throw ValidationError("standard input (-) can be given only once.")
    }
}

extension Encode: FileArguments {
    var fileArguments: [FileArgument] {
        [
            FileArgument("an input", inputs), FileArgument("--text-file", texts.textFile),
            FileArgument("--output", output), FileArgument("--model", model.model),
        ] + collection.files
    }
}

extension Zeroshot: FileArguments {
    var fileArguments: [FileArgument] {
        [
            FileArgument("an input", inputs), FileArgument("--labels", labelFile),
            FileArgument("--probe", probe), FileArgument("--model", model.model),
        ] + collection.files
    }
}

extension Similarity: FileArguments {
    var fileArguments: [FileArgument] {
        [
            FileArgument("an input", inputs), FileArgument("--image", image),
            FileArgument("--text-file", texts.file.textFile), FileArgument("--model", model.model),
        ] + collection.files
    }
}

extension Score: FileArguments {
    var fileArguments: [FileArgument] {
        [
            FileArgument("an input", inputs), FileArgument("--image", image),
            FileArgument("--text-file", texts.file.textFile), FileArgument("--pairs", pairs),
            FileArgument("--model", model.model),
        ] + collection.files
    }
}

extension Eval: FileArguments {
    var fileArguments: [FileArgument] {
        [
            FileArgument("the data set", source, dataset),
            FileArgument("--dataset_root", datasetRoot),
            FileArgument("--classes", classOptions.classes),
            FileArgument("--probe", probe),
            FileArgument("--output", output), FileArgument("--predictions", predictions),
            FileArgument("--report", report), FileArgument("--errors", errors),
            FileArgument("--model", modelOptions.model),
        ]
    }
}

extension Index: FileArguments {
    var fileArguments: [FileArgument] {
        [
            FileArgument("the folder", folder), FileArgument("--errors", errors),
            FileArgument("--model", model.model),
        ]
    }
}

extension Search: FileArguments {
    var fileArguments: [FileArgument] {
        [
            FileArgument("--index", index), FileArgument("--html", html),
            FileArgument("--model", model.model),
        ]
    }
}

extension Dedupe: FileArguments {
    var fileArguments: [FileArgument] {
        [
            FileArgument("the argument for vectors", source), FileArgument("--move-to", moveTo),
            FileArgument("--log", log), FileArgument("--undo", undo),
        ]
    }
}

extension Cluster: FileArguments {
    var fileArguments: [FileArgument] {
        [
            FileArgument("the argument for vectors", vectors.source),
            FileArgument("--labels", labels), FileArgument("--html", html),
            FileArgument("--model", model.model),
        ]
    }
}

extension Map: FileArguments {
    var fileArguments: [FileArgument] {
        [
            FileArgument("the argument for vectors", vectors.source),
            FileArgument("--output", output), FileArgument("--labels", labels),
            FileArgument("--model", model.model),
        ]
    }
}

extension Export: FileArguments {
    var fileArguments: [FileArgument] {
        [
            FileArgument("the argument for vectors", vectors.source),
            FileArgument("--output", output),
        ]
    }
}

extension Preprocess: FileArguments {
    var fileArguments: [FileArgument] {
        [
            FileArgument("the image", image), FileArgument("--output", output),
            FileArgument("--model", model.model),
        ]
    }
}

extension Bench: FileArguments {
    var fileArguments: [FileArgument] {
        [
            FileArgument("--image", image), FileArgument("--index", index),
            FileArgument("--model", model.model),
        ]
    }
}

extension Convert: FileArguments {
    var fileArguments: [FileArgument] {
        [FileArgument("the model", input), FileArgument("the output", output)]
    }
}

extension Merge: FileArguments {
    var fileArguments: [FileArgument] {
        [
            FileArgument("the first model", first), FileArgument("the second model", second),
            FileArgument("--output", output),
        ]
    }
}

extension ProbeTrain: FileArguments {
    var fileArguments: [FileArgument] {
        [
            FileArgument("the data set", data), FileArgument("--output", output),
            FileArgument("--classes", classOptions.classes), FileArgument("--errors", errors),
            FileArgument("--model", model.model),
        ]
    }
}

extension Info: FileArguments {
    var fileArguments: [FileArgument] { [FileArgument("the model", name)] }
}

extension Verify: FileArguments {
    var fileArguments: [FileArgument] {
        [FileArgument("the model", name), FileArgument("--as", expected)]
    }
}

extension Pull: FileArguments {
    var fileArguments: [FileArgument] { [FileArgument("the model", name)] }
}
