#if Foundation
    #if canImport(FoundationEssentials)
        public import FoundationEssentials
    #else
        public import Foundation
    #endif

    extension HubError: LocalizedError {
        /// The message, in one line.
        public var errorDescription: String? { description }
    }
#endif
