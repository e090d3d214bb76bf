import CLIP
import CLIPSearch
import Files
import Foundation
import TestSupport
import Testing

@testable import CLIPAnalysis
@testable import Tensors

/// Tests vectors in files and their names, and thumbnails.
@Suite struct StoredVectorTests {
    @Test func vectorsAreReadBack() throws {
        let folder = try TemporaryFolder()
        let path = FilePath(folder.path + "/x.npy")
        let vectors = planted(3, each: 2)
        let odd: [FilePath] = [
            "a.jpg", FilePath([0x61, 0xFF, 0x22]), "a \"b\"\n\t\\é🙂\u{7F}\u{1}.png", "x", "", ":",
        ]
        let writer = try EmbeddingWriter(
            path: path, layout: .npy, dimension: 24, job: "test", resuming: false)
        for (row, name) in odd.enumerated() {
            try writer.append(row == 3 ? "text" : "image", name, fields: [], vector: vectors[row])
        }
        try writer.finish()
        let stored = try NamedEmbeddings(npy: path)
        #expect(stored.files == odd && stored.embeddings == vectors)
        // Without names, rows are numbered.
        try FileManager.default.removeItem(atPath: folder.path + "/x.names.jsonl")
        #expect(try NamedEmbeddings(npy: path).names == ["0", "1", "2", "3", "4", "5"])

        let whole = try bytes(ofFile: path.description)
        func replacing(_ old: String, _ new: String) -> [UInt8] {
            var bytes = whole
            if let range = bytes.firstRange(of: Array(old.utf8)) {
                bytes.replaceSubrange(range, with: Array(new.utf8))
            }
            return bytes
        }
        let nan = whole.prefix(128) + [0, 0, 0xC0, 0x7F] + whole.dropFirst(132)
        for (bad, reason) in [
            (whole.dropLast(), "found 143"), (Array(whole.prefix(100)), "truncated"),
            (Array(whole.prefix(5)), "not a .npy"), (replacing("<f4", "<f8"), "float32"),
            (replacing("False", "True "), "rows"), (replacing("(6, 24)", "(144,) "), "(144,)"),
            (Array(nan), "NaN"),
        ] as [([UInt8], String)] {
            try Data(bad).write(to: URL(fileURLWithPath: path.description))
            let error = #expect(throws: CLIPError.self) { try NamedEmbeddings(npy: path) }
            #expect("\(try #require(error))".contains(reason), "\(String(describing: error))")
        }
        try Data(whole).write(to: URL(fileURLWithPath: path.description))
        try Data("{\"image\":\"a\"}\n".utf8).write(
            to: URL(fileURLWithPath: folder.path + "/x.names.jsonl"))
        #expect(throws: CLIPError.self) { try NamedEmbeddings(npy: path) }
    }

    @Test func namedVectorsAreSearchedAndWritten() throws {
        let vectors = planted(4, each: 25)
        var named = NamedEmbeddings(dimension: 24)
        #expect(try named.search(vectors[0], top: 3).isEmpty)
        for row in 0..<100 { try named.append(FilePath("\(row % 10)-\(row)"), vectors[row]) }
        try named.append("0-", vectors[50].map { 3 * $0 })  // of the same direction
        let cosines = try (vectors + Embeddings(rows: vectors[50], dimension: 24))
            .cosineSimilarities(to: Embeddings(rows: vectors[50], dimension: 24)).map { $0[0] }
        let found = try named.search(vectors[50], top: 7, threads: 1)
        let expected = cosines.indices.sorted {
            (cosines[$1], named.files[$0]) < (cosines[$0], named.files[$1])
        }
        #expect(
            found.map(\.file).dropFirst(2)
                == expected.prefix(7).map { named.files[$0] }.dropFirst(2))
        #expect(Set(found.prefix(2).map(\.path)) == ["0-", "0-50"])
        let near = try named.search(vectors[50], top: 200, threshold: 0.9)
        #expect(near.count == cosines.count { $0 >= 0.9 })
        #expect(throws: VectorError.wrongDimension(expected: 24, found: 23)) {
            try named.search(Array(vectors[0].dropLast()), top: 3)
        }
        #expect(throws: VectorError.wrongDimension(expected: 24, found: 0)) {
            try named.append("none", [])
        }
        #expect(throws: VectorError.notFinite(row: 0)) {
            try named.search([.nan] + vectors[0].dropFirst(), top: 3)
        }

        let folder = try TemporaryFolder()
        try named.write(npy: FilePath(folder.path + "/n.npy"))
        let read = try NamedEmbeddings(npy: FilePath(folder.path + "/n.npy"))
        #expect(read.files == named.files && read.embeddings == named.embeddings)
    }

    @Test func thumbnailsShowWholeImages() throws {
        let files = [
            FilePath(Fixtures.path("images")), FilePath("nowhere.png"),
        ]
        #expect(thumbnails(of: files, fitting: 16) == [nil, nil])
        let image = try RGBImage(
            width: 40, height: 20, pixels: (0..<800).flatMap { _ in [200, 100, 50] as [UInt8] })
        let small = try RGBImage(decoding: image.thumbnail(side: 16))
        #expect(small.width == 16 && small.height == 16)
        for (place, value) in small.pixels.enumerated() {
            #expect(abs(Int(value) - [200, 100, 50][place % 3]) < 6)
        }
        for (width, height, side, expected) in [
            (40, 20, 16, (16, 8)), (20, 40, 16, (8, 16)), (40, 20, 100, (40, 20)),
            (1000, 1, 16, (16, 1)),
        ] {
            let image = try RGBImage(
                width: width, height: height,
                pixels: [UInt8](repeating: 90, count: 3 * width * height))
            let whole = try RGBImage(decoding: image.thumbnail(fitting: side))
            #expect(
                (whole.width, whole.height) == expected,
                "\(width) x \(height) in \(side): \(whole.width) x \(whole.height)")
        }
        // The edges of a wide image are kept: its left half is black, its right half white.
        let halves = try RGBImage(
            width: 80, height: 20,
            pixels: (0..<4800).map { $0 / 3 % 80 < 40 ? 0 : 255 as UInt8 })
        let wide = try RGBImage(decoding: halves.thumbnail(fitting: 16))
        #expect(wide.pixels[0] < 20 && wide.pixels[3 * 15] > 235, "\(wide.pixels.prefix(48))")
    }
}
