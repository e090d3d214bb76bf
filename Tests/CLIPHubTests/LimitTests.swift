import Foundation
import TestSupport
import Testing

@testable import CLIPHub

/// Tests servers that announce absurd sizes, never end a body, or send a few bytes a second.
@Suite struct LimitTests {
    private static let configuration = "open_clip_config.json"

    @Test func absurdSizesAreRejected() throws {
        for (size, says) in [
            ("9223372036854775807", "is full"), ("9223372036854775806", "is full"),
            ("9223372036854775808", "x-linked-size"), ("99999999999999999999999", "x-linked-size"),
            ("-1", "x-linked-size"), ("-9223372036854775808", "x-linked-size"),
            ("1e9", "x-linked-size"), ("+300000", "x-linked-size"), ("0x10", "x-linked-size"),
        ] {
            let hub = try Hub { request, _, answer in
                if request.path.hasSuffix(Hub.name) { answer.headers["X-Linked-Size"] = size }
            }
            let error = hub.error()
            #expect("\(error as Any)".contains(says), "\(size): \(error as Any)")
            try hub.expectWhole(false)
        }
    }

    @Test func absurdRangesAreRejected() throws {
        for range in [
            "bytes 9223372036854775807-9223372036854775807/9223372036854775807",
            "bytes 200000-299999/9223372036854775808", "bytes -5-9/10",
            "bytes 99999999999999999999-/*",
            "bytes", "bytes */*", "bytes 1-2/-3",
        ] {
            let hub = try Hub { request, _, answer in
                guard request.path == "/cdn/file", request.rangeStart != nil else { return }
                answer.headers["Content-Range"] = range
            }
            try hub.prepareBlobs()
            try Data(hub.contents[..<200_000]).write(to: URL(fileURLWithPath: hub.partial))
            let error = hub.error()
            #expect(error == nil, "\(range): \(error as Any)")
            try hub.expectWhole(true)
        }
        #expect(Download.contentRange("bytes 5-9/99999999999999999999")?.total == nil)
        #expect(Download.contentRange("bytes +5-9/10")?.start == nil)
        #expect(Download.contentRange("bytes 5-9/10").map { [$0.start, $0.total] } == [5, 10])
        #expect(Download.contentRange("bytes */10").map { [$0.start, $0.total] } == [nil, 10])
    }

    @Test func messagesShowAnyNumber() {
        for number in [Int.min, -1, 0, 1, .max - 1, .max] {
            let errors: [HubError] = [
                .notInstalled(name: "m", bytes: number),
                .diskFull(path: "/", needed: number, available: number),
                .tooLarge(url: "u", limit: number),
                .wrongSize(url: "u", expected: number, found: number),
                .busy(url: "u", status: number, seconds: number),
                .tooSlow(url: "u", bytesPerSecond: number, seconds: number),
            ]
            for error in errors { #expect(!"\(error)".isEmpty) }
        }
        #expect("\(HubError.tooLarge(url: "u", limit: 16_000_000))".contains("16 MB"))
        #expect("\(HubError.tooLarge(url: "u", limit: 16_000_001))".contains("17 MB"))
    }

    @Test func configurationSizeIsLimited() throws {
        let large = [UInt8](repeating: 0x20, count: 200_000)
        let etag = try gitBlobSHA1(large)
        for (says, hasLength) in [(true, true), (false, false)] {
            var hub = try Hub { request, _, answer in
                guard request.path.hasSuffix(Self.configuration) else { return }
                answer.body = large
                answer.headers["ETag"] = etag
                answer.hasLength = hasLength
            }
            hub.hub.policy.largestConfiguration = 100_000
            let error = hub.error()
            guard case .tooLarge(_, 100_000) = error else {
                Issue.record("with a length: \(says): \(error as Any)")
                continue
            }
            #expect(hub.blobs.isEmpty, "\(hub.blobs)")
            let gets = hub.server.requests.count { $0.method == "GET" }
            #expect(gets == (hasLength ? 0 : 1))
            hub = try Hub { request, _, answer in
                guard request.path.hasSuffix(Self.configuration) else { return }
                answer.body = large
                answer.headers["ETag"] = etag
                answer.hasLength = hasLength
            }
            _ = try hub.fetch()
            try hub.expectWhole(true)
        }
    }

    @Test func sizeOfWeightsWithoutLengthIsLimited() throws {
        func hub(limit: Int) throws -> Hub {
            let hub = try Hub { request, contents, answer in
                if request.path.hasSuffix(Hub.name) { answer.headers["X-Linked-Size"] = nil }
                guard request.path == "/cdn/file" else { return }
                answer = .init(200, body: contents)
                answer.hasLength = false
            }
            hub.hub.policy.largestFile = limit
            return hub
        }
        let small = try hub(limit: Hub.size - 1)
        let error = small.error()
        guard case .tooLarge(_, Hub.size - 1) = error else {
            Issue.record("\(error as Any)")
            return
        }
        try small.expectWhole(false)
        #expect(small.blobs == [Hub.configuration.etag], "\(small.blobs)")
        let large = try hub(limit: Hub.size)
        _ = try large.fetch()
        try large.expectWhole(true)
    }

    @Test func slowConnectionIsClosedAndResumed() throws {
        let hub = try Hub { request, _, answer in
            guard request.path == "/cdn/file", request.repetition < 2 else { return }
            (answer.piece, answer.delay) = (1000, 0.05)
        }
        let usual = hub.hub.policy
        hub.hub.policy.attempts = 2
        hub.hub.policy.leastSpeed = 1_000_000
        hub.hub.policy.slowSeconds = 0.5
        let error = hub.error()
        guard case .tooSlow(_, 1_000_000, 1) = error else {
            Issue.record("\(error as Any)")
            return
        }
        #expect(hub.bodies == 2)
        let kept = try bytes(ofFile: hub.partial)
        #expect(!kept.isEmpty)
        #expect(firstDifference(kept, hub.contents.prefix(kept.count)) == nil)
        hub.hub.policy = usual
        _ = try hub.fetch()
        try hub.expectWhole(true)
        #expect(hub.server.requests.last?.rangeStart == kept.count)
    }

    /// Either libcurl or the hub ends these, whichever notices first.
    @Test func slowHeaderIsAbandoned() throws {
        let hub = try Hub { _, _, answer in answer.headerDelay = 0.1 }
        hub.hub.policy.attempts = 1
        hub.hub.policy.stall = 1
        hub.hub.policy.slowSeconds = 0.5
        let error = hub.error()
        guard case .unreachable = error else {
            Issue.record("\(error as Any)")
            return
        }
        #expect(hub.bodies == 0)
    }

    /// The attempts end with more bytes than the one before and with fewer, in turn.
    @Test func endlessRestartsAreAbandoned() throws {
        let hub = try Hub { request, contents, answer in
            guard request.path == "/cdn/file" else { return }
            answer = .init(200, body: contents)
            answer.cut = request.repetition % 2 == 0 ? 50_000 : 100_000
        }
        let error = hub.error()
        #expect("\(error as Any)".contains("cannot fetch"), "\(error as Any)")
        try hub.expectWhole(false)
        #expect(hub.bodies < 10, "\(hub.bodies)")
    }
}
