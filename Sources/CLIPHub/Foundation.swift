#if Foundation
    #if canImport(FoundationEssentials)
        public import FoundationEssentials
    #else
        public import Foundation
    #endif

    extension HubError: LocalizedError {
        /// The error as one line of English.
        public var errorDescription: String? { description }
    }
#endif
