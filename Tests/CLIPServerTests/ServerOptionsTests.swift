import Testing

@testable import CLIPServer

@Suite struct ServerOptionsTests {
    @Test(arguments: [
        ("", ""), ("/", ""), ("//", ""), ("/clip", "/clip"), ("clip", "/clip"), ("/clip/", "/clip"),
        ("a/b//", "/a/b"), ("//a", "/a"),
    ])
    func basePathIsNormalized(_ path: String, _ expected: String) {
        #expect(ServerOptions.normalized(basePath: path) == expected)
    }

    @Test func bodyLimitIsClamped() {
        var options = ServerOptions()
        #expect(options.bodyLimit == 64 << 20)
        for (given, expected) in [
            (Int.max, ServerOptions.largestBodyLimit), (0, 1), (Int.min, 1), (1000, 1000),
        ] {
            options.bodyLimit = given
            #expect(options.bodyLimit == expected)
        }
    }
}
