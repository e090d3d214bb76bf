@testable import CLIPServer
import Testing

@Suite struct OpenAIResponseTests {
    @Test func floatsAreLists() {
        let response = OpenAIEndpoints.response(
            [[0.5, -0.25, 1e-5], [0.1, 2, 0]], encoding: .float, model: "ViT-B/32", tokenCount: 9,
            id: "embd-1", created: 1_700_000_000)
        #expect(response.status == 200)
        #expect(response.headers.map(\.value) == ["application/json"])
        #expect(
            response.text == """
                {"object":"list","data":[\
                {"object":"embedding","index":0,"embedding":[0.5,-0.25,1e-05]},\
                {"object":"embedding","index":1,"embedding":[0.1,2.0,0.0]}],\
                "model":"ViT-B/32","usage":{"prompt_tokens":9,"total_tokens":9},\
                "id":"embd-1","created":1700000000}
                """)
    }

    @Test func base64IsLittleEndianFloat32() {
        let response = OpenAIEndpoints.response(
            [[1, -2, 0.5]], encoding: .base64, model: "m", tokenCount: 0, id: "i", created: 1)
        #expect(
            response.text == """
                {"object":"list","data":[\
                {"object":"embedding","index":0,"embedding":"AACAPwAAAMAAAAA/"}],\
                "model":"m","usage":{"prompt_tokens":0,"total_tokens":0},"id":"i","created":1}
                """)
    }

    @Test func namesAreEscaped() {
        let name = "a\"\\\n</script>"
        let response = OpenAIEndpoints.response(
            [], encoding: .float, model: name, tokenCount: 0, id: "i", created: 1)
        #expect(response.text.contains(#""model":"a\"\\\n</script>""#))
    }

    @Test func valuesThatAreNotFiniteAreNull() {
        let response = TextEmbeddingsEndpoints.response([[.nan, .infinity, 1]])
        #expect(response.text == "[[null,null,1.0]]")
    }

    @Test func modelsAreListed() {
        #expect(
            OpenAIEndpoints.list(["ViT-B/32", "tiny"]).text == """
                {"object":"list","data":[\
                {"id":"ViT-B/32","object":"model","created":0,"owned_by":"clip"},\
                {"id":"tiny","object":"model","created":0,"owned_by":"clip"}]}
                """)
        #expect(OpenAIEndpoints.list([]).text == #"{"object":"list","data":[]}"#)
    }

    @Test func modelIsFoundByItsName() throws {
        var options = ServerOptions()
        options.models = ["ViT-B/32"]
        let pool = ModelPool(
            options: options, metrics: Metrics(), load: { _, _ in throw RequestError.busy },
            installed: { ["me/own"] })
        for name in ["ViT-B/32", "ViT-B-32:openai", "ViT-B-32__openai"] {
            let response = try OpenAIEndpoints.model(named: name, of: pool)
            #expect(
                response.text
                    == #"{"id":"ViT-B/32","object":"model","created":0,"owned_by":"clip"}"#)
        }
        #expect(try OpenAIEndpoints.model(named: "me/own", of: pool).status == 200)
        for name in ["../x\"", "", "ViT-L/14", "/etc/passwd"] {
            let error = EndpointRequests.error {
                _ = try OpenAIEndpoints.model(named: name, of: pool)
            }
            #expect(error?.status == 404 && error?.code == "model_not_found")
        }
    }

    @Test func unknownModelHasTheCodeOfOpenAI() {
        let error = OpenAIEndpoints.renamed(.unknownModel("unknown model x"))
        #expect(
            error.response(.openAI).text == """
                {"error": {"message": "unknown model x", "type": "invalid_request_error", \
                "param": "model", "code": "model_not_found"}}
                """)
        #expect(OpenAIEndpoints.renamed(.busy) == .busy)
    }

    @Test func pathsAreThoseOfOpenAIAndInfinity() {
        let paths = OpenAIEndpoints.all.map { "\($0.method) \($0.path)" }
        #expect(
            paths == [
                "POST /v1/embeddings", "POST /embeddings", "GET /v1/models", "GET /models",
                "GET /v1/models/*",
            ])
    }
}
