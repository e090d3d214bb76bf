@testable import CLIPServer
import Testing

@Suite struct EndpointTests {
    @Test func asteriskMatchesPathsBelow() {
        let endpoint = Endpoint(method: "GET", path: "/image/*") { _, _ in .text("") }
        #expect(endpoint.matches("/image/0/7") && !endpoint.matches("/image"))
    }
}
