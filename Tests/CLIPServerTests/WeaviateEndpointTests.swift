@testable import CLIPServer
import Testing

@Suite struct WeaviateEndpointTests {
    private func inputs(_ body: String, _ options: ServerOptions = ServerOptions()) throws
        -> EmbeddingInputs
    {
        try WeaviateEndpoints.inputs(of: EndpointRequests.post(body), options)
    }

    private func error(_ body: String, _ options: ServerOptions = ServerOptions())
        -> RequestError?
    {
        EndpointRequests.error { _ = try inputs(body, options) }
    }

    @Test func textsAndImagesAreParsed() throws {
        let inputs = try inputs(#"{"texts":["a dog",""],"images":["AQID"]}"#)
        #expect(inputs.list == [.text("a dog"), .text(""), .image(.bytes([1, 2, 3]))])
    }

    @Test(arguments: ["{}", #"{"texts":null,"images":null}"#, #"{"texts":[],"images":[]}"#])
    func bothListsMayBeMissing(body: String) throws {
        #expect(try inputs(body).list.isEmpty)
    }

    @Test(arguments: [
        #"{"texts":"a"}"#, #"{"texts":[1]}"#, #"{"texts":[null]}"#, #"{"images":["?"]}"#,
        #"{"images":[""]}"#, #"{"images":[{}]}"#, #"{"images":["http://127.0.0.1/a.jpg"]}"#,
    ])
    func malformedListsAreRejected(body: String) {
        #expect(error(body)?.status == 400)
    }

    @Test func listsAreLimited() {
        var options = ServerOptions()
        (options.textsPerRequest, options.imagesPerRequest) = (2, 1)
        #expect(error(#"{"texts":["a","b"],"images":["AQID"]}"#, options) == nil)
        #expect(error(#"{"texts":["a","b","c"]}"#, options)?.status == 413)
        let error = error(#"{"images":["AQID","AQID"]}"#, options)
        #expect(error?.message == "too many images in a request: the limit is 1")
        #expect(
            error?.response(.weaviate).text
                == #"{"error": "too many images in a request: the limit is 1"}"#)
    }

    @Test func vectorsAreSplit() {
        let response = WeaviateEndpoints.response([[0.5, 1], [0.25, -2], [3, 4]], textCount: 2)
        #expect(
            response.text
                == #"{"textVectors":[[0.5,1.0],[0.25,-2.0]],"imageVectors":[[3.0,4.0]]}"#)
        #expect(
            WeaviateEndpoints.response([], textCount: 0).text
                == #"{"textVectors":[],"imageVectors":[]}"#)
    }

    @Test func metaDescribesTheModel() {
        #expect(
            WeaviateEndpoints.meta(model: "ViT-B/32", dimension: 512).text
                == #"{"model":"ViT-B/32","dimensions":512}"#)
    }

    @Test func probesNeedNoKey() {
        let open = WeaviateEndpoints.all.filter(\.isOpen).map(\.path)
        #expect(open == ["/.well-known/live", "/.well-known/ready"])
    }
}
