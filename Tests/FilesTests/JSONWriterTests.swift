import Testing

@testable import Files

/// JSON texts that are written: the order of keys, numbers, strings and paths.
@Suite struct JSONWriterTests {
    private func text(_ value: JSONValue) -> String { String(decoding: value.bytes, as: UTF8.self) }

    @Test func keysKeepTheirOrder() {
        let value = JSONValue.object(["b": .integer(1), "a": .array([.null, .bool(true)])])
        #expect(text(value) == #"{"b":1,"a":[null,true]}"#)
        #expect(value.description == #"{"b": 1, "a": [null, true]}"#)
    }

    @Test func numbersHaveTheFewestDigits() {
        #expect(text(.floats([0.1, 1, 1e-7])) == "[0.1,1.0,1e-07]")
        #expect(text(.array([.number(0.1), .number(1e300)])) == "[0.1,1e+300]")
    }

    @Test func numbersThatAreNotFiniteBecomeNull() {
        #expect(text(.floats([.nan, .infinity])) == "[null,null]")
        #expect(text(.number(-.infinity)) == "null")
    }

    @Test func stringsAndPathsAreEscaped() {
        #expect(text(.string("a\"\\\n\u{1}é")) == #""a\"\\\n\u0001é""#)
        #expect(text(.path(FilePath([0x61, 0xFF]))) == #""a\udcff""#)
        #expect(text(.object(["\"": .raw(Array("[1]".utf8))])) == #"{"\"":[1]}"#)
    }

    @Test func writtenTextsCanBeParsed() throws {
        let value = JSONValue.object([
            "text": .string("a\tb"), "numbers": .array([.integer(-3), .number(0.25)]),
            "empty": .object([]),
        ])
        #expect(try JSONValue(parsing: value.bytes) == value)
        #expect(try JSONValue(parsing: Array(value.description.utf8)) == value)
    }
}
