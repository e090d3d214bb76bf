import Files
import Foundation
import Testing

@testable import Tensors

/// Tests the rounding of numbers for files.
@Suite struct StorageTests {
    @Test func float16RoundingMatchesTheHardware() {
        // All signs and exponents, and many fractions.
        for bits in stride(from: UInt32(0), through: .max, by: 10_007) {
            let number = Float(bitPattern: bits)
            let expected = UInt32(Float16(number).bitPattern)
            let found = StoredType.float16.bits(of: number)
            if found == expected || number.isNaN && found & 0x7FFF > 0x7C00 { continue }
            Issue.record("\(number) is \(found), not \(expected)")
        }
        for number: Float in [
            65504, 65519, 65520, 0x1p-24, 0x1p-25, 0x1.8p-24, 0x1.002p0, 0x1.006p0,
        ] {
            #expect(StoredType.float16.bits(of: number) == UInt32(Float16(number).bitPattern))
        }
    }

    @Test func bfloat16RoundsToNearestEven() {
        for (number, expected) in [
            (1, 0x3F80), (0x1.01p0, 0x3F80), (0x1.03p0, 0x3F82), (0x1.0101p0, 0x3F81),
            (-0x1.03p0, 0xBF82), (.infinity, 0x7F80), (.greatestFiniteMagnitude, 0x7F80), (0, 0),
        ] as [(Float, UInt32)] {
            #expect(StoredType.bfloat16.bits(of: number) == expected, "\(number)")
        }
        #expect(StoredType.bfloat16.bits(of: .nan) & 0x7FFF > 0x7F80)
    }

    @Test func fileGetsItsNameWhenComplete() throws {
        let folder = FileManager.default.temporaryDirectory.path + "/clip-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        func names() throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: folder)
        }

        do {
            let file = try OutputFile(path: folder + "/a")
            try file.write([1, 2, 3])
            #expect(try names() != ["a"])
        }
        #expect(try names() == [])
        let file = try OutputFile(path: folder + "/a")
        try file.write([1, 2, 3])
        let overflow = try file.write(Tensor([1, 70000], shape: [2]), as: .float16)
        #expect(overflow == 70000)
        try file.finish()
        #expect(try names() == ["a"])
        #expect(throws: FileError.self) { try OutputFile(path: folder + "/no/such") }
    }
}
