@testable import CLIPServer
import Testing

@Suite struct TextEmbeddingsEndpointTests {
    typealias Job = TextEmbeddingsEndpoints.Job

    private func job(_ body: String, _ options: ServerOptions = ServerOptions()) throws -> Job {
        try Job(EndpointRequests.post(body), options)
    }

    private func error(_ body: String, _ options: ServerOptions = ServerOptions())
        -> RequestError?
    {
        EndpointRequests.error { _ = try job(body, options) }
    }

    @Test func stringAndListAreParsed() throws {
        let single = try job(#"{"inputs":"a dog"}"#)
        #expect(single.inputs.list == [.text("a dog")])
        #expect(single.normalizes && !single.truncates && single.dimensions == nil)
        let list = try job(
            """
            {"inputs":["a","b"],"normalize":false,"truncate":true,"prompt_name":"query",
            "truncation_direction":"Right","dimensions":512}
            """)
        #expect(list.inputs.list == [.text("a"), .text("b")])
        #expect(!list.normalizes && list.truncates && list.dimensions == 512)
    }

    @Test(arguments: [
        #"{}"#, #"{"inputs":null}"#, #"{"inputs":1}"#, #"{"inputs":[1,2]}"#,
        #"{"inputs":[[1,2],[3]]}"#, #"{"inputs":["a",3]}"#, #"{"inputs":["a",null]}"#,
        #"{"inputs":"a","truncate":"END"}"#, #"{"inputs":"a","normalize":1}"#, "[]",
        #"{"inputs":"a","truncate":true,"truncation_direction":"left"}"#,
    ])
    func wrongKindsAreUnprocessable(body: String) {
        #expect(error(body)?.status == 422)
    }

    @Test(arguments: [
        #"{"inputs":[]}"#, #"{"inputs":""}"#, #"{"inputs":["a",""]}"#, "{", #"{"inputs":}"#,
    ])
    func emptyInputsAndBadJSONAreRejected(body: String) {
        #expect(error(body)?.status == 400)
    }

    @Test func listIsLimited() {
        var options = ServerOptions()
        options.textsPerRequest = 2
        let error = error(#"{"inputs":["a","b","c"]}"#, options)
        #expect(error?.status == 413)
        #expect(
            error?.response(.textEmbeddings).text == """
                {"error": "too many texts in a request: the limit is 2", "error_type": "Validation"}
                """)
    }

    @Test func longTextHasTheStatusOfTEI() {
        let error = TextEmbeddingsEndpoints.tooLong(.invalid("too long", parameter: "inputs"))
        #expect(error.status == 413 && error.message == "too long")
        #expect(TextEmbeddingsEndpoints.tooLong(.busy) == .busy)
    }

    @Test func otherDimensionsAreRejected() throws {
        let job = try job(#"{"inputs":"a","dimensions":256}"#)
        #expect(EndpointRequests.error { try job.check(dimension: 256) } == nil)
        #expect(EndpointRequests.error { try job.check(dimension: 512) }?.status == 422)
    }

    @Test func responseIsAListOfVectors() {
        #expect(TextEmbeddingsEndpoints.response([[0.5, -0.25]]).text == "[[0.5,-0.25]]")
        #expect(TextEmbeddingsEndpoints.response([[1], [2]]).text == "[[1.0],[2.0]]")
    }

    @Test func infoHasTheMembersOfTEI() {
        var options = ServerOptions()
        options.version = "0.1.0"
        let response = TextEmbeddingsEndpoints.info(
            name: "ViT-B/32", type: "float32", contextLength: 77, threads: 2, options)
        #expect(
            response.text == """
                {"model_id":"ViT-B/32","model_sha":null,"model_dtype":"float32",\
                "model_type":{"embedding":{"pooling":"last_token"}},\
                "max_concurrent_requests":1024,"max_input_length":77,"max_batch_tokens":78848,\
                "max_batch_requests":null,"max_client_batch_size":1024,"auto_truncate":false,\
                "tokenization_workers":2,"version":"0.1.0","sha":null,"docker_label":null}
                """)
    }
}
