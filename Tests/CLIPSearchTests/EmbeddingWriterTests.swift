import Files
import CLIP
import Foundation
import TestSupport
import Testing

@testable import CLIPSearch
@testable import Tensors

/// Tests that files of embeddings survive the end of the process.
@Suite struct EmbeddingWriterTests {
    private let folder: TemporaryFolder
    private static let dimension = 3
    private static let names: [FilePath] =
        (0..<7).map { FilePath("images/\($0).jpg") } + [
            "images/\"odd\"\n.jpg", "images/0.jpg",
        ]

    init() throws { folder = try TemporaryFolder() }

    private static func vector(_ index: Int) -> [Float] {
        [Float(index), 1 / Float(index + 1), -0.1]
    }

    private func writer(
        _ path: String, _ layout: EmbeddingWriter.Layout, resuming: Bool = false,
        job: String = "job"
    ) throws -> EmbeddingWriter {
        try EmbeddingWriter(
            path: FilePath(path), layout: layout, dimension: Self.dimension, job: job,
            resuming: resuming)
    }

    /// Writes the missing rows before `end`.
    ///
    /// - Returns: The number of rows that were written.
    @discardableResult
    private func write(_ writer: EmbeddingWriter, upTo end: Int = names.count) throws -> Int {
        var written = 0
        for (index, name) in Self.names[..<end].enumerated() where !writer.takeRow("image", name) {
            try writer.append(
                "image", name, fields: [("cls", Array("\(index)".utf8))], vector: Self.vector(index)
            )
            written += 1
        }
        try writer.flush()
        return written
    }

    /// All files of a folder except those whose names begin with a dot.
    private func files(_ path: String) throws -> [String: [UInt8]] {
        var found: [String: [UInt8]] = [:]
        for name in try FileManager.default.subpathsOfDirectory(atPath: path) {
            var isFolder: ObjCBool = false
            FileManager.default.fileExists(atPath: "\(path)/\(name)", isDirectory: &isFolder)
            if !isFolder.boolValue { found[name] = try bytes(ofFile: "\(path)/\(name)") }
        }
        return found
    }

    private func made(_ name: String) throws -> String {
        let path = "\(folder.path)/\(name)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }

    private static let layouts: [(String, EmbeddingWriter.Layout)] = [
        ("x.jsonl", .jsonLines), ("x.npy", .npy), ("x", .shards(rows: 4)),
    ]

    @Test func writtenFilesHaveTheExpectedContent() throws {
        let path = try made("out")
        for (name, layout) in Self.layouts {
            let writer = try writer("\(path)/\(name)", layout)
            #expect(try write(writer) == 9)
            try writer.finish()
        }
        let found = try files(path)
        #expect(
            found.keys.sorted() == [
                "x.jsonl", "x.names.jsonl", "x.npy", "x/00000.names.jsonl", "x/00000.npy",
                "x/00001.names.jsonl", "x/00001.npy", "x/00002.names.jsonl", "x/00002.npy",
            ])
        let lines = String(decoding: try #require(found["x.jsonl"]), as: UTF8.self).split(
            separator: "\n")
        #expect(lines[1] == "{\"image\":\"images/1.jpg\",\"cls\":1,\"embedding\":[1.0,0.5,-0.1]}")
        let npy = try #require(found["x.npy"])
        #expect(npy.count == 128 + 9 * 3 * 4)
        #expect(String(decoding: npy[10..<70], as: UTF8.self).contains("'shape': (9, 3), }"))
        let names = String(decoding: try #require(found["x.names.jsonl"]), as: UTF8.self)
        #expect(names.hasPrefix("{\"image\":\"images/0.jpg\",\"cls\":0}\n"))
        // The shards have the same rows.
        let shards = ["0", "1", "2"].flatMap { found["x/0000\($0).npy"]?.dropFirst(128) ?? [] }
        #expect(Array(npy.dropFirst(128)) == shards)
    }

    /// Changes any byte: the rows before it are kept, the others are written again.
    @Test(arguments: 0..<3)
    func damagedRowsAreRewritten(_ kind: Int) throws {
        let (name, layout) = Self.layouts[kind]
        let whole = try made("whole")
        let first = try writer("\(whole)/\(name)", layout)
        try write(first)
        try first.finish()
        let expected = try files(whole)
        for file in [".partial", ".names.jsonl.partial", ".sums.partial"] {
            for place in stride(from: 0.0, to: 1, by: 0.07) {
                let path = try made("damaged")
                defer { try? FileManager.default.removeItem(atPath: path) }
                do {
                    let writer = try writer("\(path)/\(name)", layout)
                    try write(writer, upTo: 8)
                }
                let found = try FileManager.default.subpathsOfDirectory(atPath: path).filter {
                    file == ".partial"
                        ? $0.hasSuffix("\(layout == .jsonLines ? "jsonl" : "npy").partial")
                            && !$0.hasSuffix(".names.jsonl.partial")
                        : $0.hasSuffix(file)
                }
                guard let changed = found.max() else { continue }  // .jsonl has no names
                var content = try bytes(ofFile: "\(path)/\(changed)")
                guard !content.isEmpty else { continue }
                content[Int(place * Double(content.count))] ^= 0x11
                try Data(content).write(to: URL(fileURLWithPath: "\(path)/\(changed)"))
                let next = try writer("\(path)/\(name)", layout, resuming: true)
                let written = try write(next)
                try next.finish()
                let what = "byte \(Int(place * Double(content.count))) of \(changed)"
                #expect(try files(path) == expected, "\(what)")
                // Only the header of .npy, which is rewritten, may change without loss.
                let isHeader =
                    changed.hasSuffix("npy.partial") && place * Double(content.count) < 128
                #expect(isHeader || next.dropped > 0 && written > 1, "\(what): \(next.dropped)")
            }
        }
    }

    /// An unfinished job under the final name is not taken for a complete one.
    @Test func prematurelyNamedFileIsContinued() throws {
        let path = try made("early") + "/x.jsonl"
        do { try write(try writer(path, .jsonLines), upTo: 4) }
        try FileManager.default.moveItem(atPath: path + ".partial", toPath: path)
        let next = try writer(path, .jsonLines, resuming: true)
        #expect(!next.isWhole)
        #expect(next.count == 4)
        #expect(try write(next) == 5)
        try next.finish()
        #expect(try bytes(ofFile: path).count { $0 == 10 } == 9)
    }

    @Test(arguments: 0..<3) func linksAreNotWritten(_ kind: Int) throws {
        let (name, layout) = Self.layouts[kind]
        let victim = try folder.write("victim", Array("precious".utf8))
        let partial = layout == .shards(rows: 4) ? "x/00000.npy.partial" : "\(name).partial"
        let path = try made("out/x").dropLast(2)
        if layout != .shards(rows: 4) { try FileManager.default.removeItem(atPath: "\(path)/x") }
        try FileManager.default.createSymbolicLink(
            atPath: "\(path)/\(partial)", withDestinationPath: victim)
        let error = #expect(throws: EmbeddingFileError.self) {
            try writer("\(path)/\(name)", layout)
        }
        #expect("\(try #require(error))".contains("symbolic link"), "\(error)")
        #expect(try bytes(ofFile: victim) == Array("precious".utf8))
    }

    /// A process may end at any byte that it has written.
    @Test(arguments: 0..<3)
    func jobContinuesFromAnyByte(_ kind: Int) throws {
        let (name, layout) = Self.layouts[kind]
        let whole = try made("whole")
        let first = try writer("\(whole)/\(name)", layout)
        try write(first)
        try first.finish()
        let expected = try files(whole)

        for end in 0...Self.names.count {
            for lost in [0, 1, 5, 12, 13, 60, 129, 1000] {
                for isOfNames in [true, false] {
                    let path = try made("broken")
                    defer { try? FileManager.default.removeItem(atPath: path) }
                    do {
                        let writer = try writer("\(path)/\(name)", layout)
                        try write(writer, upTo: end)
                    }
                    let there = try files(path).keys
                    let growing = there.filter {
                        // The checksums are on the disk before the shard is finished.
                        $0.hasSuffix(".partial") && $0.contains("names") == isOfNames
                            && !there.contains($0.replacing(".sums.partial", with: ""))
                    }
                    for file in growing {
                        let handle = try #require(FileHandle(forWritingAtPath: "\(path)/\(file)"))
                        let size = try handle.seekToEnd()
                        try handle.truncate(atOffset: size - min(size, UInt64(lost)))
                    }
                    #expect(throws: EmbeddingFileError.self) {
                        try writer("\(path)/\(name)", layout)
                    }
                    #expect(throws: EmbeddingFileError.self) {
                        try writer("\(path)/\(name)", layout, resuming: true, job: "other")
                    }
                    let next = try writer("\(path)/\(name)", layout, resuming: true)
                    try write(next)
                    try next.finish()
                    let found = try files(path)
                    #expect(
                        found == expected, "\(end) rows, \(lost) bytes lost: \(found.keys.sorted())"
                    )
                }
            }
        }
    }

    /// A process may also end between the two renames of a pair of files.
    @Test func halfFinishedPairIsCompleted() throws {
        let path = try made("half")
        let first = try writer(path + "/x.npy", .npy)
        try write(first)
        try first.finish()
        let expected = try files(path)
        try Data("job, npy\n".utf8).write(to: URL(fileURLWithPath: path + "/x.npy.job"))
        let whole = try writer(path + "/x.npy", .npy, resuming: true)
        #expect(whole.isWhole)
        #expect(try files(path) == expected)

        try Data("job, npy\n".utf8).write(to: URL(fileURLWithPath: path + "/x.npy.job"))
        rename(path + "/x.npy", path + "/x.npy.partial")
        let next = try writer(path + "/x.npy", .npy, resuming: true)
        #expect(!next.isWhole)
        #expect(try write(next) == 0)
        try next.finish()
        #expect(try files(path) == expected)
    }

    /// A shard may be full but not finished.
    @Test func fullUnfinishedShardIsFinished() throws {
        let path = try made("full")
        let first = try writer(path, .shards(rows: 3))
        try write(first)
        try first.finish()
        let expected = try files(path)
        try Data("job, shards of 3\n".utf8).write(to: URL(fileURLWithPath: path + "/.job"))
        for name in ["00001.npy", "00001.names.jsonl"] {
            rename("\(path)/\(name)", "\(path)/\(name).partial")
        }
        for name in ["00002.npy", "00002.names.jsonl"] {
            try FileManager.default.removeItem(atPath: "\(path)/\(name)")
        }
        let next = try writer(path, .shards(rows: 3), resuming: true)
        #expect(try write(next) == 3)
        try next.finish()
        #expect(try files(path) == expected)
    }

    /// Full shards are compared with their checksums until the job is finished.
    @Test(arguments: ["00000.npy", "00000.names.jsonl", "00001.npy", ".job"], [true, false])
    func changedShardIsNotContinued(_ name: String, isMissing: Bool) throws {
        let path = try made("changed")
        do { try write(try writer(path, .shards(rows: 2)), upTo: 5) }
        let file = "\(path)/\(name)"
        let before = try bytes(ofFile: file)
        if isMissing {
            try FileManager.default.removeItem(atPath: file)
        } else {
            var changed = before
            changed[changed.count - 2] ^= 1
            try Data(changed).write(to: URL(fileURLWithPath: file))
        }
        let error = #expect(throws: EmbeddingFileError.self) {
            try writer(path, .shards(rows: 2), resuming: true)
        }
        #expect(
            "\(try #require(error))".contains(
                isMissing || name != ".job" ? "remove" : "another model"),
            "\(error)")
        try Data(before).write(to: URL(fileURLWithPath: file))
        let next = try writer(path, .shards(rows: 2), resuming: true)
        #expect(next.count == 5)
        #expect(next.dropped == 0)
        try write(next)
        try next.finish()
        let left = try FileManager.default.contentsOfDirectory(atPath: path)
        #expect(!left.contains { $0.hasSuffix(".partial") || $0 == ".job" }, "\(left)")
    }

    @Test func secondWriterIsRejected() throws {
        let path = folder.path + "/x.jsonl"
        let first = try writer(path, .jsonLines)
        let error = #expect(throws: EmbeddingFileError.self) {
            try writer(path, .jsonLines, resuming: true)
        }
        #expect("\(try #require(error))".contains("another process is writing it"))
        try write(first)
        try first.finish()
        #expect(try writer(path, .jsonLines, resuming: true).isWhole)
    }

    /// The rows of a job are not overwritten while its job file cannot be read.
    @Test(arguments: 0..<3, [true, false])
    func unreadableJobFileKeepsTheRows(_ kind: Int, _ isResumed: Bool) throws {
        let (name, layout) = Self.layouts[kind]
        let path = try made("job")
        do { try write(try writer("\(path)/\(name)", layout), upTo: 3) }
        let job = path + (layout == .shards(rows: 4) ? "/x/.job" : "/\(name).job")
        let aside = folder.path + "/aside"
        try FileManager.default.moveItem(atPath: job, toPath: aside)
        let before = try files(path)
        for isLoop in [true, false] {
            if isLoop {
                try FileManager.default.createSymbolicLink(
                    atPath: job, withDestinationPath: job)
            } else {
                try FileManager.default.createDirectory(
                    atPath: job, withIntermediateDirectories: false)
            }
            let error = #expect(throws: EmbeddingFileError.self) {
                try writer("\(path)/\(name)", layout, resuming: isResumed)
            }
            #expect("\(try #require(error))".contains("job cannot be read"), "\(error)")
            try FileManager.default.removeItem(atPath: job)
            #expect(try files(path) == before)
        }
        try FileManager.default.moveItem(atPath: aside, toPath: job)
        let next = try writer("\(path)/\(name)", layout, resuming: true)
        #expect(next.count == 3)
        #expect(next.dropped == 0)
    }

    /// A process keeps its file until it has closed it, even after the final rename.
    @Test func fileBeingFinishedIsLeftAlone() throws {
        let path = try made("busy") + "/x.jsonl"
        do { try write(try writer(path, .jsonLines), upTo: 4) }
        try FileManager.default.moveItem(atPath: path + ".partial", toPath: path)
        let before = try bytes(ofFile: path)
        do {
            let file = try GrowingFile(path: Array(path.utf8), isAlwaysWhole: true)
            let error = #expect(throws: EmbeddingFileError.self) {
                try writer(path, .jsonLines, resuming: true)
            }
            #expect("\(try #require(error))".contains("another process is writing it"))
            #expect(file.count == before.count)
        }
        #expect(try bytes(ofFile: path) == before)
        #expect(try writer(path, .jsonLines, resuming: true).count == 4)
    }

    @Test(arguments: [true, false]) func finishedPartsAreRenamedBack(_ hasVectors: Bool) throws {
        let path = FilePath(try made("part") + (hasVectors ? "/x.npy" : "/x.jsonl"))
        func part(_ isResumed: Bool) throws -> EmbeddingPart {
            try EmbeddingPart(path, hasVectors: hasVectors, 3, isResumed: isResumed)
        }
        do {
            let part = try part(false)
            try part.append(Array("{}\n".utf8), [1, 2, 3])
            try part.finish()
        }
        // The checksums are kept until the job is finished, which it is then.
        let expected = try files(folder.path + "/part").filter { !$0.key.hasSuffix(".partial") }
        for name in expected.keys {
            let file = "\(folder.path)/part/\(name)"
            try FileManager.default.moveItem(atPath: file, toPath: file + ".partial")
        }
        try part(true).restore()
        #expect(try files(folder.path + "/part") == expected)
    }
}
