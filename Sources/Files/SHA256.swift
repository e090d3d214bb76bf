internal import CSHA256

/// Returns the SHA-256 of bytes: 32 bytes.
package func sha256(_ bytes: [UInt8]) -> [UInt8] { bytes.withUnsafeBytes(digest) }

/// Returns two lower-case hexadecimal digits for each byte.
package func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined()
}

func digest(of bytes: UnsafeRawBufferPointer) -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: 32)
    clip_sha256(bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count, 0, &digest)
    return digest
}
