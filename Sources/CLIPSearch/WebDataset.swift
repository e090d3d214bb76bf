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

    /// A file of the sample that is being read.
    private struct Part {
        /// The name up to the first dot of its last component.
        let key: FilePath
        /// The suffix in lower case.
        let ending: String
        let name: FilePath
        let bytes: [UInt8]

        /// The name without the suffix, which is the key unless it has several dots.
        var stem: FilePath { FilePath(name.bytes.dropLast(ending.utf8.count + 1)) }
    }

    private let name: FilePath
    private var reader: TarReader
    private var waiting: [Part] = []
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
    /// The suffixes of images in the order in which CLIP_benchmark prefers them.
    private static let preferredEndings = ["webp", "png", "jpg", "jpeg"]

    /// Reads an archive.
    ///
    /// - Parameters:
    ///   - name: The path of the archive.
    ///   - file: The open archive.
    ///   - target: The suffix of the files with the targets of a data set, which are then read as
    ///     fields, too; nil if the archive is no data set. A sample `a` of a data set has one
    ///     image, such as `a.jpg` and not `a.mask.png`, with the fields of its name, such as
    ///     `a.cls`. A sample that has a target and no image is unreadable.
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
                waiting.append(Part(key: key, ending: ending, name: member.name, bytes: bytes))
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

    /// Makes a sample of each image among the files that were read.
    private mutating func finishSample() {
        firstEndings = firstEndings ?? endings
        let before = count
        for image in images {
            var fields: [String: [UInt8]] = [:]
            for part in waiting where self.fields.contains(part.ending) {
                // A target of another image must not become one of this image.
                let isOwn = part.stem == part.key || part.stem == image.stem
                if isOwn || target == nil { fields[part.ending] = part.bytes }
            }
            ready.append(
                Sample(name.appending(image.name.bytes), .bytes(image.bytes), fields: fields))
            count += 1
        }
        if count == before, let lonely = waiting.first(where: { $0.ending == target }) {
            ready.append(
                Sample(
                    name.appending(lonely.name.bytes),
                    .unreadable(reason: "its sample has no image of a supported format")))
        }
        waiting = []
    }

    /// The images of the sample.
    ///
    /// In an archive of a data set, this is one image, named exactly like the sample and of the
    /// preferred format; all images if none is named so.
    private var images: [Part] {
        let all = waiting.filter { FolderWalk.imageExtensions.contains($0.ending) }
        guard target != nil, all.count > 1 else { return all }
        let own = all.filter { $0.stem == $0.key }
        let preferred = Self.preferredEndings.lazy.compactMap { ending in
            own.first { $0.ending == ending }
        }
        return (preferred.first ?? own.first).map { [$0] } ?? all
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
