#if Foundation
    public import CLIP

    #if canImport(FoundationEssentials)
        public import FoundationEssentials
    #else
        public import Foundation
    #endif

    extension FolderIndex {
        /// Opens the index of a folder.
        ///
        /// - Throws: `IndexError`; `.unreadableFolder` if the URL is not that of a file.
        public init(folder: URL, threads: Int? = nil) throws(IndexError) {
            try self.init(folder: folder.folderPath(), threads: threads)
        }
    }

    extension IndexUpdate {
        /// Prepares an update of the index of a folder, as `init(folder:)` of a path does.
        ///
        /// - Throws: `IndexError`; `.unreadableFolder` if the URL is not that of a file.
        public convenience init(
            folder: URL, model: CLIPModel, modelName: String,
            decoding: RGBImage.DecodingOptions = RGBImage.DecodingOptions(),
            isRebuild: Bool = false,
            isVerifying: Bool = false
        ) throws(IndexError) {
            try self.init(
                folder: folder.folderPath(), model: model, modelName: modelName, decoding: decoding,
                isRebuild: isRebuild, isVerifying: isVerifying)
        }
    }

    extension NamedEmbeddings {
        /// Reads `.npy` and the names beside it, as `init(npy:)` of a path does.
        ///
        /// - Throws: `CLIPError.unreadableFile`, also if the URL is not that of a file.
        public init(npy url: URL) throws(CLIPError) { try self.init(npy: url.filePath()) }
    }

    extension URL {
        fileprivate func folderPath() throws(IndexError) -> String {
            do {
                return try filePath()
            } catch {
                throw .unreadableFolder(
                    folder: absoluteString, reason: "it is not the URL of a file")
            }
        }
    }
#endif
