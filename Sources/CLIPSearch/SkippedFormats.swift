/// The numbers of image files that were skipped because their format is unsupported.
///
/// ```swift
/// var images = ImageCollection([.path("photos")])
/// while let image = images.next() { print(image.path) }
/// print(images.skipped)  // 5 files skipped: PSD 3, SVG 2
/// ```
public struct SkippedFormats: Sendable, Hashable, Codable {
    /// The number of files of each format, such as `["PSD": 3, "SVG": 2]`.
    public private(set) var counts: [String: Int] = [:]

    /// Creates counts without any file.
    public init() {}

    /// The number of files of all formats.
    public var total: Int { counts.values.reduce(0, +) }

    /// The formats with their counts, the largest count first, ties by name.
    package var sorted: [(format: String, count: Int)] {
        counts.map { ($0.key, $0.value) }.sorted { ($1.count, $0.format) < ($0.count, $1.format) }
    }

    /// Counts a file if its suffix is that of an unsupported image format.
    ///
    /// - Parameter pathExtension: The suffix in lower case.
    mutating func count(_ pathExtension: String) {
        if let format = Self.formats[pathExtension] { counts[format, default: 0] += 1 }
    }

    /// Adds the counts of `other`.
    static func += (total: inout SkippedFormats, other: SkippedFormats) {
        total.counts.merge(other.counts, uniquingKeysWith: +)
    }

    /// The unsupported image formats by suffix, in lower case.
    private static let formats: [String: String] = {
        let groups: [(format: String, endings: String)] = [
            ("HEIC", "heics"), ("HEIF", "heifs"), ("AVIF", "avifs"),
            ("JP2", "jp2 j2k j2c jpf jpx jpm"), ("JPEG XR", "jxr wdp hdp"),
            (
                "RAW",
                """
                3fr ari bay cap crw dcr erf fff gpr iiq k25 kdc mef mos mrw nrw pef ptx raw rwl \
                sr2 srf srw x3f
                """
            ),
            ("SVG", "svg svgz"), ("PSD", "psd psb"), ("ICO", "ico cur icns"), ("TGA", "tga"),
            ("PNM", "ppm pgm pbm pnm pam"), ("PCX", "pcx"), ("EXR", "exr"), ("XCF", "xcf"),
            ("QOI", "qoi"), ("DDS", "dds"),
        ]
        var formats: [String: String] = [:]
        for (format, endings) in groups {
            for ending in endings.split(separator: " ") { formats[String(ending)] = format }
        }
        return formats
    }()
}

extension SkippedFormats: CustomStringConvertible {
    /// The counts as one line of English, such as "5 files skipped: PSD 3, SVG 2".
    public var description: String {
        let list = sorted.map { "\($0.format) \($0.count)" }.joined(separator: ", ")
        return "\(total) \(total == 1 ? "file" : "files") skipped: \(list)"
    }
}
