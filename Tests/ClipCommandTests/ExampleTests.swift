import Foundation
import TestSupport
import Testing

/// Tests the programs in Examples/, built beside `clip` and run as a user runs them.
@Suite struct ExampleTests {
    private static let model = Fixtures.root + "/Weights/tiny.safetensors"
    private let folder: TemporaryFolder
    private let files = FileManager.default

    init() throws { folder = try TemporaryFolder() }

    private func program(_ name: String) -> ClipBinary {
        let url = ClipBinary.built.deletingLastPathComponent().appendingPathComponent(name)
        return ClipBinary(folder: folder, executable: url)
    }

    @Test func searchFolderFindsTheImage() throws {
        let photos = folder.path + "/photos"
        try files.createDirectory(atPath: photos, withIntermediateDirectories: true)
        for name in ["bike", "cat", "dog", "fruit"] {
            try folder.copy("\(Fixtures.root)/Examples/\(name).jpg", as: "photos/\(name).jpg")
        }
        try folder.write("photos/broken.jpg", [1, 2, 3])
        let search = program("SearchFolder")
        for counts in ["4 new images, 0 unchanged", "0 new images, 4 unchanged"] {
            let result = try search.run([photos, "a man riding bicycle", Self.model])
            #expect(result.status == 0)
            let lines = result.text.split(separator: "\n").map(String.init)
            #expect(lines.first?.contains("broken.jpg: ") == true, "\(lines)")
            #expect(lines.dropFirst().first == counts, "\(lines)")
            #expect(lines.dropFirst(2).first?.hasSuffix("bike.jpg") == true, "\(lines)")
            #expect(lines.count == 6, "\(lines)")
        }
        #expect(try search.run([photos]).status == 2)
        let missing = try search.run([photos, "a cat", "RN50"])
        #expect(missing.status == 1)
        #expect(missing.errors.contains("clip pull RN50"))
    }

    @Test func encodeImagesPrintsRowsInOrder() throws {
        let names = ["bike", "cat", "dog"].map { "\(Fixtures.root)/Examples/\($0).jpg" }
        let broken = try folder.write("broken.jpg", [1, 2, 3])
        let encode = program("EncodeImages")
        let result = try encode.run([Self.model, "600", names[0], broken, names[1], names[2]])
        #expect(result.status == 1)
        #expect(result.errors.contains("broken.jpg"))
        let rows = result.text.split(separator: "\n").map { $0.split { " \t".contains($0) } }
        #expect(rows.map { String($0[0]) } == names)
        #expect(Set(rows.map(\.count)).count == 1)
        let first = try json(
            ClipBinary(folder: folder).run(["encode", names[0], "-m", "tiny"]).output)
        let values = try #require(first["embedding"] as? [Double])
        let found = rows[0].dropFirst().compactMap { Double($0) }
        let length = found.reduce(0) { $0 + $1 * $1 }.squareRoot()
        #expect(worstDifference(found.map { $0 / length }, values, limit: 1e-5) == nil)
        #expect(try encode.run([Self.model, "600", names[0]]).status == 0)
        #expect(try encode.run([Self.model, "x", names[0]]).status == 2)
    }

    /// A time limit of zero, and Ctrl-C, end with the status of an interruption.
    @Test func encodeImagesIsCancelled() throws {
        let image = Fixtures.root + "/Examples/bike.jpg"
        let many = [String](repeating: image, count: 5_000)
        let encode = program("EncodeImages")
        let result = try encode.run([Self.model, "0"] + many)
        #expect(result.status == 130)
        #expect(result.errors.contains("cancelled"))

        let process = encode.process([Self.model, "600"] + many)
        let output = folder.path + "/rows"
        try Data().write(to: URL(fileURLWithPath: output))
        process.standardOutput = FileHandle(forWritingAtPath: output)
        process.standardError = FileHandle.nullDevice
        try process.run()
        while process.isRunning, try bytes(ofFile: output).isEmpty { usleep(10_000) }
        kill(process.processIdentifier, SIGINT)
        process.waitUntilExit()
        #expect(process.terminationReason == .exit)
        #expect(process.terminationStatus == 130)
        let lines = try bytes(ofFile: output).count { $0 == 10 }
        #expect((1..<many.count).contains(lines), "\(lines) rows")
    }
}
