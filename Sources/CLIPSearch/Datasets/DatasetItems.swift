internal import Files

extension EvaluationDataset {
    /// A stream of the items of a data set.
    ///
    /// A missing archive, an unreadable folder or an invalid row is an item with the target
    /// `.unusable`; the stream goes on. Copies share the position in files that are being read.
    public struct Items: Sequence, IteratorProtocol {
        /// The numbers of files found so far in unsupported image formats.
        public private(set) var skipped = SkippedFormats()

        init(_ dataset: EvaluationDataset) {}

        /// Returns the next item; nil at the end.
        public mutating func next() -> Item? { fatalError() }
    }
}
