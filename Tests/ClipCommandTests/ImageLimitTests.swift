import Foundation
import TestSupport
import Testing

/// Tests the limits on images, and files that are not images.
@Suite(.timeLimit(.minutes(15))) struct ImageLimitTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func preprocess(_ arguments: String...) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(["preprocess", "-o", "x.npy"] + arguments)
    }

    private func image(_ name: String) -> String { Fixtures.path("images/\(name)") }

    @Test func imageMemoryIsLimited() throws {
        let result = try preprocess(image("rgb.png"), "--image-memory", "1")
        expectFailure(result, status: 1, says: "more than the 1.0 MB that images may take")
        let accepted = try preprocess(image("rgb.png"), "--image-memory", "2")
        #expect(accepted.status == 0, "\(accepted.errors)")
    }

    @Test func scansAreLimited() throws {
        let result = try preprocess(image("rgb-progressive.jpg"), "--max-scans", "2")
        expectFailure(result, status: 1, says: "a JPEG of more than 2 scans")
        let accepted = try preprocess(image("rgb-progressive.jpg"), "--max-scans", "20")
        #expect(accepted.status == 0, "\(accepted.errors)")
    }

    @Test(arguments: ["--image-memory", "--max-scans", "--max-pixels"])
    func limitsAreAtLeastOne(option: String) throws {
        let result = try preprocess(image("rgb.png"), option, "0")
        expectFailure(result, status: 2, says: "\(option) must be at least 1, not 0")
    }

    @Test func overflowingImageMemoryIsRejected() throws {
        let result = try preprocess(image("rgb.png"), "--image-memory", "\(Int.max)")
        expectFailure(result, status: 2, says: "--image-memory must be at most")
    }

    /// The device would be read without end.
    @Test func endlessDeviceIsRejected() throws {
        let result = try preprocess("/dev/zero")
        expectFailure(
            result, status: 1, says: "/dev/zero: it is not an image of a supported format")
    }

    @Test func imageIsReadFromAPipe() throws {
        let pipe = folder.path + "/pipe"
        #expect(mkfifo(pipe, 0o600) == 0)
        let bytes = try Data(bytes(ofFile: image("rgb.png")))
        let writer = Thread { FileHandle(forWritingAtPath: pipe)?.write(bytes) }
        writer.start()
        let result = try preprocess(pipe)
        #expect(result.status == 0, "\(result.errors)")
        let whole = try ClipBinary(folder: folder).run(
            ["preprocess", "-o", "y.npy", image("rgb.png")])
        #expect(whole.status == 0, "\(whole.errors)")
        #expect(
            FileManager.default.contentsEqual(
                atPath: folder.path + "/x.npy", andPath: folder.path + "/y.npy"))
    }
}
