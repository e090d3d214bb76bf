@testable import CLIPServer
import Testing

@Suite struct ImmichEndpointTests {
    private func job(_ fields: KeyValuePairs<String, String>) throws -> ImmichEndpoints.Job {
        try ImmichEndpoints.Job(EndpointRequests.form(fields))
    }

    private func error(_ fields: KeyValuePairs<String, String>) -> RequestError? {
        EndpointRequests.error { _ = try job(fields) }
    }

    private let visual = #"{"clip":{"visual":{"modelName":"ViT-B-32__openai"}}}"#
    private let textual =
        #"{"clip":{"textual":{"modelName":"ViT-B-32__openai","options":{"language":"de"}}}}"#

    @Test func imageIsParsed() throws {
        let bytes: [UInt8] = [0xFF, 0xD8, 0, 13, 10, 0xFF]
        let job = try ImmichEndpoints.Job(
            EndpointRequests.form([("entries", Array(visual.utf8)), ("image", bytes)]))
        #expect(job.model == "ViT-B-32__openai")
        #expect(job.input == .image(bytes))
    }

    @Test func textIsParsed() throws {
        let job = try job(["entries": textual, "text": "hund am strand ☀"])
        #expect(job.model == "ViT-B-32__openai")
        #expect(job.input == .text("hund am strand ☀"))
    }

    @Test func orderOfFieldsDoesNotMatter() throws {
        #expect(try job(["text": "a", "entries": textual]).input == .text("a"))
    }

    @Test func imageCountsIfThereIsATextToo() throws {
        let job = try job(["entries": visual, "text": "a", "image": "b"])
        #expect(job.input == .image(Array("b".utf8)))
    }

    @Test func missingInputIsRejected() {
        #expect(error(["entries": visual])?.status == 400)
        #expect(error(["entries": textual, "text": ""])?.status == 400)
        #expect(
            error(["entries": visual])?.response(.fastAPI).text
                == #"{"detail": "either image or text must be provided"}"#)
    }

    @Test func inputOfTheOtherTowerIsRejected() {
        #expect(error(["entries": visual, "text": "a"])?.status == 400)
        #expect(error(["entries": textual, "image": "a"])?.status == 400)
    }

    @Test(arguments: [
        "", "{", "[]", "null", "{}", #"{"clip":null}"#, #"{"clip":[]}"#, #"{"clip":{}}"#,
        #"{"clip":{"visual":{}}}"#, #"{"clip":{"visual":null}}"#, #"{"clip":{"visual":"x"}}"#,
        #"{"clip":{"visual":{"modelName":7}}}"#, #"{"clip":{"visual":{"modelName":""}}}"#,
        #"{"clip":{"visual":{"modelName":null}}}"#, #"{"clip":{"audio":{"modelName":"x"}}}"#,
        #"{"clip":{"visual":{"modelName":"x","options":[]}}}"#,
        #"{"clip":{"visual":{"modelName":"x"},"textual":{"modelName":"x"}}}"#,
        #"{"clip":{"visual":{"modelName":"x"}},"clip":{"visual":{"modelName":"y"}}}"#,
    ])
    func badEntriesAreUnprocessable(entries: String) {
        #expect(error(["entries": entries, "image": "x"])?.status == 422)
    }

    @Test func missingEntriesAreUnprocessable() {
        #expect(error(["image": "x"])?.status == 422)
    }

    @Test(arguments: [
        #"{"facial-recognition":{"detection":{"modelName":"buffalo_l"}}}"#,
        #"{"ocr":{"detection":{"modelName":"PP-OCRv5_mobile"}}}"#,
        #"{"clip":{"visual":{"modelName":"x"}},"ocr":{"detection":{"modelName":"y"}}}"#,
        #"{"ocr":null,"clip":{"visual":{"modelName":"x"}}}"#,
    ])
    func otherTasksAreRejectedAsAWhole(entries: String) {
        let error = error(["entries": entries, "image": "x"])
        #expect(error?.status == 422)
        #expect(error?.message.hasSuffix("this server has clip only") == true)
    }

    @Test func bodiesThatAreNoFormAreRejected() {
        for type in [nil, "application/json", "application/x-www-form-urlencoded"] {
            let request = EndpointRequests.post("entries={}", type: type)
            #expect(EndpointRequests.error { _ = try ImmichEndpoints.Job(request) }?.status == 415)
        }
    }

    @Test func invalidAndLongTextsAreRejected() {
        let invalid = EndpointRequests.form([
            ("entries", Array(textual.utf8)), ("text", [0x61, 0xFF]),
        ])
        #expect(EndpointRequests.error { _ = try ImmichEndpoints.Job(invalid) }?.status == 400)
        let long = String(repeating: "a", count: EmbeddingInputs.maximumTextBytes + 1)
        #expect(error(["entries": textual, "text": long])?.status == 413)
    }

    @Test func vectorIsAStringThatHoldsAnArray() {
        let text = ImmichEndpoints.response([0.25, -1.5, 1e-5, 0.1])
        #expect(text.status == 200 && text.headers[0].value == "application/json")
        #expect(text.text == #"{"clip":"[0.25,-1.5,1e-05,0.1]"}"#)
        let image = ImmichEndpoints.response([0.5], size: (width: 1440, height: 1080))
        #expect(image.text == #"{"clip":"[0.5]","imageHeight":1080,"imageWidth":1440}"#)
    }
}
