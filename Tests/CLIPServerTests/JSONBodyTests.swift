@testable import CLIPServer
import Testing

@Suite struct JSONBodyTests {
    private func body(_ text: String, type: String? = "application/json") throws -> JSONBody {
        try JSONBody(EndpointRequests.post(text, type: type))
    }

    private func error(_ text: String, type: String? = "application/json") -> RequestError? {
        EndpointRequests.error { _ = try body(text, type: type) }
    }

    @Test(arguments: [
        nil, "application/json", "application/json; charset=utf-8", "Application/JSON",
        "application/ld+json",
    ])
    func mediaTypesOfJSONAreAccepted(type: String?) throws {
        #expect(try body("{\"a\": 1}", type: type).integer("a") == 1)
    }

    @Test(arguments: [
        "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
        "text/plain; application/json", "application/jsonp", "application/octet-stream", "+json",
    ])
    func mediaTypesOfFormsAreRejected(type: String) {
        #expect(error("{}", type: type)?.status == 415)
    }

    @Test(arguments: [
        "", " ", "{", "{}x", "{\"a\":}", "{\"a\":1,}", "nul", "{'a':1}", "\u{FEFF}{}",
        "{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}", "{\"a\":\"\\ud800\"}",

    ])
    func malformedJSONIsRejected(text: String) {
        #expect(error(text)?.status == 400)
        #expect(error(text)?.code == "invalid_json")
    }

    @Test func invalidUTF8IsRejected() {
        var request = EndpointRequests.post("")
        request.body = Array("{\"a\":\"".utf8) + [0xFF] + Array("\"}".utf8)
        let error = EndpointRequests.error { _ = try JSONBody(request) }
        #expect(error?.message == "the body is not valid JSON: it is not UTF-8")
    }

    @Test func deepNestingIsRejected() {
        let text = String(repeating: "[", count: 100_000)
        #expect(error("{\"a\":" + text)?.status == 400)
    }

    @Test(arguments: ["[]", "\"text\"", "1", "null", "true"])
    func valuesThatAreNoObjectAreRejected(text: String) {
        #expect(error(text)?.status == 400)
        #expect(error(text)?.message.hasPrefix("expected the body to be an object, found") == true)
    }

    @Test func tooManyValuesAreRejectedBeforeParsing() {
        let zeros = String(repeating: "0,", count: JSONBody.maximumValues)
        #expect(error("{\"a\":[\(zeros)0]}")?.status == 413)
        let lists = String(repeating: "[],", count: JSONBody.maximumValues / 2)
        #expect(error("{\"a\":[\(lists)0]}")?.status == 413)
    }

    @Test func separatorsInStringsDoNotCountAsValues() throws {
        let text = String(repeating: ",[{\\\"\\\\", count: JSONBody.maximumValues / 2)
        #expect(
            try body("{\"a\":\"\(text)\"}").string("a")?.utf8.count == text.utf8.count - 2
                * (JSONBody.maximumValues / 2))
    }

    @Test func messagesShortenTheTextOfClients() throws {
        let key = String(repeating: "k", count: 10_000)
        let message = try #require(error("{\"\(key)\":1,\"\(key)\":2}")?.message)
        #expect(message.utf8.count < 300)
    }

    @Test func nullCountsAsMissing() throws {
        let body = try body("{\"a\": null}")
        #expect(try body.string("a") == nil && body.integer("a") == nil)
        #expect(try body.boolean("a") == nil && body.array("a") == nil)
        #expect(try body.object("a") == nil && body["a"] == nil)
        #expect(body.keys == ["a"])
    }

    @Test func membersOfTheWrongKindAreNamed() throws {
        let body = try body(
            """
            {"s": "x", "i": 1, "n": 1.5, "b": true, "l": [], "o": {"p": 1}}
            """)
        let error = EndpointRequests.error
        #expect(
            error { _ = try body.string("i") }?.message == "i: expected a string, found an integer")
        #expect(
            error { _ = try body.integer("n") }?.message == "n: expected an integer, found a number"
        )
        #expect(
            error { _ = try body.integer("b") }?.message
                == "b: expected an integer, found a boolean")
        #expect(
            error { _ = try body.boolean("s") }?.message
                == "s: expected true or false, found a string")
        #expect(error { _ = try body.array("o") }?.message == "o: expected a list, found an object")
        #expect(
            error { _ = try body.object("l") }?.message == "l: expected an object, found a list")
        let inner = error { _ = try body.object("o")?.string("p") }
        #expect(inner?.message == "o.p: expected a string, found an integer")
        #expect(inner?.parameter == "o.p" && inner?.status == 400)
    }

    @Test func wordsAreChecked() throws {
        let body = try body("{\"a\": \"x\"}")
        #expect(try body.word("a", from: ["x", "y"]) == "x")
        #expect(try body.word("b", from: ["x"]) == nil)
        #expect(
            EndpointRequests.error { _ = try body.word("a", from: ["y", "z"]) }?.message
                == "a: expected \"y\" or \"z\", found \"x\"")
    }
}
