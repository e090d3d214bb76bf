import Foundation
import TestSupport
import Testing

@testable import CLIP
@testable import TensorFiles

/// Tests PyTorch files that are invalid, damaged, or malicious.
@Suite struct CheckpointTests {
    private let folder: TemporaryFolder
    private let good: [UInt8]

    init() throws {
        folder = try TemporaryFolder()
        good = try bytes(ofFile: Fixtures.path("formats/state-dict.pt"))
    }

    /// The reason why a file is refused, or "accepted".
    private func reason(_ bytes: [UInt8], as name: String = "attack.pt") throws -> String {
        let path = try folder.write(name, bytes)
        // A pattern in the catch clause ends Swift 6.3's compiler.
        do throws(TensorFileError) {
            _ = try TensorArchive(path: path)
            return "accepted"
        } catch {
            guard case .malformed(path, let reason) = error else { throw error }
            return "\(reason)"
        }
    }

    // MARK: archives

    /// A zip archive of stored records, with fields that the attack chooses.
    struct Zip {
        struct Record {
            var name: String
            var data: [UInt8]
            var method = 0
            var flags = 0
            /// False values for the directory.
            var claimedSize: Int?
            var claimedOffset: Int?
            var ownName: String?
        }

        static func number(_ value: Int, _ width: Int) -> [UInt8] {
            (0..<width).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
        }

        static func write(_ records: [Record], claimedCount: Int? = nil) -> [UInt8] {
            var (file, directory): ([UInt8], [UInt8]) = ([], [])
            for record in records {
                let (own, name) = (
                    Array((record.ownName ?? record.name).utf8), Array(record.name.utf8)
                )
                let size = record.claimedSize ?? record.data.count
                let fields =
                    number(record.flags, 2) + number(record.method, 2) + number(0, 8)
                    + number(size, 4) + number(size, 4)
                directory +=
                    number(0x0201_4B50, 4) + number(20, 2) + number(20, 2) + fields
                    + number(name.count, 2) + number(0, 12)
                    + number(record.claimedOffset ?? file.count, 4) + name
                file +=
                    number(0x0403_4B50, 4) + number(20, 2) + fields + number(own.count, 2)
                    + number(0, 2) + own + record.data
            }
            let end =
                number(0x0605_4B50, 4) + number(0, 4) + number(claimedCount ?? records.count, 2)
                + number(claimedCount ?? records.count, 2) + number(directory.count, 4)
                + number(file.count, 4) + number(0, 2)
            return file + directory + end
        }
    }

    /// An archive like PyTorch's, with a pickle and a storage of 16 numbers.
    private func archive(_ pickle: [UInt8], storage: [UInt8]? = nil) -> [UInt8] {
        Zip.write([
            .init(name: "a/data.pkl", data: pickle),
            .init(name: "a/data/0", data: storage ?? [UInt8](repeating: 0, count: 64)),
        ])
    }

    // MARK: pickles

    private static func text(_ text: String) -> [UInt8] {
        [UInt8(ascii: "X")] + Zip.number(text.utf8.count, 4) + Array(text.utf8)
    }

    private static func integer(_ value: Int) -> [UInt8] {
        [0x8A, 8] + Zip.number(value, 8)
    }

    private static func tuple(_ parts: [[UInt8]]) -> [UInt8] {
        [UInt8(ascii: "(")] + parts.joined() + [UInt8(ascii: "t")]
    }

    private static func global(_ name: String) -> [UInt8] { Array("c\(name)\n".utf8) }

    /// The beginning of a state dict of one tensor.
    private static let start = [0x80, 2] + Array("}".utf8) + text("w")

    /// A state dict of one tensor, whose sizes may be given as pickle opcodes.
    private static func stateDict(
        kind: String = "FloatStorage", key: String = "0", offset: Int = 0, shape: [Int] = [2, 2],
        strides: [Int] = [2, 1], count: Int = 16, shapeProgram: [UInt8]? = nil
    ) -> [UInt8] {
        let storage =
            tuple([
                text("storage"), global("torch\n\(kind)"), text(key), text("cpu"), integer(count),
            ]) + [UInt8(ascii: "Q")]
        let tensor =
            global("torch._utils\n_rebuild_tensor_v2")
            + tuple([
                storage, integer(offset), shapeProgram ?? tuple(shape.map(integer)),
                tuple(strides.map(integer)),
                [0x89], global("collections\nOrderedDict") + Array(")R".utf8),
            ]) + Array("R".utf8)
        return start + tensor + Array("s.".utf8)
    }

    @Test func validArchiveIsRead() throws {
        let path = try folder.write("good.pt", archive(Self.stateDict()))
        let archive = try TensorArchive(path: path)
        #expect(archive.entries["w"]?.shape == [2, 2])
        #expect(archive.format == .pyTorch)
        #expect(
            try reason(self.archive(Self.stateDict(shape: [0, 5], strides: [5, 1]))) == "accepted")
        #expect(try reason(self.archive(Self.stateDict(shape: [], strides: []))) == "accepted")
        #expect(try reason(self.archive(Self.stateDict(kind: "LongStorage"))) == "accepted")
        #expect(
            try reason(self.archive(Self.stateDict(shape: [3, 9], strides: [0, 1]))) != "accepted")
    }

    @Test func tensorOutsideItsStorageIsRejected() throws {
        for (pickle, says) in [
            (Self.stateDict(key: "1"), "data/1, which is missing"),
            (Self.stateDict(key: "../../etc/passwd"), "which is missing"),
            (Self.stateDict(kind: "ComplexStorage"), "which is not allowed"),
            (
                Self.stateDict(offset: 13),
                "expected at most 16 numbers, found F32 [2, 2], whose last number has the index 16"
            ),
            (Self.stateDict(offset: -1), "invalid offset, shape or stride"),
            (Self.stateDict(shape: [2, -2]), "invalid offset, shape or stride"),
            (Self.stateDict(strides: [-2, 1]), "invalid offset, shape or stride"),
            (
                Self.stateDict(shape: [2, 2], strides: [15, 1]),
                "whose last number has the index 16"
            ),
            (Self.stateDict(shape: [.max, 2]), "overflows 64 bits"),
            (Self.stateDict(shape: [2, 2], strides: [.max, 1]), "overflows 64 bits"),
            (Self.stateDict(shape: [1 << 40, 1 << 20], strides: [0, 0]), "at most 16 numbers"),
            (Self.stateDict(shape: [2]), "invalid offset, shape or stride"),
            (
                Self.stateDict(
                    shape: .init(repeating: 1, count: 17), strides: .init(repeating: 1, count: 17)),
                "invalid offset, shape or stride"
            ),
        ] {
            let found = try reason(archive(pickle))
            #expect(found.contains(says), "\(found), not \(says)")
        }
    }

    @Test func recursiveSizesAreRejected() throws {
        // A torch.Size whose list contains that very call.
        let size =
            Array("]q".utf8) + [9] + Self.global("torch\nSize") + Array("h".utf8) + [9, 0x85]
            + Array("Raq".utf8) + [8] + Array("0h".utf8) + [9]
        let found = try reason(archive(Self.stateDict(shapeProgram: size)))
        #expect(found.contains("invalid offset, shape or stride"), "\(found)")
    }

    @Test func tensorsLargerThanTheFileAreRejected() throws {
        // A thousand tensors that share one storage.
        let whole = Self.stateDict(shape: [4, 4], strides: [4, 1])
        let tensor = whole[Self.start.count..<(whole.count - 2)]
        let many = (0..<1000).flatMap { Self.text("w\($0)") + tensor + Array("s".utf8) }
        let pickle = [0x80, 2] + Array("}".utf8) + many + Array(".".utf8)
        let huge = Self.stateDict(shape: [1 << 20, 16], strides: [0, 1])
        for (pickle, says) in [(pickle, "accepted"), (huge, "at most 16 numbers")] {
            let found = try reason(archive(pickle))
            #expect(found.contains(says), "\(found)")
        }
        let large = [UInt8](repeating: 0, count: 40_000)
        let wide = Self.stateDict(shape: [100, 100], strides: [100, 1], count: 10_000)
        let part = wide[Self.start.count..<(wide.count - 2)]
        let sum =
            [0x80, 2] + Array("}".utf8)
            + (0..<200).flatMap { Self.text("w\($0)") + part + Array("s".utf8) } + Array(".".utf8)
        #expect(try reason(archive(sum, storage: large)).contains("eight times as large"))
    }

    @Test func tooLongNamesAreRejected() throws {
        let key = Self.text(String(repeating: "k", count: 5000))
        let object = Self.global("__torch__\nA") + Array(")".utf8) + [0x81] + Array("q".utf8) + [1]
        let knot =
            [0x80, 2] + object + Array("}".utf8) + key + Array("h".utf8) + [1] + Array("sb.".utf8)
        #expect(try reason(archive(knot)).contains("the name of a tensor has more than"))
    }

    @Test func forbiddenGlobalsAreRejectedByName() throws {
        let gadget = try reason(bytes(ofFile: Fixtures.path("formats/gadget.pt")))
        #expect(gadget.contains("system"), "\(gadget)")
        #expect(gadget.contains("not allowed"), "\(gadget)")
        for name in ["builtins\neval", "numpy\nndarray", "argparse\nNamespace", "torch\nload"] {
            let pickle = [0x80, 2] + Self.global(name) + Array(")R.".utf8)
            let found = try reason(archive(pickle))
            #expect(found.contains(name.replacing("\n", with: ".")), "\(found)")
        }
        let stacked =
            [0x80, 4] + Self.text("os") + Self.text("system") + [0x93] + Array(")R.".utf8)
        #expect(try reason(archive(stacked)).contains("os.system"))
        for opcode in Array("iIoPV".utf8) + [0x82, 0x92, 0x97, 0xFF] {
            let found = try reason(archive([0x80, 2, opcode] + Array("a\nb\n.".utf8)))
            #expect(found.contains("opcode \(opcode)"), "\(found)")
        }
    }

    @Test func bombsAreRejectedInBoundedTimeAndMemory() throws {
        func ascii(_ text: String) -> [UInt8] { Array(text.utf8) }
        let deep = [0x80, 2] + [UInt8](repeating: UInt8(ascii: "]"), count: 200_000)
        for (name, pickle, says) in [
            (
                "lists in lists",
                deep + [UInt8](repeating: UInt8(ascii: "a"), count: 199_999) + ascii("."),
                "no tensors"
            ),
            (
                "tuples in tuples",
                [0x80, 2] + ascii(")") + [UInt8](repeating: 0x85, count: 200_000)
                    + ascii("."), "no tensors"
            ),
            (
                "values without end", deep + deep.dropFirst(2) + deep.dropFirst(2) + ascii("."),
                "values"
            ),
            (
                "more values than allowed",
                [0x80, 2] + [UInt8](repeating: UInt8(ascii: "N"), count: 5_000_000)
                    + ascii("."), "holds more than"
            ),
            (
                "a long string", [0x80, 2, UInt8(ascii: "X"), 255, 255, 255, 255] + ascii("a."),
                "truncated"
            ),
            (
                "a longer string",
                [0x80, 2, 0x8D] + [UInt8](repeating: 255, count: 8) + ascii("."), "truncated"
            ),
            (
                "a huge memo index", [0x80, 2] + ascii("Nr") + [255, 255, 255, 255] + ascii("."),
                "no tensors"
            ),
            ("a memo that is missing", [0x80, 2] + ascii("h") + [7] + ascii("."), "never stored"),
            ("a stack that is empty", [0x80, 2] + ascii("0."), "empty stack"),
            ("a mark that is missing", [0x80, 2] + ascii("t."), "without a MARK"),
            ("a mark that is left", [0x80, 2] + ascii("N(."), "ends with"),
            ("no end", [0x80, 2] + ascii("N"), "truncated"),
            ("text protocol", ascii("(dp0\n."), "opcode"),
            ("an unknown protocol", [0x80, 9] + ascii("N."), "protocol 9"),
            ("a dictionary of one", [0x80, 2] + ascii("}(Nu."), "adds unsuitable items"),
            (
                "a dictionary of one at once",
                [0x80, 2] + ascii("(") + Self.text("a") + ascii("d."),
                "without a value"
            ),
            (
                "a name that is too long",
                [0x80, 4] + Self.text(String(repeating: "o", count: 5000)) + Self.text("s") + [0x93]
                    + ascii("."), "more than 1024 bytes"
            ),
        ] as [(String, [UInt8], String)] {
            let found = try reason(archive(pickle))
            #expect(found.contains(says), "\(name): \(found)")
        }
        // Objects that contain each other twice, fifty times over: 2^50 paths lead to the tensor.
        var knot = [0x80, 2] + Self.text("leaf")
        for level in 0..<50 {
            let object = Self.global("__torch__\nA") + ascii(")") + [0x81] + ascii("}")
            knot =
                [0x80, 2] + knot.dropFirst(2) + [
                    UInt8(ascii: "q"), UInt8(level), UInt8(ascii: "0"),
                ]
                + object
            for key in ["a", "b"] {
                knot += Self.text(key) + [UInt8(ascii: "h"), UInt8(level), UInt8(ascii: "s")]
            }
            knot += ascii("b")
        }
        let found = try reason(archive(knot + ascii(".")))
        #expect(found.contains("nested too deeply"), "\(found)")
    }

    @Test func inconsistentArchivesAreRejected() throws {
        let pickle = Self.stateDict()
        let storage = [UInt8](repeating: 0, count: 64)
        func zip(_ change: (inout [Zip.Record]) -> Void) -> [UInt8] {
            var records = [
                Zip.Record(name: "a/data.pkl", data: pickle),
                Zip.Record(name: "a/data/0", data: storage),
            ]
            change(&records)
            return Zip.write(records)
        }
        for (name, says, change) in [
            ("up", "not a safe relative path", { $0[1].name = "a/../../0" }),
            ("root", "not a safe relative path", { $0[1].name = "/etc/passwd" }),
            ("windows", "not a safe relative path", { $0[1].name = "a\\data\\0" }),
            ("nul", "not a safe relative path", { $0[1].name = "a/data/0\0" }),
            ("twice", "twice", { $0[1].name = "a/data.pkl" }),
            ("two names", "another name", { $0[1].ownName = "a/data/1" }),
            ("overlap", "overlap", { $0[0].claimedSize = $0[0].data.count + 8 }),
            ("overlap by offset", "another name", { $0[1].claimedOffset = 0 }),
            ("beyond the end", "extends past the end", { $0[1].claimedSize = 1 << 30 }),
            ("begins nowhere", "does not", { $0[1].claimedOffset = 7 }),
            ("compressed storage", "compressed", { $0[1].method = 8 }),
            ("compressed pickle", "compressed", { $0[0].method = 8 }),
            ("encrypted", "encrypted", { $0[1].flags = 1 }),
            ("no pickle", "expected one data.pkl", { $0[0].name = "a/other.pkl" }),
            (
                "two pickles", "expected one data.pkl",
                { $0.append(.init(name: "b/data.pkl", data: pickle)) }
            ),
            (
                "big end first", "big-endian",
                { $0.append(.init(name: "a/byteorder", data: Array("big".utf8))) }
            ),
        ] as [(String, String, (inout [Zip.Record]) -> Void)] {
            let found = try reason(zip(change))
            #expect(found.contains(says), "\(name): \(found)")
            #expect(found != "accepted", "\(name): \(found)")
        }
        #expect(try reason(Zip.write([], claimedCount: 65535)) != "accepted")
    }

    @Test func truncationAnywhereIsRejected() throws {
        let cuts = Array(1..<min(4096, good.count)) + Array(max(0, good.count - 4096)..<good.count)
        for cut in Set(cuts) {
            #expect(try reason(Array(good[..<cut])) != "accepted", "\(cut) of \(good.count)")
        }
    }

    @Test func changedBytesNeverCrash() throws {
        // Every seventh byte of the pickle and of the directory; changes of a tensor's numbers
        // cannot be detected.
        let path = folder.path + "/changed.pt"
        let places = [0..<4200, (good.count - 5000)..<good.count]
        for position in places.joined().filter({ $0 % 7 == 0 }) {
            var changed = good
            changed[position] ^= UInt8(truncatingIfNeeded: 1 << (position % 8))
            try Data(changed).write(to: URL(fileURLWithPath: path))
            _ = try? CLIPModel(path: path, activation: .gelu)
        }
    }

    @Test func otherFormatsAreIdentified() throws {
        for (bytes, says) in [
            (try bytes(ofFile: Fixtures.path("formats/legacy.pt")), "before 1.6"),
            (Array("GGUF".utf8) + [3, 0, 0, 0], "GGUF"),
            ([0x08, 0x07, 0x12, 0x07] + Array("pytorch".utf8), "ONNX"),
            ([0x89] + Array("HDF\r\n\u{1A}\n".utf8), "HDF5"),
            (Array("version https://git-lfs".utf8), "git lfs pull"),
            (Array("<!doctype html>".utf8), "HTML or XML"),
        ] {
            let found = try reason(bytes)
            #expect(found.contains(says), "\(found)")
        }
    }

    @Test func inconsistentShardIndexIsRejected() throws {
        try folder.copy(
            Fixtures.path("formats/hf-sharded/model-00001-of-00002.safetensors"),
            as: "one.safetensors")
        for (map, says) in [
            (#"{"weight_map":{}}"#, "weight_map is missing or empty"),
            (#"[]"#, "weight_map is missing or empty"), ("{", "not JSON"),
            (
                #"{"weight_map":{"a":"../one.safetensors"}}"#,
                "has an invalid file name for a"
            ),
            (#"{"weight_map":{"a":"/etc/passwd"}}"#, "has an invalid file name for a"),
            (#"{"weight_map":{"a":"m.index.json"}}"#, "has an invalid file name for a"),
            (#"{"weight_map":{"a":7}}"#, "has an invalid file name for a"),
            (#"{"weight_map":{"no.such":"one.safetensors"}}"#, "the tensor no.such is missing"),
            (#"{"weight_map":{"a":"missing.safetensors"}}"#, "No such file"),
        ] {
            let path = try folder.write("m.index.json", map.utf8)
            let error = #expect(throws: TensorFileError.self) { try TensorArchive(path: path) }
            #expect("\(error as Any)".contains(says), "\(map): \(error as Any)")
        }
    }
}
