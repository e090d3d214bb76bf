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
        /// - Parameters:
        ///   - folder: The file URL of the folder.
        ///   - threads: The number of threads of a search; all cores of the process if nil.
        /// - Throws: `IndexError`; `.unreadableFolder` if the URL is not a file URL.
        public init(folder: URL, threads: Int? = nil) throws(IndexError) {
            try self.init(folder: folder.folderPath(), threads: threads)
        }
    }

    extension IndexUpdate {
        /// Prepares an update of the index of a folder.
        ///
        /// The parameters are those of the initialiser that takes a path.
        ///
        /// - Throws: `IndexError`; `.unreadableFolder` if the URL is not a file URL.
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
        /// Reads a `.npy` file and the names beside it.
        ///
        /// - Throws: `CLIPError.unreadableFile`, also if the URL is not a file URL.
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
