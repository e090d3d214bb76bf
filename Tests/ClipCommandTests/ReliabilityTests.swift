import Foundation
import TestSupport
import Testing

/// Tests faults outside the program: unreadable files, outputs that are not regular files, limits.
@Suite struct ReliabilityTests {
    private let folder: TemporaryFolder
    private let files = FileManager.default

    init() throws {
        folder = try TemporaryFolder()
        try files.createDirectory(
            atPath: folder.path + "/photos/sub", withIntermediateDirectories: true)
        for (name, source) in [("a", "tall"), ("sub/b", "wide"), ("sub/c", "tall")] {
            try folder.copy(Fixtures.path("images/\(source).png"), as: "photos/\(name).png")
        }
    }

    private func clip(_ arguments: String..., in place: String? = nil) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(arguments, in: place)
    }

    private func index(_ options: String...) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(["index", "photos", "--model", "tiny"] + options)
    }

    @Test func knownFailuresDoNotChangeTheStatus() throws {
        try folder.write("photos/bad.jpg", "no image".utf8)
        let first = try index("--errors", "errors.jsonl")
        #expect(first.status == 1, "\(first.errors)")
        #expect(first.errors.contains("clip: error: cannot read"), "\(first.errors)")
        let again = try index()
        #expect(again.status == 0, "\(again.errors)")
        #expect(!again.errors.contains("clip: error:"), "\(again.errors)")
        #expect(again.errors.contains("--list-errors photos"), "\(again.errors)")
        let quiet = try index("-q")
        #expect(quiet.status == 0, "\(quiet.errors)")
        #expect(quiet.errors.isEmpty, "\(quiet.errors)")
        let summary = try json(index("--json").output)
        #expect(summary["failed"] as? Int == 1)
        #expect(summary["newly_failed"] as? Int == 0)

        let listed = try clip("index", "photos", "--list-errors")
        #expect(listed.status == 0, "\(listed.text)")
        #expect(listed.text.contains("photos/bad.jpg"), "\(listed.text)")
        let object = try json(clip("index", "photos", "--list-errors", "--json").output)
        #expect(object["path"] as? String == "photos/bad.jpg")
        #expect(
            try json(Data(bytes(ofFile: folder.path + "/errors.jsonl"))) as NSDictionary
                == object as NSDictionary)

        try folder.write("photos/new.jpg", "no image either".utf8)
        let third = try index()
        #expect(third.status == 1, "\(third.errors)")
        #expect(third.errors.contains("new.jpg"), "\(third.errors)")
        #expect(!third.errors.contains("bad.jpg"), "\(third.errors)")
    }

    @Test func danglingLinksAreReported() throws {
        try files.moveItem(atPath: folder.path + "/photos/sub", toPath: folder.path + "/disk")
        try files.createSymbolicLink(
            atPath: folder.path + "/photos/sub", withDestinationPath: folder.path + "/disk")
        #expect(try index().status == 0)
        try files.removeItem(atPath: folder.path + "/disk")
        let result = try index()
        #expect(result.status == 0, "\(result.errors)")
        #expect(
            result.errors.contains("photos/sub is a dangling link; its images stay in the index"),
            "\(result.errors)")
        #expect(result.errors.contains("1 unchanged, 0 moved, 0 deleted"), "\(result.errors)")
        let quiet = try index("-q")
        #expect(quiet.status == 0, "\(quiet.errors)")
        #expect(quiet.errors.isEmpty, "\(quiet.errors)")
    }

    /// The default model may differ from the model of the index.
    @Test func rebuildWithUnreadableRecordNeedsAModel() throws {
        #expect(try index().status == 0)
        try folder.write("photos/.clip-index/files.sqlite", [UInt8](repeating: 7, count: 4096))
        let refused = try clip("index", "photos", "--rebuild")
        expectFailure(refused, status: 1, says: "give the model of the new index with --model")
        let rebuilt = try index("--rebuild", "--json")
        #expect(rebuilt.status == 0, "\(rebuilt.errors)")
        #expect(try rebuilt.json()["encoded"] as? Int == 3)
    }

    /// Whatever cannot be opened, no existing image is removed.
    @Test func lackOfDescriptorsLosesNoImage() throws {
        #expect(try index().status == 0)
        for count in 4...12 {
            let shell = ClipBinary(folder: folder, executable: URL(fileURLWithPath: "/bin/sh"))
            let limited = try shell.run([
                "-c",
                "ulimit -n \(count); exec '\(ClipBinary.built.path)' index photos --model tiny",
            ])
            #expect([0, 1].contains(limited.status), "\(count): \(limited.errors)")
            let whole = try index("--json")
            let summary = try whole.json()
            #expect(
                whole.status == 0,
                "\(count) descriptors: \(limited.errors) \(summary)")
            #expect(
                summary["unchanged"] as? Int == 3,
                "\(count) descriptors: \(limited.errors) \(summary)")
        }
    }

    @Test func littleAddressSpaceIsReported() throws {
        let shell = ClipBinary(folder: folder, executable: URL(fileURLWithPath: "/bin/sh"))
        let result = try shell.run([
            "-c",
            "ulimit -v 140000; exec '\(ClipBinary.built.path)' encode photos/a.png --model tiny",
        ])
        #expect(result.status == 1, "\(result.text)")
        #expect(result.text.isEmpty, "\(result.text)")
        #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
        #expect(result.errors.contains("150 MB of address space"), "\(result.errors)")
    }

    /// A file that is recorded as damaged would never be tried again.
    @Test func lackOfMemoryIsNotDamage() throws {
        try folder.write("large.jpg", ReliabilityTests.largeJPEG(side: 8192))
        let shell = ClipBinary(folder: folder, executable: URL(fileURLWithPath: "/bin/sh"))
        var errors = ""
        for limit in [160_000, 180_000, 200_000, 240_000] {
            let result = try shell.run([
                "-c",
                """
                ulimit -v \(limit)
                exec '\(ClipBinary.built.path)' preprocess large.jpg -o x.npy
                """,
            ])
            #expect(!result.errors.contains("damaged"), "\(limit): \(result.errors)")
            errors += result.errors
        }
        #expect(errors.contains("there is no memory for 8192 x 8192 pixels"), "\(errors)")
    }

    @Test func imageFileLargerThanMemoryIsReported() throws {
        let header: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
        let path = try folder.write("huge.png", header)
        #expect(truncate(path, 900_000_000) == 0)
        expectFailure(
            try clip("preprocess", "huge.png", "-o", "x.npy"), status: 1,
            says: "huge.png: it has 900.0 MB, more than the 310.0 MB that images may take")
        let shell = ClipBinary(folder: folder, executable: URL(fileURLWithPath: "/bin/sh"))
        let result = try shell.run([
            "-c",
            """
            ulimit -v 700000
            exec '\(ClipBinary.built.path)' preprocess huge.png -o x.npy --image-memory 2000
            """,
        ])
        expectFailure(
            result, status: 1, says: "cannot read huge.png: \(String(cString: strerror(ENOMEM)))")
    }

    /// A grey progressive JPEG of a few hundred bytes, which takes three bytes a pixel.
    private static func largeJPEG(side: Int) -> [UInt8] {
        func segment(_ marker: UInt8, _ data: [UInt8]) -> [UInt8] {
            [0xFF, marker, 0, UInt8(data.count + 2)] + data
        }
        func table(_ place: UInt8, _ symbol: UInt8) -> [UInt8] {
            [place, 1] + [UInt8](repeating: 0, count: 15) + [symbol]
        }
        let size = [UInt8(side >> 8), UInt8(side & 255)]
        return [0xFF, 0xD8] + segment(0xDB, [0] + [UInt8](repeating: 1, count: 64))
            + segment(0xC2, [8] + size + size + [1, 1, 0x11, 0])
            + segment(0xC4, table(0, 0) + table(0x10, 0x20))
            + segment(0xDA, [1, 1, 0, 0, 0, 0]) + [0x0F]
            + segment(0xDA, [1, 1, 0, 1, 63, 0]) + [0x1F, 0xFF, 0xD9]
    }

    @Test func fileSizeLimitIsReported() throws {
        let shell = ClipBinary(folder: folder, executable: URL(fileURLWithPath: "/bin/sh"))
        for arguments in ["index photos", "encode photos -o x.npy"] {
            let result = try shell.run([
                "-c",
                "ulimit -f 2; exec '\(ClipBinary.built.path)' \(arguments) --model tiny",
            ])
            #expect(result.status == 1, "\(arguments): \(result.status) \(result.errors)")
            #expect(result.errors.contains("clip: error: cannot"), "\(result.errors)")
        }
    }

    @Test func outputLinksAndPipesAreKept() throws {
        try folder.write("old.safetensors", "old".utf8)
        try files.createSymbolicLink(
            atPath: folder.path + "/link.safetensors", withDestinationPath: "old.safetensors")
        #expect(try clip("convert", "tiny", "link.safetensors", "-q").status == 0)
        #expect(
            try files.destinationOfSymbolicLink(atPath: folder.path + "/link.safetensors")
                == "old.safetensors")
        let shell = ClipBinary(folder: folder, executable: URL(fileURLWithPath: "/bin/sh"))
        let result = try shell.run([
            "-c",
            """
            mkfifo pipe
            cat pipe > copy & reader=$!
            '\(ClipBinary.built.path)' convert tiny pipe -q || exit 9
            wait $reader
            test -p pipe && cmp copy old.safetensors
            """,
        ])
        #expect(result.status == 0, "\(result.text) \(result.errors)")
    }

    @Test func outputToOpenDescriptorIsWritten() throws {
        let shell = ClipBinary(folder: folder, executable: URL(fileURLWithPath: "/bin/sh"))
        let result = try shell.run([
            "-c",
            """
            clip='\(ClipBinary.built.path)'
            "$clip" preprocess photos/a.png -o whole.npy || exit 1
            printf old > all.bin
            exec 3>>all.bin
            "$clip" preprocess photos/a.png -o /dev/fd/3 || exit 2
            exec 3>&-
            { printf old; cat whole.npy; } | cmp - all.bin || exit 3
            "$clip" preprocess photos/a.png -o /dev/stdout | cmp - whole.npy || exit 4
            printf old > errors.jsonl
            exec 3>>errors.jsonl
            echo x > photos/bad.jpg
            "$clip" index photos --model tiny --errors /dev/fd/3
            grep -q '^old{.*bad.jpg' errors.jsonl || exit 5
            """,
        ])
        #expect(result.status == 0, "\(result.status): \(result.text) \(result.errors)")
    }

    @Test(arguments: [
        ("tokenize 'a dog'", 1), ("models", 1), ("preprocess photos/a.png -o /dev/stdout", 2),
    ])
    func closedStandardOutputIsAnError(command: String, status: Int32) throws {
        let shell = ClipBinary(folder: folder, executable: URL(fileURLWithPath: "/bin/sh"))
        let result = try shell.run(["-c", "'\(ClipBinary.built.path)' \(command) >&-"])
        #expect(result.status.code == status, "\(result.text) \(result.errors)")
        #expect(!result.errors.isEmpty)
    }

    @Test func endlessFileIsRejected() throws {
        let labels = try clip(
            "zeroshot", "photos/a.png", "--labels", "/dev/zero", "--model", "tiny")
        #expect(labels.status == 1, "\(labels.errors)")
        #expect(labels.errors.contains("larger than"), "\(labels.errors)")
        let row = try folder.write("wide.csv", [UInt8](repeating: 0x2C, count: 1 << 20))
        let table = try clip(
            "encode", "--text-file", row, "--text-column", "x", "--model", "tiny")
        #expect(table.status == 1, "\(table.errors)")
        #expect(table.errors.contains("fields"), "\(table.errors)")
    }

    @Test func queryThatCancelsOutIsRejected() throws {
        #expect(try index().status == 0)
        let result = try clip("search", "dog", "-", "dog", "--index", "photos")
        #expect(
            result.status == 2,
            "\(result.text) \(result.errors)")
        #expect(
            result.text.isEmpty,
            "\(result.text) \(result.errors)")
        #expect(
            result.errors.contains("cancel"),
            "\(result.text) \(result.errors)")
        let many = try clip(
            "search", "dog", "--index", "photos", "--top", "4611686018427387905", "--paths")
        #expect(many.status == 0, "\(many.errors)")
        #expect(many.text.split(separator: "\n").count == 3, "\(many.errors)")
    }

    /// SQLite would take such a name for a URI.
    @Test func folderMayBeNamedLikeAURI() throws {
        try files.moveItem(atPath: folder.path + "/photos", toPath: folder.path + "/file:x")
        let made = try clip("index", "file:x", "--model", "tiny")
        #expect(made.status == 0, "\(made.errors)")
        #expect(files.fileExists(atPath: folder.path + "/file:x/.clip-index/files.sqlite"))
        #expect(try clip("search", "a dog", "--index", "file:x").status == 0)
    }
}
