internal import Files
internal import CLIP
internal import Tensors

/// The samples of a WebDataset shard: a tar archive in which adjacent files with the same name up
/// to the first dot form a sample, such as `0001.jpg`, `0001.cls`, `0001.txt` and `0001.json`.
///
/// The archive is read as a stream. A truncated archive yields its complete samples, and then an
/// unreadable sample that names what was lost. If the archive ends between two files, the last
/// sample counts as complete if it has the suffixes of the first one.
///
/// Source: https://github.com/webdataset/webdataset, "The WebDataset Format".
package struct WebDataset: Sequence, IteratorProtocol {
    /// The numbers of files found so far in unsupported image formats.
    package private(set) var skipped = SkippedFormats()

    private let name: FilePath
    private var reader: TarReader
    private var waiting: [(key: FilePath, ending: String, name: FilePath, bytes: [UInt8])] = []
    private var isFinished = false
    private var ready: [Sample] = []
    private var count = 0
    private var reading: FilePath = ""
    /// The suffixes of the files of the first sample.
    private var firstEndings: Set<String>?

    /// The suffixes of the files that become fields of a sample.
    private let fields: Set<String>

    /// The suffix of the files with the targets of a data set; nil if the archive is no data set.
    private let target: String?

    private static let usualFields: Set<String> = ["cls", "txt", "json"]
    private static let largestField = 1 << 24

    /// Reads an archive.
    ///
    /// - Parameters:
    ///   - name: The path of the archive.
    ///   - file: The open archive.
    ///   - target: The suffix of the files with the targets of a data set, which are then read as
    ///     fields, too. A sample that has such a file and no image is unreadable; if nil, samples
    ///     without images are ignored.
    init(_ name: FilePath, _ file: InputFile, target: String? = nil) {
        self.name = name
        self.target = target
        fields = target.map { Self.usualFields.union([$0]) } ?? Self.usualFields
        reader = TarReader(file)
    }

    /// Returns the next sample; nil at the end.
    package mutating func next() -> Sample? {
        while ready.isEmpty && !isFinished {
            do throws(TarReader.Failure) {
                guard let member = try reader.next() else {
                    finishSample()
                    isFinished = true
                    break
                }
                let (key, ending) = Self.split(member.name)
                guard member.name.lastComponent.first != UInt8(ascii: ".") else { continue }
                // A second file with the same suffix belongs to the next sample, even if the names
                // are equal up to the first dot.
                if waiting.contains(where: { $0.key != key || $0.ending == ending }) {
                    finishSample()
                }
                reading = member.name
                let isImage = FolderWalk.imageExtensions.contains(ending)
                guard isImage || fields.contains(ending) else {
                    skipped.count(ending)
                    continue
                }
                let limit = isImage ? RGBImage.maximumFileSize : Self.largestField
                guard member.size <= limit else {
                    let reason = "it is too large (\(member.size) bytes, limit \(limit))"
                    ready.append(
                        Sample(name.appending(member.name.bytes), .unreadable(reason: reason)))
                    continue
                }
                let bytes = try reader.content(of: member)
                waiting.append((key, ending, member.name, bytes))
            } catch {
                isFinished = true
                if error.isBetweenFiles && isLikeFirst { finishSample() }
                let parts = waiting.map(\.name) + (error.isBetweenFiles ? [] : [reading])
                let lost = parts.last.map { "; the sample of \($0) is lost" } ?? ""
                let samples = count == 1 ? "1 complete sample" : "\(count) complete samples"
                let reason = "\(error.reason), after \(samples)\(lost)"
                ready.append(Sample(name, .unreadable(reason: reason)))
            }
        }
        return ready.isEmpty ? nil : ready.removeFirst()
    }

    private var endings: Set<String> { Set(waiting.map(\.ending)) }

    /// True if the sample being read has the suffixes of the first one, so that it seems complete.
    private var isLikeFirst: Bool { firstEndings == nil || endings == firstEndings }

    /// Makes a sample of the files that were read.
    private mutating func finishSample() {
        firstEndings = firstEndings ?? endings
        var fields: [String: [UInt8]] = [:]
        for part in waiting where self.fields.contains(part.ending) {
            fields[part.ending] = part.bytes
        }
        let before = count
        for part in waiting where FolderWalk.imageExtensions.contains(part.ending) {
            ready.append(
                Sample(name.appending(part.name.bytes), .bytes(part.bytes), fields: fields))
            count += 1
        }
        if count == before, let lonely = waiting.first(where: { $0.ending == target }) {
            ready.append(
                Sample(
                    name.appending(lonely.name.bytes),
                    .unreadable(reason: "its sample has no JPEG, PNG or WebP image")))
        }
        waiting = []
    }

    /// Returns the part of a name that the files of a sample share, and the suffix in lower case.
    private static func split(_ name: FilePath) -> (key: FilePath, ending: String) {
        let base = name.lastComponent
        guard let dot = base.dropFirst().firstIndex(of: UInt8(ascii: ".")) else {
            return (name, "")
        }
        return (FilePath(name.bytes[..<dot]), name.pathExtension)
    }
}
