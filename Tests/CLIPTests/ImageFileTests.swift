import Files
import Foundation
import TestSupport
import Testing

@testable import CLIP
@testable import Tensors

/// Tests the reading of image files.
@Suite struct ImageFileTests {
    private static let unknown = "it is not an image of a supported format"

    @Test func nonImageIsRejectedByItsFirstBytes() throws {
        let folder = try TemporaryFolder()
        // A sparse file, larger than any accepted image.
        let sparse = try folder.write("zeros.jpg", [])
        #expect(truncate(sparse, 1 << 33) == 0)
        let short = try folder.write("short.png", [0x89, 0x50])
        for path in [sparse, short, "/dev/zero"] {
            #expect(throws: CLIPError.unreadableImage(path: path, reason: Self.unknown)) {
                try RGBImage(contentsOfFile: path)
            }
        }
        let empty = try folder.write("empty.jpg", [])
        for path in [empty, "/dev/null"] {
            #expect(throws: CLIPError.unreadableImage(path: path, reason: "the file is empty")) {
                try RGBImage(contentsOfFile: path)
            }
        }
        #expect(
            throws: CLIPError.unreadableFile(path: folder.path, reason: "it is a directory")
        ) { try RGBImage(contentsOfFile: folder.path) }
    }

    @Test func fileIsReadIfItsBeginningIsAccepted() throws {
        let folder = try TemporaryFolder()
        for count in [0, 1, 15, 16, 17, 65535, 65536, 65537, 200_000] {
            let content = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            let path = Array(try folder.write("file", content).utf8)
            var beginning: [UInt8] = []
            let read = try readFile(path: path, limit: 1 << 20) {
                beginning = Array($0)
                return true
            }
            #expect(read == content, "\(count) bytes")
            #expect(beginning == Array(content.prefix(16)), "\(count) bytes")
            #expect(try readFile(path: path, limit: 1 << 20) { _ in false } == nil)
            #expect(try readFile(path: path, limit: count) == content)
            guard count > 0 else { continue }
            #expect(throws: FileError.self) { try readFile(path: path, limit: count - 1) }
        }
    }

    /// The images of a stream wait for memory, and release it.
    @Test func imagesOfAStreamShareTheMemoryLimit() throws {
        let model = try CLIPModel(path: Fixtures.path("models/vit"), threads: 4)
        var options = RGBImage.DecodingOptions()
        options.memoryLimit = 1_200_000
        let names = (0..<40).map { $0 % 2 == 0 ? "rgb.png" : "grey.jpg" }
        let files = names.map { Fixtures.path("images/\($0)") }
        let expected = try model.encode(
            images: files.prefix(2).map { try RGBImage(contentsOfFile: $0) })
        var count = 0
        try model.encode(files: files, options: options) { index, result in
            #expect(result == .success(Array(expected[index % 2])), "\(index)")
            count += 1
        }
        #expect(count == files.count)
    }
}
