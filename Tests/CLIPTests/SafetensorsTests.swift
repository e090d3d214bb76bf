import TestSupport
import Testing

@testable import CLIP
@testable import TensorFiles

/// Tests safetensors files that are invalid or malicious.
@Suite struct SafetensorsTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// A file with a header and a number of data bytes.
    static func file(_ header: String, data: Int = 0, length: UInt64? = nil) -> [UInt8] {
        let text = Array(header.utf8)
        let count = length ?? UInt64(text.count)
        return (0..<8).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) } + text
            + [UInt8](repeating: 0, count: data)
    }

    private func reason(_ bytes: [UInt8]) throws -> String {
        let path = try folder.write("attack.safetensors", bytes)
        // A pattern in the catch clause ends Swift 6.3's compiler.
        do throws(TensorFileError) {
            _ = try TensorArchive(path: path)
            return "accepted"
        } catch {
            guard case .malformed(path, let reason) = error else { throw error }
            return "\(reason)"
        }
    }

    private static let good = #"{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}"#

    @Test func validFileIsRead() throws {
        let path = try folder.write("good.safetensors", Self.file(Self.good, data: 16))
        let entries = try TensorArchive(path: path).entries
        #expect(entries["a"]?.shape == [2, 2])
    }

    @Test func unusualValidHeadersAreRead() throws {
        for (header, data) in [
            ("{}", 0), (Self.good + "   ", 16),
            (
                #"{"__metadata__":{"format":"pt"},"#
                    + #""s":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#,
                4
            ),
            (#"{"empty":{"dtype":"F16","shape":[0,7],"data_offsets":[0,0]}}"#, 0),
            (
                #"{"x":{"dtype":"F32","shape":[0,4611686018427387904,4],"data_offsets":[0,0]}}"#, 0
            ),
            (#"{"i":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#, 8),
            (#"{"\u0061\ud83d\ude00":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, 1),
        ] {
            #expect(try reason(Self.file(header, data: data)) == "accepted", "\(header)")
        }
    }

    static let attacks: [(name: String, header: String, data: Int, length: UInt64?, says: String)] =
        [
            (
                "header too large", good, 16, 200_000_000,
                "expected at most 8000000 bytes, found 200000000 bytes"
            ),
            ("header of the largest length", good, 16, .max, "too long"),
            ("header beyond the end", good, 0, 5000, "expected 5000 bytes, found 57 bytes"),
            ("header too small", good, 16, 3, "cannot be read"),
            ("no header", "", 0, 0, "cannot be read"),
            ("not JSON", "{\"a\":", 0, nil, "cannot be read"),
            ("not an object", "[1,2]", 0, nil, "not a JSON object"),
            ("space first", " " + good, 16, nil, "not a JSON object"),
            ("nested deeply", String(repeating: "[", count: 100_000), 0, nil, "nested too deeply"),
            ("overlap", two("[0,16]", "[8,24]"), 24, nil, "overlaps"),
            ("the same bytes twice", two("[0,16]", "[0,16]"), 16, nil, "overlaps"),
            ("gap", two("[0,16]", "[20,36]"), 36, nil, "belong to no tensor"),
            ("gap first", one("F32", "[2,2]", "[4,20]"), 20, nil, "belong to no tensor"),
            ("trailing bytes", good, 20, nil, "4 bytes at the end"),
            ("data cut", good, 15, nil, "ends at byte 16"),
            ("duplicate name", two("[0,16]", "[16,32]", second: "a"), 32, nil, "twice"),
            (
                "duplicate name by escape", two("[0,16]", "[16,32]", second: "\\u0061"), 32, nil,
                "twice"
            ),
            ("unknown type", one("F32X", "[2,2]", "[0,16]"), 16, nil, "unknown type"),
            (
                "wrong type", one("F16", "[2,2]", "[0,16]"), 16, nil,
                "expected 8 bytes for F16 [2, 2], found 16 bytes"
            ),
            (
                "wrong shape", one("F32", "[2,3]", "[0,16]"), 16, nil,
                "expected 24 bytes for F32 [2, 3], found 16 bytes"
            ),
            ("offsets backwards", one("F32", "[2,2]", "[16,0]"), 16, nil, "not a range"),
            ("negative offset", one("F32", "[2,2]", "[-16,0]"), 16, nil, "not a range"),
            ("three offsets", one("F32", "[2,2]", "[0,8,16]"), 16, nil, "not described"),
            (
                "negative side", one("F32", "[-2,-2]", "[0,16]"), 16, nil,
                "not a list of non-negative integers"
            ),
            (
                "fraction of a side", one("F32", "[2.0,2]", "[0,16]"), 16, nil,
                "not a list of non-negative integers"
            ),
            (
                "shape that overflows", one("F32", "[4611686018427387904,4]", "[0,16]"), 16, nil,
                "overflows 64 bits"
            ),
            (
                "offset that overflows", one("F32", "[2,2]", "[0,9223372036854775807]"), 16, nil,
                "ends at byte"
            ),
            (
                "number that overflows", one("F32", "[99999999999999999999]", "[0,16]"), 16, nil,
                "out of range"
            ),
            ("no shape", #"{"a":{"dtype":"F32","data_offsets":[0,16]}}"#, 16, nil, "not described"),
            (
                "a key too many",
                #"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16],"x":1}}"#, 16, nil,
                "not described"
            ),
            ("metadata of numbers", #"{"__metadata__":{"a":1}}"#, 0, nil, "object of strings"),
            ("trailing comma", #"{"a":1,}"#, 0, nil, "cannot be read"),
            ("control character", "{\"a\nb\":1}", 0, nil, "control character"),
            ("half a surrogate", #"{"\ud800":1}"#, 0, nil, "surrogate"),
        ]

    private static func one(_ type: String, _ shape: String, _ offsets: String) -> String {
        #"{"a":{"dtype":"\#(type)","shape":\#(shape),"data_offsets":\#(offsets)}}"#
    }

    private static func two(_ a: String, _ b: String, second: String = "b") -> String {
        let entry = #"{"dtype":"F32","shape":[2,2],"data_offsets":"#
        return "{\"a\":\(entry)\(a)},\"\(second)\":\(entry)\(b)}}"
    }

    @Test(arguments: attacks.indices) func maliciousHeadersAreRejected(_ index: Int) throws {
        let attack = Self.attacks[index]
        let reason = try reason(Self.file(attack.header, data: attack.data, length: attack.length))
        #expect(reason.contains(attack.says), "\(attack.name): \(reason)")
    }

    @Test func nonUTF8HeaderIsRejected() throws {
        var bytes = Self.file(Self.good, data: 16)
        bytes[10] = 0xFF
        #expect(try reason(bytes).contains("not UTF-8"))
    }

    @Test func otherFormatsAreNamedInTheError() throws {
        #expect(try reason([]).contains("empty"))
        #expect(try reason([1, 2, 3]).contains("found 3 bytes"))
        #expect(try reason(Array("PK\u{3}\u{4}0123456789".utf8)).contains("zip"))
        #expect(try reason([0x80, 0x02, 0x8A, 0x0A, 1, 2, 3, 4, 5]).contains("pickle"))
        #expect(try reason(Array("GGUF0123456789".utf8)).contains("GGUF"))
        #expect(try reason(Array("version https://git-lfs".utf8)).contains("git lfs pull"))
    }

    @Test func everyTruncationIsRejected() throws {
        let whole = try bytes(ofFile: Fixtures.path("models/vit/open_clip_model.safetensors"))
        for tenth in 0..<10 {
            let cut = Array(whole.prefix(whole.count * tenth / 10))
            #expect(try reason(cut) != "accepted", "at \(tenth) tenths")
        }
        #expect(try reason(Array(whole.dropLast())).contains("ends at byte"))
    }

    @Test func missingFilesAndFoldersAreRejected() throws {
        #expect(
            throws: TensorFileError.unreadable(
                path: "/no/such", reason: "No such file or directory")
        ) {
            try TensorArchive(path: "/no/such")
        }
        let folder = folder.path
        #expect(throws: TensorFileError.unreadable(path: folder, reason: "it is a directory")) {
            try TensorArchive(path: folder)
        }
    }
}
