import Foundation
import TestSupport
import Testing

/// Compares the public declarations of every library with the lists in Tests/Fixtures/api.
///
/// After an intended change, `CLIP_WRITE_API=1 swift test --filter PublicAPITests` rewrites the
/// lists, so that the commit shows it.
@Suite struct PublicAPITests {
    private let sources = Fixtures.root + "/Sources"
    private let lists = Fixtures.path("api")

    /// The declarations of each module, which is the first folder below Sources.
    private func declarations() throws -> [String: [String]] {
        var modules: [String: PublicDeclarations] = [:]
        for name in try FileManager.default.subpathsOfDirectory(atPath: sources).sorted()
        where name.hasSuffix(".swift") {
            let module = String(name.prefix { $0 != "/" })
            let text = String(decoding: try bytes(ofFile: "\(sources)/\(name)"), as: UTF8.self)
            modules[module, default: PublicDeclarations()].read(text)
        }
        return modules.mapValues(\.lines).filter { !$0.value.isEmpty }
    }

    @Test func publicDeclarationsMatchTheLists() throws {
        let found = try declarations()
        if ProcessInfo.processInfo.environment["CLIP_WRITE_API"] != nil {
            try? FileManager.default.removeItem(atPath: lists)
            try FileManager.default.createDirectory(
                atPath: lists, withIntermediateDirectories: true)
            for (module, lines) in found {
                try (lines.joined(separator: "\n") + "\n").write(
                    toFile: "\(lists)/\(module).txt", atomically: true, encoding: .utf8)
            }
        }
        let listed = try FileManager.default.contentsOfDirectory(atPath: lists)
            .filter { $0.hasSuffix(".txt") }.map { String($0.dropLast(4)) }
        for module in Set(found.keys).union(listed).sorted() {
            let path = "\(lists)/\(module).txt"
            let text = (try? bytes(ofFile: path)).map { String(decoding: $0, as: UTF8.self) } ?? ""
            let expected = text.split(separator: "\n").map(String.init)
            let changes = (found[module] ?? []).difference(from: expected)
            let report = changes.map { change in
                switch change {
                case .insert(_, let line, _): "added:   \(line)"
                case .remove(_, let line, _): "removed: \(line)"
                }
            }
            #expect(
                changes.isEmpty,
                "\(module)\n\(report.joined(separator: "\n"))\nIf this is meant: CLIP_WRITE_API=1")
        }
    }

    @Test func declarationsAreRead() {
        var declarations = PublicDeclarations()
        declarations.read(
            """
            public import Other
            /// public struct Comment {}
            @nonexhaustive
            public enum Choice: String, Sendable {
                case one, two(Int)
                case three = "{"
                private struct Hidden { public var x = 1 }
            }
            public struct Thing<T> {
                public var a = "}", b: Int
                public private(set) var c: [Int] = [1, 2]
                public var d: Int { didSet { print(d) } }
                public var e: Int { get { 1 } set { print("}") } }
                let f = [1, 2].map { $0 + 1 }
                public init(
                    _ x: Int = 1,
                    y: String = "("
                ) throws(Choice) {
                    if x > 1 { return }
                }
                package func g() {}
            }
            package struct Inner { public func h() {} }
            extension Inner: Codable { public var i: Int { 1 } }
            extension Thing: Codable where T: Codable {
                public static func == (a: Self, b: Self) -> Bool { true }
            }
            """)
        let expected = [
            "@nonexhaustive public enum Choice: String, Sendable",
            "Choice: case one, two(Int)",
            "Choice: case three = \"{\"",
            "Thing: extension Thing: Codable where T: Codable",
            "Thing: public init(_ x: Int = 1, y: String = \"(\") throws(Choice)",
            "Thing: public private(set) var c: [Int]",
            "Thing: public static func == (a: Self, b: Self) -> Bool",
            "Thing: public var a = \"}\", b: Int",
            "Thing: public var d: Int",
            "Thing: public var e: Int { get set }",
            "public struct Thing<T>",
        ]
        #expect(declarations.lines == expected)
    }
}
