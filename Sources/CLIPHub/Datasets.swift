internal import Files
internal import CLIP

extension ModelHub {
    /// Downloads a split of a data set, unless it is on this machine, and returns the path of its
    /// folder, which has the WebDataset layout of CLIP_benchmark.
    ///
    /// The call blocks its thread. Files are verified, cached, shared and resumed as in `fetch`.
    ///
    /// - Parameters:
    ///   - name: The name of the data set in CLIP_benchmark, such as `wds/imagenetv2` or
    ///     `wds/vtab/cifar10`, or of a dataset repository, `owner/name`.
    ///   - split: The name of the split.
    ///   - progress: Called on the caller's thread for each received piece, and every 0.2 seconds
    ///     while no bytes arrive or another call downloads the file; returns false to stop.
    /// - Returns: The path of the folder that contains the folder of the split.
    /// - Throws: `HubError`. A failed download leaves no incomplete file under its final name.
    public func fetchDataset(
        _ name: String, split: String = "test",
        progress: (DownloadProgress) -> Bool = { _ in true }
    ) throws(HubError) -> String {
        fatalError()
    }

    /// Downloads a split of a data set without blocking the caller's thread.
    ///
    /// ```swift
    /// let folder = try await ModelHub().fetchDataset("wds/imagenetv2")
    /// ```
    ///
    /// - Parameters:
    ///   - name: The name of the data set in CLIP_benchmark, such as `wds/imagenetv2` or
    ///     `wds/vtab/cifar10`, or of a dataset repository, `owner/name`.
    ///   - split: The name of the split.
    ///   - progress: Called on another thread for each received piece, and every 0.2 seconds while
    ///     no bytes arrive or another call downloads the file; returns false to stop.
    /// - Returns: The path of the folder that contains the folder of the split.
    /// - Throws: `CancellationError` if the task is cancelled, `HubError.cancelled` if `progress`
    ///   returned false, any other `HubError`, and `CLIPError.noThread`.
    public func fetchDataset(
        _ name: String, split: String = "test",
        progress: @escaping @Sendable (DownloadProgress) -> Bool = { _ in true }
    ) async throws -> String {
        fatalError()
    }

    /// Returns the folder of a data set whose split is complete on this machine; nil if there is
    /// none.
    ///
    /// Nothing is downloaded or verified.
    ///
    /// - Parameters:
    ///   - name: Any name that `fetchDataset` accepts.
    ///   - split: The name of the split.
    /// - Returns: The path of the folder that contains the folder of the split, or nil.
    /// - Throws: `HubError.unknownDataset` if the name or the split is invalid.
    public func findDataset(_ name: String, split: String = "test") throws(HubError) -> String? {
        fatalError()
    }
}
