package import Files

/// Labelled or captioned images on disk, with which a model is evaluated.
///
/// ```swift
/// let dataset = try EvaluationDataset(path: "imagenetv2")
/// for item in dataset.items() {
///     if case .label(let label) = item.target {
///         print(item.sample.path, dataset.classNames[label])
///     }
/// }
/// ```
///
/// The supported layouts are:
/// - the WebDataset layout of CLIP_benchmark: a folder for each split, with archives `0.tar`,
///   `1.tar` and so on, and their number in `nshards.txt`; beside the split folders,
///   `classnames.txt` and `zeroshot_classification_templates.txt` with one entry per line, and
///   `dataset_type.txt`; a sample has one image, such as `7.png`, and a target of the same name:
///   `7.cls` (an integer), `7.npy` (0 or 1 for each class) or `7.txt` (one caption per line);
/// - a single `.tar` archive, or a folder of archives, with these text files beside the archives or
///   one folder above;
/// - a folder with a subfolder for each class, which contains the images of that class;
/// - a table with a row for each image: CSV, TSV or JSON Lines.
///
/// In a folder of classes, the classes are sorted by the bytes of their names. If all names are
/// integers, as in ImageNet-V2, the integer is the label, and `classnames.txt` in that folder or
/// its parent names the classes. Images outside of the class folders are ignored. If the subfolder
/// of the split has subfolders and no images, those are the class folders.
///
/// The path of an image is in the column `filepath`, `path`, `image`, `image_path`, `file_name` or
/// `filename` of a table, and is relative to the folder of the table. The label is in `label`,
/// `class` or `label_id`, as a name or as an integer. Captions are in `caption`, `title` or `text`.
/// All rows of one image form one item with all its captions, so a table of captions is read into
/// memory as a whole; in JSON Lines, a caption may also be an array of strings.
///
/// Source: https://github.com/LAION-AI/CLIP_benchmark, `build_wds_dataset`.
public struct EvaluationDataset: Sendable {
    /// The task that the targets of a data set define.
    public enum Kind: String, Sendable, Hashable, Codable, CaseIterable {
        /// Each image has one label.
        case classification
        /// Each image has any number of labels.
        case multilabel
        /// Each image has captions.
        case retrieval
    }

    /// The last component of the path.
    public let name: String
    /// The task that the targets define.
    public let kind: Kind
    /// The names of the classes, in the order of the labels; empty for retrieval.
    ///
    /// Several classes may have the same name.
    public let classNames: [String]
    /// The prompt templates, with `{}` in place of the class name; nil if the data set has none.
    public let templates: [String]?

    let layout: Layout

    /// An image and its target.
    public struct Item: Sendable {
        /// The image, which need not be readable.
        public let sample: Sample
        /// The label or the captions of the image.
        public let target: Target
    }

    /// The label or the captions of an image.
    public enum Target: Sendable, Hashable {
        /// The index of the class, less than the number of classes.
        case label(Int)
        /// True for each class that the image belongs to; one element for each class.
        case labels([Bool])
        /// The captions, possibly none.
        case captions([String])
        /// The image or its target cannot be used.
        case unusable(reason: String)
    }

    /// The split and the descriptions of a data set that replace those on disk.
    public struct Options: Sendable, Hashable {
        /// The name of the split: the folder of its archives or class folders.
        public var split: String
        /// The class names; nil to read them from the data set.
        public var classNames: [String]?
        /// The prompt templates, with `{}` or `{c}` in place of the class name; nil to read them
        /// from the data set.
        public var templates: [String]?
        /// The kind; nil to read it from `dataset_type.txt` or, without that file, to derive it
        /// from the first sample or the columns of the table.
        public var kind: Kind?

        /// Creates options, by default those of the test split as it is on disk.
        ///
        /// - Parameters:
        ///   - split: The name of the split.
        ///   - classNames: The class names; nil to read them from the data set.
        ///   - templates: The prompt templates, with `{}` or `{c}` in place of the class name; nil
        ///     to read them from the data set.
        ///   - kind: The kind; nil to detect it.
        public init(
            split: String = "test", classNames: [String]? = nil, templates: [String]? = nil,
            kind: Kind? = nil
        ) {
            self.split = split
            self.classNames = classNames
            self.templates = templates
            self.kind = kind
        }
    }

    /// Opens a data set; no image is read.
    ///
    /// - Parameters:
    ///   - path: The path of a folder, archive or table.
    ///   - options: The split, and descriptions that replace those on disk.
    /// - Throws: `DatasetError` if the layout is unsupported, or a required file is missing or
    ///   invalid.
    public init(path: String, options: Options = Options()) throws(DatasetError) {
        try self.init(FilePath(path), options: options)
    }

    /// Opens a data set whose path is given as bytes, which need not be UTF-8.
    ///
    /// - Parameters:
    ///   - path: The bytes of the path of a folder, archive or table.
    ///   - options: The split, and descriptions that replace those on disk.
    /// - Throws: `DatasetError`.
    public init(path: [UInt8], options: Options = Options()) throws(DatasetError) {
        try self.init(FilePath(path), options: options)
    }

    /// Returns a stream of the items, in the order of the archives, classes or rows.
    public func items() -> Items { Items(self) }

    /// The number of items; nil for archives, which would have to be read as a whole.
    ///
    /// - Complexity: Lists the folders or reads the table at each access.
    public var count: Int? {
        if case .archives = layout { return nil }
        var items = items()
        var count = 0
        while items.next() != nil { count += 1 }
        return count
    }

    /// The path and the problem of the first row of a table that cannot be used; nil if there is
    /// none, or for other layouts.
    ///
    /// - Complexity: Reads the table at each access.
    package var firstProblem: String? {
        guard case .table = layout else { return nil }
        for item in items() {
            if case .unusable(let reason) = item.target { return "\(item.sample.path): \(reason)" }
        }
        return nil
    }

    /// Opens a data set whose path need not be UTF-8.
    package init(_ path: FilePath, options: Options = Options()) throws(DatasetError) {
        let found = try DatasetFinder(path: path, options: options).find()
        let descriptions = DatasetDescriptions(
            dataset: path, folders: found.folders, options: options)
        name = Self.name(of: path)
        var kind = try descriptions.kind()
        var names: [String] = []
        switch found.place {
        case .archives(let archives):
            kind = kind ?? archives.kind()
            if kind != .retrieval { names = try descriptions.requiredClassNames() }
            layout = .archives(archives)
        case .classFolders(let folder, let folders):
            kind = kind ?? .classification
            if let kind, kind != .classification {
                throw .unsupportedKind(path: folder.description, kind: kind)
            }
            let classes = try DatasetFinder.classes(in: folder, folders, descriptions)
            names = classes.names
            layout = .classFolders(classes.folders)
        case .table:
            let table = try DatasetTable(path, kind: kind)
            kind = table.kind
            if kind == .classification {
                // Without class names, the labels are the names, unless they are integers.
                if let given = try descriptions.classNames() {
                    names = given
                } else if let own = try table.labelNames() {
                    names = own
                } else {
                    names = try descriptions.requiredClassNames()
                }
            }
            layout = .table(table)
        }
        self.kind = kind ?? .classification
        classNames = names
        templates = self.kind == .retrieval ? nil : try descriptions.templates()
    }

    /// Returns the last component of a path, or that of the folder that `.` or `..` means.
    private static func name(of path: FilePath) -> String {
        let parts = path.bytes.split(separator: UInt8(ascii: "/"))
        if let last = parts.last, ![ArraySlice(".".utf8), ArraySlice("..".utf8)].contains(last) {
            return String(decoding: last, as: UTF8.self)
        }
        let real = FilePath((try? realPath(path.bytes)) ?? path.bytes)
        return String(decoding: real.lastComponent, as: UTF8.self)
    }
}
