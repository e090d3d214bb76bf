import Testing

@testable import CLIPServer

@Suite struct MultipartFormTests {
    /// Parses a body whose line ends are written as `\n`, with the boundary `b`.
    private func parse(
        _ body: String, type: String = "multipart/form-data; boundary=b", limit: Int = 64
    ) throws -> MultipartForm {
        let bytes = body.utf8.flatMap { $0 == UInt8(ascii: "\n") ? [0x0D, 0x0A] : [$0] }
        return try MultipartForm(bytes, contentType: type, partLimit: limit)
    }

    private func summary(_ form: MultipartForm) -> [String] {
        form.parts.map {
            "\($0.name)|\($0.filename ?? "-")|\($0.type ?? "-")|"
                + String(decoding: $0.body, as: UTF8.self)
        }
    }

    @Test func undiciFormIsParsed() throws {
        let boundary = "----formdata-undici-012345678901"
        let form = try parse(
            """
            --\(boundary)
            Content-Disposition: form-data; name="entries"

            {"clip":{}}
            --\(boundary)
            Content-Disposition: form-data; name="image"; filename="blob"
            Content-Type: application/octet-stream

            \u{0}\r\u{1}
            --\(boundary)--

            """, type: "multipart/form-data; boundary=\(boundary)")
        #expect(
            summary(form) == [
                "entries|-|-|{\"clip\":{}}",
                "image|blob|application/octet-stream|\u{0}\r\u{1}",
            ])
        #expect(form.first("image")?.body == [0, 13, 1])
        #expect(form.first("Image") == nil)
    }

    @Test func curlFormIsParsed() throws {
        let form = try parse(
            """
            --------------------------d74496d66958873e
            Content-Disposition: form-data; name="image"; filename="a\\"b\\\\c.jpg"
            Content-Type: image/jpeg

            x
            --------------------------d74496d66958873e
            Content-Disposition: form-data; name="text"

            y
            --------------------------d74496d66958873e--

            """, type: "multipart/form-data; boundary=------------------------d74496d66958873e")
        #expect(summary(form) == ["image|a\"b\\c.jpg|image/jpeg|x", "text|-|-|y"])
    }

    @Test func browserEscapesAreDecoded() throws {
        let form = try parse(
            """
            --b
            Content-Disposition: form-data; name="a%22b%0D%0Ac"; filename="C:\\50%25%2.png"

            x
            --b--
            """)
        #expect(summary(form) == ["a\"b\r\nc|C:\\50%25%2.png|-|x"])
    }

    @Test func requestsExtendedFilenameIsParsed() throws {
        let form = try parse(
            """
            --b
            Content-Disposition: form-data; name="a"; filename="x"; filename*=utf-8''%C3%B6.png

            x
            --b
            content-disposition:form-data;name*=UTF-8'en'%E2%82%AC;filename*=latin-9''%A4

            y
            --b--
            """)
        #expect(summary(form) == ["a|ö.png|-|x", "€||-|y"])
    }

    @Test(arguments: [
        "multipart/form-data; boundary=\"b\"", "Multipart/Form-Data;boundary=b",
        "multipart/form-data; charset=utf-8; BOUNDARY=b ", "multipart/form-data;boundary=\"b\";",
    ])
    func variantsOfTheContentTypeAreRead(type: String) throws {
        #expect(try parse("--b--", type: type).parts.isEmpty)
    }

    @Test func quotedBoundariesMayHaveSpaces() throws {
        let form = try parse(
            "--a: =b\nContent-Disposition: form-data; name=x\n\n1\n--a: =b--",
            type: "multipart/form-data; boundary=\"a: =b\"")
        #expect(summary(form) == ["x|-|-|1"])
    }

    @Test func preambleEpilogueAndPaddingAreIgnored() throws {
        let form = try parse(
            """
            This is a message.
            --bb
            --b \t
            Content-Disposition: form-data; name=a

            --c
             --b

            --b
            Content-Disposition: form-data; name="b"

            2
            --b--  epilogue
            --b
            """)
        #expect(summary(form) == ["a|-|-|--c\r\n --b\r\n", "b|-|-|2"])
    }

    @Test func linesThatBeginLikeADelimiterAreContent() throws {
        let form = try parse(
            "--b\nContent-Disposition: form-data; name=a\n\n\n--\n--bc\n--b x\n-\r\n\r\n--b--")
        #expect(summary(form) == ["a|-|-|\r\n--\r\n--bc\r\n--b x\r\n-\r\r\n\r"])
    }

    @Test func emptyPartsAreParsed() throws {
        let header = "Content-Disposition: form-data; name=a\n\n"
        #expect(summary(try parse("--b\n\(header)\n--b--")) == ["a|-|-|"])
        // The empty line is that of the delimiter.
        #expect(summary(try parse("--b\n\(header)--b--")) == ["a|-|-|"])
        #expect(try parse("--b--").parts.isEmpty)
        #expect(try parse("\n--b--\n").parts.isEmpty)
    }

    @Test(arguments: [
        "", "-", "--", "--b", "--b-", "--c--", "--b\n", "--b\n\n", "--b\n\n--b--", "--b\nX",
        "--b\nX: y\n\n\n--b--",
        "--b\nContent-Disposition: form-data\n\n\n--b--",
        "--b\nContent-Disposition: attachment; name=a\n\n\n--b--",
        "--b\nContent-Disposition: form-data; name=\"a\n\n\n--b--",
        "--b\nContent-Disposition: form-data; name=a; name=b\n\n\n--b--",
        "--b\nContent-Disposition: form-data; name=a; =\n\n\n--b--",
        "--b\nContent-Disposition: form-data; name=\"a\"b\n\n\n--b--",
        "--b\nContent-Disposition: form-data; name=a\nContent-Disposition: x\n\n\n--b--",
        "--b\nContent-Disposition: form-data; name=a\n folded: x\n\n\n--b--",
        "--b\nContent-Disposition: form-data; name=a\nno colon\n\n\n--b--",
        "--b\n: x\nContent-Disposition: form-data; name=a\n\n\n--b--",
        "--b\nContent-Disposition: form-data; name=a\u{0}\n\n\n--b--",
        "--b\nContent-Disposition: form-data; name=a\n\nx",
        "--b\nContent-Disposition: form-data; name=a\n\nx--b--",
        "--b\nContent-Disposition: form-data; name=a\n\nx\n--b\n",
        "--b\nContent-Transfer-Encoding: base64\nContent-Disposition: form-data; name=a\n\n",
        "x--b--",
    ])
    func malformedBodiesAreRejected(body: String) {
        let error = #expect(throws: RequestError.self, "\(body)") { try parse(body) }
        #expect(error?.status == 400)
    }

    @Test func bareLineFeedsAreRejected() {
        let body = "--b\nContent-Disposition: form-data; name=a\n\nx\n--b--\n"
        #expect(throws: RequestError.self) {
            try MultipartForm(Array(body.utf8), contentType: "multipart/form-data; boundary=b")
        }
    }

    @Test func namesThatAreNotUTF8AreRejected() {
        let start = Array("--b\r\nContent-Disposition: form-data; name=".utf8)
        #expect(throws: RequestError.self) {
            try MultipartForm(
                start + [0xFF] + Array("\r\n\r\n\r\n--b--".utf8),
                contentType: "multipart/form-data; boundary=b")
        }
    }

    @Test func prefixesOfABodyNeverCrash() {
        let body = Array(
            ("--b\r\nContent-Disposition: form-data; name=\"a\\\"%22\"; filename*=utf-8''%41\r\n"
                + "Content-Type: x\r\n\r\n1\r\n--b \t\r\n"
                + "Content-Disposition: form-data; name=c\r\n\r\n"
                + "\r\n--b--").utf8)
        for count in 0..<body.count {
            let type = "multipart/form-data; boundary=b"
            _ = try? MultipartForm(Array(body.prefix(count)), contentType: type)
            _ = try? MultipartForm(Array(body.suffix(count)), contentType: type)
        }
    }

    @Test(arguments: [
        "", "text/plain", "application/json", "multipart/mixed; boundary=b",
        "multipart/form-data;x",
        "multipart/form-data; boundary=b; boundary=c", "multipart/form-data; boundary=\"b",
        "multipart/form-data; " + String(repeating: "x", count: 2000),
    ])
    func otherMediaTypesAreUnsupported(type: String) {
        let error = #expect(throws: RequestError.self) { try parse("--b--", type: type) }
        #expect(error?.status == 415, "\(type)")
    }

    @Test(arguments: [
        "", "; boundary=", "; boundary=\"\"", "; boundary=ä", "; boundary=\"a\rb\"",
        "; boundary=" + String(repeating: "x", count: 71), "; x=boundary",
    ])
    func malformedBoundariesAreRejected(parameters: String) {
        let error = #expect(throws: RequestError.self) {
            try parse("--b--", type: "multipart/form-data" + parameters)
        }
        #expect(error?.status == 400)
    }

    @Test func partsAreLimited() throws {
        let part = "--b\nContent-Disposition: form-data; name=a\n\n1\n"
        let body = String(repeating: part, count: 5) + "--b--"
        #expect(try parse(body, limit: 5).parts.count == 5)
        let error = #expect(throws: RequestError.self) { try parse(body, limit: 4) }
        #expect(error?.status == 413)
    }

    @Test func headersOfAPartAreLimited() {
        for filler in [
            "X: " + String(repeating: "a", count: 10_000), String(repeating: "X: a\n", count: 3000),
        ] {
            let error = #expect(throws: RequestError.self) {
                try parse("--b\n\(filler)\nContent-Disposition: form-data; name=a\n\n\n--b--")
            }
            #expect(error?.status == 413)
        }
    }

    /// Bodies that make naive searches quadratic; a quadratic one would take hours.
    @Test(arguments: [
        "\r", "\r\n", "\r\n-", "\r\n--aaaaaaaa", "\r\n--aaaaaaaaa-", " ", "\r\n--aaaaaaaaa  x",
    ])
    func searchTakesLinearTime(filler: String) throws {
        let header = "--aaaaaaaaa\r\nContent-Disposition: form-data; name=a\r\n\r\n"
        let body =
            Array(header.utf8)
            + Array(String(repeating: filler, count: (2 << 20) / filler.utf8.count).utf8)
            + Array("x\r\n--aaaaaaaaa--".utf8)
        let form = try MultipartForm(
            body, contentType: "multipart/form-data; boundary=aaaaaaaaa")
        #expect(form.parts.count == 1)
        #expect(form.parts[0].body.count == body.count - header.utf8.count - 15)
    }
}
