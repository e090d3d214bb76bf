import Testing

@testable import Files

@Suite struct Base64Tests {
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
    ])
    func vectorsOfRFC4648(plain: String, encoded: String) {
        #expect(Base64.encode(Array(plain.utf8)) == encoded)
        #expect(Base64.decode(encoded.utf8) == Array(plain.utf8))
        // Padding may be missing.
        #expect(Base64.decode(encoded.utf8.filter { $0 != UInt8(ascii: "=") }) == Array(plain.utf8))
    }

    @Test func allBytesSurviveARoundTrip() {
        for count in 0..<260 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 7 + count) }
            #expect(Base64.decode(Base64.encode(bytes).utf8) == bytes)
        }
    }

    @Test func bothAlphabetsAreDecoded() {
        #expect(Base64.decode("+/+/".utf8) == [0xFB, 0xFF, 0xBF])
        #expect(Base64.decode("-_-_".utf8) == [0xFB, 0xFF, 0xBF])
    }

    @Test(arguments: ["Zm9v\r\nYmFy\r\n", " Z m 9 v Y m F y ", "Zm9vYmFy\n", "Zm\t9vYmFy"])
    func whitespaceIsIgnored(text: String) {
        #expect(Base64.decode(text.utf8) == Array("foobar".utf8))
    }

    @Test func whitespaceInPaddingIsIgnored() {
        #expect(Base64.decode("Zg=\n=\n".utf8) == Array("f".utf8))
    }

    @Test(arguments: [
        "=", "==", "====", "Z", "Zm9vY", "Z===", "Zg=", "Zg===", "Zm8==", "Zm9v=", "Zm9v====",
        "Zg==Zg==", "Zg==Z", "=Zg=", "Zm9v!", "Zm%39", "Zm9\u{0}", "Zm9é", "Zm9v\u{B}", "Zm.v",
    ])
    func otherTextIsRejected(text: String) {
        #expect(Base64.decode(text.utf8) == nil, "\(text.debugDescription)")
    }

    @Test func vectorsAreLittleEndianFloats() {
        #expect(Base64.encode([1, -2] as [Float]) == "AACAPwAAAMA=")
        #expect(Base64.encode([] as [Float]) == "")
    }

    @Test func slicesAreDecoded() {
        let text = Array("xxZm9vxx".utf8)
        #expect(Base64.decode(text[2..<6]) == Array("foo".utf8))
    }
}
