import Files
import CLIP
import CLIPSearch
import Foundation
import TestSupport
import Testing

/// Tests the sources of images and texts.
@Suite struct CollectionTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// The names found, relative to the folder, or the reason why an input is unreadable.
    private func names(_ sources: ImageCollection.Source...) -> [String] {
        ImageCollection(sources).map { sample in
            let name = sample.name.description.replacingOccurrences(of: folder.path + "/", with: "")
            guard case .unreadable(let reason) = sample.content else { return name }
            return "\(name): \(reason)"
        }
    }

    private func run(_ program: String, _ arguments: String..., at path: String? = nil) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: path ?? folder.path)
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "\(program) \(arguments)")
    }

    @Test func foldersAreWalkedInOrder() throws {
        try folder.touch(
            "b.jpg", "a/z.PNG", "a/é\n\".webp", "a/.hidden.jpg", ".git/x.jpg", "notes.txt",
            "c/d/e.JPEG",
            "no-ending")
        let expected = ["a/z.PNG", "a/é\n\".webp", "b.jpg", "c/d/e.JPEG"]
        #expect(names(.path(FilePath(folder.path))) == expected)
        #expect(names(.path(FilePath(folder.path + "/c"))) == ["c/d/e.JPEG"])
    }

    /// A RAW file and the JPEG of the same name are two images.
    @Test func everySupportedFormatIsAnImage() throws {
        let endings = """
            arw avif bmp cr2 cr3 dib dng gif heic heif hif jfif jpe jpeg jpg jxl nef orf png raf \
            rw2 tif tiff webp
            """.split(separator: " ")
        for ending in endings { try folder.touch("a.\(ending)") }
        try folder.touch("B.DNG", "b.psd", "b.cr", "gif")
        var images = ImageCollection([.path(FilePath(folder.path))])
        var found: [String] = []
        while let image = images.next() {
            let path = image.name.description
            found.append(path.replacingOccurrences(of: folder.path + "/", with: ""))
        }
        #expect(found == ["B.DNG"] + endings.map { "a.\($0)" })
        #expect(images.skipped.counts == ["PSD": 1])
    }

    @Test func linksDoNotLoop() throws {
        try folder.touch("a/x.jpg", "b/y.jpg")
        let files = FileManager.default
        try files.createSymbolicLink(
            atPath: folder.path + "/a/up", withDestinationPath: folder.path)
        try files.createSymbolicLink(
            atPath: folder.path + "/a/again", withDestinationPath: folder.path + "/a")
        try files.createSymbolicLink(atPath: folder.path + "/a/z.jpg", withDestinationPath: "x.jpg")
        try files.createSymbolicLink(atPath: folder.path + "/nowhere", withDestinationPath: "none")
        try files.createSymbolicLink(atPath: folder.path + "/q.jpg", withDestinationPath: "none")
        #expect(
            names(.path(FilePath(folder.path)))
                == ["a/x.jpg", "a/z.jpg", "b/y.jpg", "q.jpg: No such file or directory"])
    }

    @Test func namesOfAnyBytes() throws {
        let name = FilePath(Array("\(folder.path)/".utf8) + [0x66, 0xFF, 0xC3, 0x2E] + "jpg".utf8)
        let descriptor = (name.bytes + [0]).map { CChar(bitPattern: $0) }
            .withUnsafeBufferPointer { open($0.baseAddress!, O_CREAT | O_WRONLY, 0o644) }
        #expect(descriptor >= 0)
        close(descriptor)
        let found = ImageCollection([.path(FilePath(folder.path))]).map(\.name)
        #expect(found == [name])
        let quoted = String(decoding: name.quoted, as: UTF8.self)
        #expect(quoted.hasSuffix("/f\\udcff\\udcc3.jpg\""))
        let odd = FilePath(Array("a\"\\\n\u{1}\u{7F}é🙂".utf8) + [0x80, 0xED, 0xA0, 0x80])
        #expect(
            String(decoding: odd.quoted, as: UTF8.self)
                == "\"a\\\"\\\\\\n\\u0001\\u007fé🙂\\udc80\\udced\\udca0\\udc80\"")
    }

    @Test func patternsAndLists() throws {
        try folder.touch("x/1.jpg", "x/2.png", "x/sub/3.jpg", "[odd].jpg")
        #expect(names(.path(FilePath(folder.path + "/x/*.jpg"))) == ["x/1.jpg"])
        #expect(names(.path(FilePath(folder.path + "/[odd].jpg"))) == ["[odd].jpg"])
        #expect(
            names(.path(FilePath(folder.path + "/x/*.gif"))) == [
                "x/*.gif: No such file or directory"
            ])
        let lines = "\(folder.path)/x/sub\r\n\n\(folder.path)/x/1.jpg\nnone.jpg"
        let list = FilePath(try folder.write("list.txt", lines.utf8))
        #expect(
            names(.list(list, isNULTerminated: false))
                == ["x/sub/3.jpg", "x/1.jpg", "none.jpg: No such file or directory"])
        let ended = FilePath(
            try folder.write("list.bin", lines.replacingOccurrences(of: "\n", with: "\0").utf8))
        #expect(names(.list(ended, isNULTerminated: true)).last?.hasPrefix("none.jpg") == true)
        #expect(
            names(.list("no-list", isNULTerminated: false)) == [
                "no-list: No such file or directory"
            ])
    }

    @Test func byteOrderMarkOfAListIsRemoved() throws {
        try folder.touch("1.jpg", "2.jpg")
        let text = "\u{FEFF}\(folder.path)/1.jpg\r\n\(folder.path)/2.jpg\r\n"
        let list = FilePath(try folder.write("list.txt", text.utf8))
        #expect(names(.list(list, isNULTerminated: false)) == ["1.jpg", "2.jpg"])
        let empty = FilePath(try folder.write("empty.txt", "\u{FEFF}".utf8))
        #expect(names(.list(empty, isNULTerminated: false)).isEmpty)
    }

    /// Opening a pipe waits for a writer.
    @Test func pipesThatMatchAPatternAreNotOpened() throws {
        try folder.touch("x/1.jpg", "x/3.jpg")
        for name in ["x/2.jpg", "x/4.tar"] { #expect(mkfifo("\(folder.path)/\(name)", 0o600) == 0) }
        #expect(
            names(.path(FilePath(folder.path + "/x/*")))
                == [
                    "x/1.jpg", "x/2.jpg: it is not a regular file", "x/3.jpg",
                    "x/4.tar: it is not a regular file",
                ])
    }

    @Test func nulByteInAListIsAnError() throws {
        try folder.touch("1.jpg", "2.jpg", "3.jpg")
        let text = "\(folder.path)/1.jpg\n\(folder.path)/2.jpg\0\n\(folder.path)/3.jpg\n"
        let list = FilePath(try folder.write("list.txt", text.utf8))
        let found = names(.list(list, isNULTerminated: false))
        #expect(
            found == [
                "1.jpg",
                "list.txt: line 2: expected names that end with a newline, found NUL bytes",
            ])
    }

    @Test func unreadableFoldersAreReported() throws {
        guard geteuid() != 0 else { return }  // root reads everything
        try folder.touch("a/x.jpg", "b/y.jpg")
        chmod(folder.path + "/a", 0)
        defer { chmod(folder.path + "/a", 0o755) }
        #expect(names(.path(FilePath(folder.path))) == ["a: Permission denied", "b/y.jpg"])
    }

    // MARK: archives

    /// Creates a folder of samples for an archive.
    private func makeSamples(_ count: Int, prefix: String = "") throws -> String {
        let path = "\(folder.path)/samples\(prefix)"
        try FileManager.default.createDirectory(
            atPath: path + prefix, withIntermediateDirectories: true)
        for index in 0..<count {
            let key = "\(path)\(prefix)/s\(index)"
            let image = [UInt8](repeating: UInt8(index), count: 700 + index)
            try Data(image).write(to: URL(fileURLWithPath: key + ".jpg"))
            try Data("\(index)".utf8).write(to: URL(fileURLWithPath: key + ".cls"))
            try Data("sample \(index)".utf8).write(to: URL(fileURLWithPath: key + ".txt"))
            try Data("{\"n\": \(index)}".utf8).write(to: URL(fileURLWithPath: key + ".json"))
            try Data().write(to: URL(fileURLWithPath: key + ".other"))
        }
        return path
    }

    @Test(arguments: ["ustar", "pax", "gnu", "v7"])
    func archivesOfEveryKindAreRead(_ kind: String) throws {
        // A name longer than the 100 bytes of the first field, except in v7, which has no other
        // field.
        let long = kind == "v7" ? "" : "/" + String(repeating: "deep/", count: 25) + "end"
        let path = try makeSamples(3, prefix: long)
        let archive = folder.path + "/0.tar"
        try run("/usr/bin/tar", "--format=\(kind)", "--sort=name", "-cf", archive, ".", at: path)
        let samples = ImageCollection([.path(FilePath(archive))]).map { $0 }
        #expect(samples.count == 3)
        for (index, sample) in samples.enumerated() {
            #expect(sample.name.description.hasSuffix("/s\(index).jpg"))
            guard case .bytes(let bytes) = sample.content else {
                Issue.record("\(sample.content)")
                continue
            }
            #expect(bytes == [UInt8](repeating: UInt8(index), count: 700 + index))
            #expect(sample.fields["cls"] == Array("\(index)".utf8))
            #expect(sample.fields["txt"] == Array("sample \(index)".utf8))
            #expect(sample.fields["json"] == Array("{\"n\": \(index)}".utf8))
        }
    }

    @Test func patternsOfFoldersAndArchives() throws {
        let path = try makeSamples(2)
        try run("/usr/bin/tar", "--sort=name", "-cf", folder.path + "/0.tar", ".", at: path)
        let matched = ImageCollection([.path(FilePath(folder.path + "/[0s]*"))]).map(
            \.name.description)
        #expect(
            matched.map { $0.dropFirst(folder.path.count + 1) } == [
                "0.tar/./s0.jpg", "0.tar/./s1.jpg", "samples/s0.jpg", "samples/s1.jpg",
            ])
        #expect(ImageCollection.count([.path(FilePath(path))]) == 2)
        #expect(ImageCollection.count([.path(FilePath(folder.path + "/*"))]) == nil)
    }

    /// The first dot ends the common name of a sample's files, even within a year.
    @Test func sampleNameEndsAtItsFirstDot() throws {
        try folder.touch("t/2024.01.jpg", "t/2024.02.jpg", "t/._2024.02.jpg", "t/2024.02.txt")
        try run(
            "/usr/bin/tar", "-cf", folder.path + "/t.tar", "2024.01.jpg", "._2024.02.jpg",
            "2024.02.jpg", "2024.02.txt", at: folder.path + "/t")
        let samples = ImageCollection([.path(FilePath(folder.path + "/t.tar"))]).map { $0 }
        #expect(
            samples.map { String(decoding: $0.name.lastComponent, as: UTF8.self) } == [
                "2024.01.jpg", "2024.02.jpg",
            ])
        #expect(samples[1].fields.keys.sorted() == ["txt"])
    }

    /// Impossible sizes end the archive, not the process.
    @Test func impossibleSizesEndTheArchive() throws {
        try folder.touch("x.jpg")
        let archive = folder.path + "/x.tar"
        for size in ["9223372036854775807", "-5"] {
            try run(
                "/usr/bin/tar", "--format=pax", "--pax-option=size:=\(size)", "-cf", archive,
                "x.jpg")
            let samples = ImageCollection([.path(FilePath(archive))]).map { $0 }
            guard case .unreadable(let reason) = samples.last?.content else {
                Issue.record("\(size) is taken")
                continue
            }
            #expect(reason.contains("an impossible size, \(size) bytes"))
        }
    }

    @Test func truncatedArchivesAreReported() throws {
        let path = try makeSamples(4)
        let archive = folder.path + "/whole.tar"
        try run(
            "/usr/bin/tar", "--format=ustar", "--sort=name", "-cf", archive, "s0.cls", "s0.jpg",
            "s1.cls", "s1.jpg", "s2.cls", "s2.jpg", "s3.cls", "s3.jpg", at: path)
        let whole = try bytes(ofFile: archive)
        // Each sample has two headers, a block of a class, and two blocks of an image.
        for cut in stride(from: 0, through: 4 * 5 * 512 + 512, by: 128) {
            let cutPath = try folder.write("cut.tar", whole.prefix(cut))
            var samples = ImageCollection([.path(FilePath(cutPath))]).map { $0 }
            let last = try #require(samples.last)
            samples.removeLast()
            if cut >= 4 * 5 * 512 + 512 {
                #expect(samples.count == 3)
                continue
            }
            guard case .unreadable(let reason) = last.content else {
                Issue.record("cut at \(cut): \(last.name)")
                continue
            }
            let whole = (0..<4).count { cut >= $0 * 2560 + 1536 + 700 + $0 }
            #expect(samples.count == whole, "cut at \(cut): \(reason)")
            #expect(reason.contains("truncated"), "cut at \(cut): \(reason)")
            let words =
                samples.count == 1 ? "1 complete sample" : "\(samples.count) complete samples"
            #expect(reason.hasSuffix(words) || reason.contains("\(words);"), "\(reason)")
        }
        var damaged = whole
        damaged[5 * 512 + 3] ^= 0xFF
        let damagedPath = try folder.write("damaged.tar", damaged)
        let samples = ImageCollection([.path(FilePath(damagedPath))]).map { $0 }
        #expect(samples.count == 2)
        guard case .unreadable(let reason) = samples.last?.content else {
            Issue.record("damage is not seen")
            return
        }
        #expect(reason.contains("the header of a tar archive at byte 2560"))
    }

    // MARK: texts

    private func texts(_ name: String, _ content: String, column: String? = nil) throws -> [String]
    {
        let path = FilePath(try folder.write(name, content.utf8))
        let format = column.flatMap { TextCollection.Format(column: $0, of: path) } ?? .lines
        var collection = try TextCollection(path, format: format)
        var found: [String] = []
        while let text = try collection.next() { found.append(text) }
        return found
    }

    @Test func textsAreReadFromEveryFormat() throws {
        #expect(try texts("a.txt", "\u{FEFF}one\r\n\ntwo") == ["one", "", "two"])
        let csv =
            "\u{FEFF}id,caption\r\n1,\"a \"\"big\"\" cat, asleep\"\r\n\r\n2,\"two\nlines\"\n3,plain"
        #expect(
            try texts("a.csv", csv, column: "caption")
                == ["a \"big\" cat, asleep", "two\nlines", "plain"])
        #expect(try texts("b.csv", "a,b\n12\" pizza,x\n1,y\n", column: "b") == ["x", "y"])
        #expect(try texts("a.tsv", "x\ty\n1\ta, b\n", column: "y") == ["a, b"])
        let lines = "{\"caption\": \"é\\n\", \"n\": 1}\n\n{\"n\": 2, \"caption\": \"two\"}\n"
        #expect(try texts("a.jsonl", lines, column: "caption") == ["é\n", "two"])
    }

    @Test(arguments: [
        (
            "a.csv", "id,caption\n1,x", "text",
            "no column \"text\", but the columns \"id\", \"caption\""
        ),
        ("a.csv", "id,caption\n1,x\n2\n", "caption", "ends in line 3 has no column \"caption\""),
        ("a.csv", "id,caption\n1,\"x\n", "caption", "within a quoted field"),
        (
            "a.jsonl", "{\"a\": \"x\"}\n{\"a\": 5}\n", "a",
            "line 2 is not a JSON object with a string \"a\""
        ),
        ("a.jsonl", "[1\n", "a", "line 1"),
    ])
    func brokenTexts(_ name: String, _ content: String, _ column: String, _ says: String) throws {
        let error = #expect(throws: CLIPError.self) {
            try texts(name, content, column: column)
        }
        #expect("\(try #require(error))".contains(says), "\(error as Any)")
    }
}

/// Tests random sampling of a stream.
@Suite struct ReservoirTests {
    /// Algorithm R, with the generator written out.
    @Test func samplesMatchAlgorithmR() {
        for (size, count, seed) in [(10, 1000, 0), (1, 7, 3), (5, 5, 1), (5, 3, 1), (3, 100, 9)] {
            var state = UInt64(seed)
            func next() -> UInt64 {
                state &+= 0x9E37_79B9_7F4A_7C15
                var z = state
                z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
                z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
                return z ^ (z >> 31)
            }
            var expected = Array(0..<min(size, count))
            for element in expected.count..<count {
                let place = Int(next().multipliedFullWidth(by: UInt64(element + 1)).high)
                if place < size { expected[place] = element }
            }
            var reservoir = Reservoir<Int>(size: size, seed: UInt64(seed))
            for element in 0..<count { reservoir.add(element) }
            #expect(reservoir.elements == expected.sorted(), "\(size) of \(count), seed \(seed)")
        }
    }

    @Test func samplesAreUniform() {
        var counts = [Int](repeating: 0, count: 20)
        for seed in 0..<4000 {
            var reservoir = Reservoir<Int>(size: 5, seed: UInt64(seed))
            for element in counts.indices { reservoir.add(element) }
            for element in reservoir.elements { counts[element] += 1 }
        }
        // 1,000 are expected of each, with a standard deviation of 27.
        #expect(counts.allSatisfy { (865...1135).contains($0) }, "\(counts)")
    }
}
