/// An error in opening a data set; see `EvaluationDataset`.
///
/// A single sample that cannot be used is not an error: its target is `.unusable`, and reading
/// continues.
///
/// ```swift
/// do {
///     _ = try EvaluationDataset(path: "imagenetv2")
/// } catch .missingSplit(_, _, let found) {
///     print("the splits are \(found)")
/// }
/// ```
@nonexhaustive
public enum DatasetError: Error, Hashable, Sendable {
    /// A file or folder of the data set cannot be read.
    case unreadable(path: String, reason: String)
    /// The data set lacks a required file; `expected` lists the paths where it was looked for, and
    /// `purpose` names its content, such as "class names".
    case missingFile(path: String, expected: [String], purpose: String)
    /// The data set does not have the split; `found` lists the splits that it has.
    case missingSplit(path: String, split: String, found: [String])
    /// The path has none of the supported layouts; `found` describes what is there.
    case unsupportedLayout(path: String, found: String)
    /// A file of the data set has unexpected content.
    case invalidContent(path: String, expected: String, found: String)
    /// A table has none of the columns in `expected`; `found` lists its columns.
    case missingColumn(path: String, expected: [String], found: [String])
    /// The number of class names differs from the number of class folders.
    case wrongClassCount(path: String, expected: Int, found: Int)
    /// The layout cannot hold a data set of the requested kind.
    case unsupportedKind(path: String, kind: EvaluationDataset.Kind)
}

extension DatasetError: CustomStringConvertible {
    /// The error as one line of English.
    public var description: String {
        switch self {
        case .unreadable(let path, let reason): return "cannot read \(path): \(reason)"
        case .missingFile(let path, let expected, let purpose):
            let places = expected.joined(separator: " or ")
            return "the data set \(path) lacks \(purpose): expected them in \(places)"
        case .missingSplit(let path, let split, let found):
            let there = found.isEmpty ? "none" : found.joined(separator: ", ")
            return "the data set \(path) has no split \(split): found \(there)"
        case .unsupportedLayout(let path, let found):
            return """
                \(path) is not a data set: expected a WebDataset (.tar), a folder with one \
                subfolder per class, or a table (.csv, .tsv, .jsonl), found \(found)
                """
        case .invalidContent(let path, let expected, let found):
            return "invalid content of \(path): expected \(expected), found \(found)"
        case .missingColumn(let path, let expected, let found):
            let names = expected.joined(separator: ", ")
            var there = found.prefix(12).map(\.quotedStart)
            if found.count > there.count { there.append("\(found.count - there.count) more") }
            return """
                \(path) lacks a column: expected one of \(names), found \
                \(there.isEmpty ? "none" : there.joined(separator: ", "))
                """
        case .wrongClassCount(let path, let expected, let found):
            return """
                wrong number of class names for \(path): expected \(expected), one for each \
                subfolder, found \(found)
                """
        case .unsupportedKind(let path, let kind):
            return "unsupported: the layout of \(path) cannot hold \(kind.content)"
        }
    }
}

extension EvaluationDataset.Kind {
    /// The content that a data set of this kind needs, for messages.
    fileprivate var content: String {
        switch self {
        case .classification: "a label for each image (classification)"
        case .multilabel: "several labels for an image (multilabel)"
        case .retrieval: "captions (retrieval)"
        }
    }
}
