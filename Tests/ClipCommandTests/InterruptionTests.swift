import Foundation
import TestSupport
import Testing

/// Tests Ctrl-C and `kill`: the message, and that nothing is lost.
@Suite struct InterruptionTests {
    private let folder: TemporaryFolder
    private let files = FileManager.default
    private static let model = "tiny"
    /// Enough images to interrupt a job in the middle: an optimised build is much faster.
    #if DEBUG
        private static let count = 60
    #else
        private static let count = 600
    #endif

    init() throws {
        folder = try TemporaryFolder()
        try files.createDirectory(
            atPath: folder.path + "/photos", withIntermediateDirectories: true)
        for index in 0..<Self.count {
            try folder.copy(
                Fixtures.path("images/\(index % 2 == 0 ? "tall" : "wide").png"),
                as: "photos/\(index).png")
        }
    }

    /// Runs a job, and sends it a signal once a file has more than `size` bytes.
    ///
    /// If the job has ended before, `begin` restores the initial state for another attempt.
    private func interrupt(
        _ arguments: [String], by number: Int32, once path: String,
        exceeds size: Int = 2048, begin: () throws -> Void
    ) throws -> (status: Int32, errors: String) {
        for _ in 0..<5 {
            try begin()
            let process = ClipBinary(folder: folder).process(
                arguments + ["--model", Self.model], environment: ["CLIP_THREADS": "1"])
            let errors = folder.path + "/errors"
            try Data().write(to: URL(fileURLWithPath: errors))
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle(forWritingAtPath: errors)
            try process.run()
            while process.isRunning {
                let attributes = try? files.attributesOfItem(atPath: "\(folder.path)/\(path)")
                if (attributes?[.size] as? Int ?? -1) > size { break }
                usleep(1000)
            }
            kill(process.processIdentifier, number)
            process.waitUntilExit()
            guard process.terminationReason == .uncaughtSignal else { continue }
            return (
                process.terminationStatus,
                String(decoding: try bytes(ofFile: errors), as: UTF8.self)
            )
        }
        Issue.record("\(arguments) ended five times before the signal came")
        return (0, "")
    }

    private func remove(_ names: String...) throws {
        for name in names where files.fileExists(atPath: "\(folder.path)/\(name)") {
            try files.removeItem(atPath: "\(folder.path)/\(name)")
        }
    }

    /// The lines except those of progress, which a slow machine may print.
    private func lines(_ errors: String) -> [Substring] {
        errors.split(separator: "\n").filter { !$0.contains(" of \(Self.count)  ") }
    }

    /// The number at the beginning of a line, after some words.
    private func number(in errors: String, after words: String) throws -> Int {
        let start = try #require(errors.range(of: words), "\(errors)").upperBound
        let digits = errors[start...].prefix { $0.isNumber || $0 == "," }
        return try #require(Int(digits.filter { $0 != "," }), "\(errors)")
    }

    @Test(arguments: [SIGINT, SIGTERM])
    func interruptedIndexesSayWhatIsKept(_ signal: Int32) throws {
        let result = try interrupt(
            ["index", "photos"], by: signal, once: "photos/.clip-index/vectors.f32",
            begin: { try remove("photos/.clip-index") })
        // A shell reports 128 plus the number of the signal.
        #expect(result.status == signal, "\(result.errors)")
        #expect(lines(result.errors).count == 1, "\(result.errors)")
        let words = "images are indexed; run the command again to continue"
        #expect(result.errors.contains(words), "\(result.errors)")
        let kept = try number(in: result.errors, after: "clip: index: ")
        #expect(kept > 0)
        #expect(kept < Self.count)
        let again = try ClipBinary(folder: folder).run(
            ["index", "photos", "--json"], environment: [:])
        let summary = try again.json()
        #expect(summary["unchanged"] as? Int == kept, "\(result.errors) \(summary)")
        #expect(summary["encoded"] as? Int == Self.count - kept)
    }

    @Test func interruptedRebuildIsContinued() throws {
        let result = try interrupt(
            ["index", "--rebuild", "photos"], by: SIGINT,
            once: "photos/.clip-index.new/vectors.f32"
        ) {
            try remove("photos/.clip-index", "photos/.clip-index.new")
            _ = try ClipBinary(folder: folder).run([
                "index", "photos", "--model", Fixtures.path("models/seeded"), "-q",
            ])
        }
        let kept = try number(in: result.errors, after: "the rebuild: ")
        #expect(result.errors.contains("run the command again to continue"), "\(result.errors)")
        #expect(
            try ClipBinary(folder: folder).run(["search", "a cat", "--index", "photos"]).status == 0
        )
        let again = try json(
            ClipBinary(folder: folder).run(
                ["index", "--rebuild", "photos", "--model", Self.model, "--json"]
            ).output)
        #expect(again["unchanged"] as? Int == kept)
        #expect(again["encoded"] as? Int == Self.count - kept)
    }

    @Test(arguments: ["x.npy", "x.jsonl", "shards/"])
    func interruptedJobsAreResumed(_ output: String) throws {
        let growing = output == "shards/" ? "shards/00000.npy.partial" : output + ".partial"
        let result = try interrupt(
            ["encode", "photos", "-o", output], by: SIGINT, once: growing,
            begin: {
                try remove("shards", output, "\(output).job", growing)
                try remove("x.names.jsonl", "x.names.jsonl.partial")
            })
        #expect(lines(result.errors).count == 1, "\(result.errors)")
        #expect(result.errors.contains("run the command again with --resume"), "\(result.errors)")
        let kept = try number(in: result.errors, after: "clip: encode: ")
        let names =
            output == "x.jsonl"
            ? growing : growing.replacingOccurrences(of: ".npy", with: ".names.jsonl")
        let rows = try bytes(ofFile: "\(folder.path)/\(names)").count { $0 == 10 }
        #expect(kept == rows, "\(result.errors)")
        #expect(kept < Self.count, "\(result.errors)")
        let again = try ClipBinary(folder: folder).run(
            ["encode", "photos", "-o", output, "--resume", "--model", Self.model])
        #expect(again.status == 0, "\(again.errors)")
        let last = output == "shards/" ? "shards/00000.npy" : output
        if output != "x.jsonl" {
            #expect(try bytes(ofFile: "\(folder.path)/\(last)").count == 128 + Self.count * 1024)
        } else {
            #expect(try bytes(ofFile: "\(folder.path)/\(last)").count { $0 == 10 } == Self.count)
        }
    }

    @Test func interruptedEvaluationLeavesNothing() throws {
        let rows = (0..<Self.count).map { "photos/\($0).png,\($0 % 2 == 0 ? "tall" : "wide")\n" }
        try folder.write("t.csv", ("path,label\n" + rows.joined()).utf8)
        let result = try interrupt(
            ["eval", "t.csv", "--predictions", "p.jsonl", "--errors", "e.jsonl"], by: SIGINT,
            once: "e.jsonl", exceeds: -1, begin: { try remove("p.jsonl", "e.jsonl") })
        #expect(
            lines(result.errors) == ["clip: eval: stopped before the end; no results are written"])
        let left = try files.contentsOfDirectory(atPath: folder.path)
        #expect(!left.contains { $0.hasPrefix("p.jsonl") || $0 == "e.jsonl" }, "\(left)")
    }

    @Test func interruptedStandardOutputEndsWithALine() throws {
        let output = folder.path + "/rows.jsonl"
        for _ in 0..<3 {
            try Data().write(to: URL(fileURLWithPath: output))
            let process = ClipBinary(folder: folder).process(
                ["encode", "photos", "-q", "--model", Self.model],
                environment: ["CLIP_THREADS": "1"])
            process.standardOutput = FileHandle(forWritingAtPath: output)
            process.standardError = FileHandle.nullDevice
            try process.run()
            while process.isRunning, try bytes(ofFile: output).count < 10_000 { usleep(1000) }
            kill(process.processIdentifier, SIGINT)
            process.waitUntilExit()
            let rows = try bytes(ofFile: output)
            #expect(rows.last == 10, "the last of \(rows.count) bytes ends no line")
            for line in rows.split(separator: 10) { _ = try json(Data(line)) }
        }
    }

    /// Commands under `nohup`, and background jobs of a script, ignore the signal.
    @Test func ignoredSignalsStayIgnored() throws {
        let binary = ClipBinary(
            folder: folder, executable: URL(fileURLWithPath: "/bin/sh"))
        let result = try binary.run([
            "-c",
            """
            trap '' INT
            '\(ClipBinary.built.path)' index photos --model '\(Self.model)' &
            job=$!
            while [ ! -s photos/.clip-index/vectors.f32 ]; do sleep 0.01; done
            kill -INT $job
            wait $job
            """,
        ])
        #expect(
            result.status == 0,
            "\(result.errors)")
        #expect(
            result.errors.contains("\(Self.count) encoded"),
            "\(result.errors)")
    }
}
