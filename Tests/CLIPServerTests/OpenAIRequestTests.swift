@testable import CLIPServer
import Testing

@Suite struct OpenAIRequestTests {
    private func parse(_ body: String, _ options: ServerOptions = ServerOptions()) throws
        -> OpenAIRequest
    {
        try OpenAIRequest(EndpointRequests.post(body), options)
    }

    private func error(_ body: String, _ options: ServerOptions = ServerOptions())
        -> RequestError?
    {
        EndpointRequests.error { _ = try parse(body, options) }
    }

    // MARK: input

    @Test func stringIsOneText() throws {
        let request = try parse(#"{"model":"ViT-B/32","input":"a dog"}"#)
        #expect(request.model == "ViT-B/32")
        #expect(request.inputs.list == [.text("a dog")])
        #expect(request.encoding == .float && request.normalizes && !request.truncates)
        #expect(request.dimensions == nil)
    }

    @Test func listKeepsItsOrder() throws {
        let request = try parse(#"{"input":["b","a"," "],"user":"u","encoding_format":"base64"}"#)
        #expect(request.model == nil)
        #expect(request.inputs.list == [.text("b"), .text("a"), .text(" ")])
        #expect(request.encoding == .base64)
    }

    @Test func nullMembersCountAsMissing() throws {
        let request = try parse(
            """
            {"model":null,"input":"a","encoding_format":null,"dimensions":null,"user":null,
            "modality":null,"messages":null,"normalized":null,"truncate":null}
            """)
        #expect(request.inputs.list == [.text("a")] && request.encoding == .float)
    }

    @Test(arguments: ["[1,2,3]", "[[1,2],[3]]", "[[]]"])
    func tokenIDsAreRejectedWithTheSwitchOfLangChain(input: String) {
        let error = error("{\"input\":\(input)}")
        #expect(error?.status == 400 && error?.parameter == "input")
        #expect(error?.message.contains("check_embedding_ctx_length=False") == true)
    }

    @Test(arguments: [
        "{}", #"{"input":null}"#, #"{"input":1}"#, #"{"input":true}"#, #"{"input":[]}"#,
        #"{"input":""}"#, #"{"input":["a",""]}"#, #"{"input":["a",null]}"#,
        #"{"input":["a",1]}"#, #"{"input":["a",["b"]]}"#, #"{"input":[{}]}"#,
        #"{"input":[{"text":""}]}"#, #"{"input":[{"text":1}]}"#, #"{"input":[{"image":""}]}"#,
        #"{"input":[{"text":"a","image":"AQID"}]}"#, #"{"input":[{"audio":"AQID"}]}"#,
        #"{"input":"a","model":1}"#, #"{"input":"a","modality":"audio"}"#,
        #"{"input":"a","modality":"image"}"#, #"{"input":"","modality":"image"}"#,
        #"{"input":"a","messages":[{"role":"user","content":"a"}]}"#,
    ])
    func malformedInputsAreRejected(body: String) {
        #expect(error(body)?.status == 400)
    }

    @Test func emptyTextIsNamed() {
        #expect(error(#"{"input":["a",""]}"#)?.message == "input[1]: the text is empty")
    }

    // MARK: extensions

    @Test func modalityImageMakesStringsImages() throws {
        let request = try parse(
            #"{"input":["data:image/png;base64,AQID","BAUG"],"modality":"image"}"#)
        #expect(request.inputs.list == [.image(.bytes([1, 2, 3])), .image(.bytes([4, 5, 6]))])
        let single = try parse(#"{"input":"data:image/png;base64,AQID","modality":"image"}"#)
        #expect(single.inputs.list == [.image(.bytes([1, 2, 3]))])
        #expect(try parse(#"{"input":"a","modality":"text"}"#).inputs.list == [.text("a")])
    }

    @Test func objectsMixTextsAndImages() throws {
        let request = try parse(
            """
            {"model":"jina-clip-v2","normalized":true,"embedding_type":"base64",
            "input":[{"text":"a dog"},{"image":"AQID"},"a cat",{"image":"data:;base64,BAUG"}]}
            """)
        #expect(
            request.inputs.list
                == [
                    .text("a dog"), .image(.bytes([1, 2, 3])), .text("a cat"),
                    .image(.bytes([4, 5, 6])),
                ])
        #expect(request.encoding == .base64)
        #expect(try parse(#"{"input":{"text":"a"}}"#).inputs.list == [.text("a")])
        let vectors = request.inputs.merged(texts: [[1], [2]], images: [[3], [4]])
        #expect(vectors == [[1], [3], [2], [4]])
    }

    @Test(arguments: [
        #"{"input":"http://10.0.0.1/a.jpg","modality":"image"}"#,
        #"{"input":[{"image":"https://example.org/a.jpg"}]}"#,
        """
        {"messages":[{"role":"user","content":[
        {"type":"image_url","image_url":{"url":"https://example.org/a.jpg"}}]}]}
        """,
    ])
    func urlsAreNotFetched(body: String) {
        #expect(error(body)?.status == 400)
        #expect(error(body)?.message.contains("does not fetch URLs") == true)
    }

    @Test(arguments: [
        #""a dog""#, #"[{"type":"text","text":"a dog"}]"#, #"["a dog"]"#,
        #"[{"type":"input_text","text":"a dog"}]"#,
    ])
    func messageHasAText(content: String) throws {
        let request = try parse("{\"messages\":[{\"role\":\"user\",\"content\":\(content)}]}")
        #expect(request.inputs.list == [.text("a dog")])
    }

    @Test(arguments: [
        #"[{"type":"image_url","image_url":{"url":"data:image/png;base64,AQID"}}]"#,
        #"[{"type":"image_url","image_url":"data:image/png;base64,AQID"}]"#,
        """
        [{"type":"text","text":""},
        {"type":"image_url","image_url":{"url":"data:;base64,AQID"}}]
        """,
    ])
    func messageHasAnImage(content: String) throws {
        let request = try parse("{\"messages\":[{\"role\":\"user\",\"content\":\(content)}]}")
        #expect(request.inputs.list == [.image(.bytes([1, 2, 3]))])
    }

    @Test(arguments: [
        "[]", "[1]", #"[{}]"#, #"[{"role":"user"}]"#, #"[{"role":"user","content":null}]"#,
        #"[{"role":"user","content":7}]"#, #"[{"role":"user","content":""}]"#,
        #"[{"role":"user","content":[]}]"#, #"[{"role":"user","content":[3]}]"#,
        #"[{"role":"system","content":"a"}]"#,
        #"[{"role":"user","content":"a"},{"role":"user","content":"b"}]"#,
        #"[{"role":"user","content":[{"type":"text"}]}]"#,
        #"[{"role":"user","content":[{"text":"a"}]}]"#,
        #"[{"role":"user","content":[{"type":"audio_url","audio_url":{"url":"x"}}]}]"#,
        #"[{"role":"user","content":[{"type":"image_url"}]}]"#,
        #"[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]"#,
        #"[{"role":"user","content":["a","b"]}]"#,
        """
        [{"role":"user","content":[{"type":"text","text":"a"},
        {"type":"image_url","image_url":{"url":"data:;base64,AQID"}}]}]
        """,
    ])
    func malformedMessagesAreRejected(messages: String) {
        #expect(error("{\"messages\":\(messages)}")?.status == 400)
    }

    // MARK: options

    @Test(arguments: [
        (#""normalize":false"#, false), (#""normalized":false"#, false),
        (#""normalize":false,"normalized":false"#, false), (#""normalized":true"#, true),
    ])
    func bothNamesOfNormalizationAreRead(member: String, expected: Bool) throws {
        #expect(try parse("{\"input\":\"a\",\(member)}").normalizes == expected)
    }

    @Test(arguments: [
        (#""truncate":true"#, true), (#""truncate":false"#, false),
        (#""truncate_prompt_tokens":-1"#, true),
        (#""truncate_prompt_tokens":-1,"truncate":false"#, false),
    ])
    func truncationIsRead(member: String, expected: Bool) throws {
        #expect(try parse("{\"input\":\"a\",\(member)}").truncates == expected)
    }

    @Test(arguments: [
        #""encoding_format":"binary""#, #""encoding_format":1"#, #""embedding_type":"ubinary""#,
        #""encoding_format":"float","embedding_type":"base64""#,
        #""normalize":true,"normalized":false"#, #""normalize":"yes""#, #""truncate":"END""#,
        #""truncate_prompt_tokens":20"#, #""embed_dtype":"float16""#, #""endianness":"big""#,
        #""late_chunking":true"#, #""return_multivector":true"#, #""dimensions":"512""#,
        #""dimensions":512.5"#,
    ])
    func unsupportedOptionsAreRejected(member: String) {
        #expect(error("{\"input\":\"a\",\(member)}")?.status == 400)
    }

    @Test func onlyTheDimensionsOfTheModelAreAccepted() throws {
        let request = try parse(#"{"input":"a","dimensions":512}"#)
        #expect(EndpointRequests.error { try request.check(dimension: 512) } == nil)
        let error = EndpointRequests.error { try request.check(dimension: 768) }
        #expect(error?.message == "dimensions: the model has 768 dimensions, found 512")
        #expect(error?.status == 400 && error?.parameter == "dimensions")
    }

    // MARK: limits

    @Test func inputsAreLimited() {
        var options = ServerOptions()
        (options.textsPerRequest, options.imagesPerRequest) = (2, 1)
        #expect(error(#"{"input":["a","b",{"image":"AQID"}]}"#, options) == nil)
        let texts = error(#"{"input":["a","b","c"]}"#, options)
        #expect(texts?.status == 413)
        #expect(texts?.message == "too many texts in a request: the limit is 2")
        // The second image is not decoded.
        #expect(error(#"{"input":[{"image":"AQID"},{"image":"?"}]}"#, options)?.status == 413)
    }

    @Test func longTextIsRejected() {
        let text = String(repeating: "a", count: EmbeddingInputs.maximumTextBytes)
        #expect(error("{\"input\":\"\(text)\"}") == nil)
        #expect(error("{\"input\":\"\(text)b\"}")?.status == 413)
    }
}
