import CSHA256
import Testing

@testable import Files

@Suite struct SHA256Tests {
    @Test func sha256MatchesSha256sum() throws {
        // Lengths around block boundaries; the digests are sha256sum's.
        let known = [
            0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            3: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            55: "463eb28e72f82e0a96c0a4cc53690c571281131f672aa229e0d45ae59b598b59",
            56: "da2ae4d6b36748f2a318f23e7ab1dfdf45acdc9d049bd80e59de82a60895f562",
            63: "29af2686fd53374a36b0846694cc342177e428d1647515f078784d69cdb9e488",
            64: "fdeab9acf3710362bd2658cdc9a29e8f9c757fcf9811603a8c447cd1d9151108",
            65: "4bfd2c8b6f1eec7a2afeb48b934ee4b2694182027e6d0fc075074f2fabb31781",
            119: "da18797ed7c3a777f0847f429724a2d8cd5138e6ed2895c3fa1a6d39d18f7ec6",
            120: "f52b23db1fbb6ded89ef42a23ce0c8922c45f25c50b568a93bf1c075420bbb7c",
            1000: "4e4c294b331f7a2099a379bec34b9f9fc03dc46ab465d998f4d683da53487e6d",
        ]
        for (count, digest) in known {
            let bytes = count == 3 ? Array("abc".utf8) : (0..<count).map { UInt8($0 % 251) }
            #expect(try MappedFile(copying: bytes).sha256() == digest, "\(count) bytes")
            for portably: Int32 in [0, 1] {
                var found = [UInt8](repeating: 0, count: 32)
                clip_sha256(bytes, bytes.count, portably, &found)
                let expected = stride(from: 0, to: 64, by: 2).map { at in
                    UInt8(digest.dropFirst(at).prefix(2), radix: 16)
                }
                #expect(found == expected, "\(count) bytes, portably: \(portably)")
            }
        }
    }
}
