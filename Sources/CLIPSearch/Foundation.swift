#if Foundation
    #if canImport(FoundationEssentials)
        public import FoundationEssentials
    #else
        public import Foundation
    #endif

    extension IndexError: LocalizedError {
        /// The error as one line of English.
        public var errorDescription: String? { description }
    }

    extension VectorIndexError: LocalizedError {
        /// The error as one line of English.
        public var errorDescription: String? { description }
    }

    extension VectorError: LocalizedError {
        /// The error as one line of English.
        public var errorDescription: String? { description }
    }

    extension DatasetError: LocalizedError {
        /// The error as one line of English.
        public var errorDescription: String? { description }
    }

    extension EmbeddingFileError: LocalizedError {
        /// The error as one line of English.
        public var errorDescription: String? { description }
    }
#endif
