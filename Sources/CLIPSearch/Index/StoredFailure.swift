internal import CLIP

/// The reason why an image cannot be read, as the database stores it: the message, followed by a
/// mark and the name of a limit if the image exceeds one.
struct StoredFailure {
    let reason: String
    let exceededLimit: ImageLimit?

    private static let limitMark = "\u{1F}"

    init(_ error: CLIPError) {
        reason = error.description
        exceededLimit = error.exceededLimit
    }

    init(text: String) {
        let parts = text.split(
            separator: Self.limitMark, maxSplits: 1, omittingEmptySubsequences: false)
        reason = String(parts.first ?? "")
        exceededLimit = parts.count > 1 ? ImageLimit(rawValue: String(parts[1])) : nil
    }

    var text: String {
        exceededLimit.map { "\(reason)\(Self.limitMark)\($0.rawValue)" } ?? reason
    }

    /// Returns true if a stored text describes the same failure.
    ///
    /// An older version wrote advice after the message, and no mark.
    func isCause(of text: String?) -> Bool {
        guard let text else { return false }
        return text == self.text || exceededLimit != nil && text.hasPrefix("\(reason); raise ")
    }
}
