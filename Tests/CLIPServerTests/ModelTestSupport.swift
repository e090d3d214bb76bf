import Dispatch
import Synchronization
import Testing

@testable import CLIPServer

/// Blocks threads until it is opened.
final class Gate: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)

    func open() { semaphore.signal() }

    func wait() {
        semaphore.wait()
        semaphore.signal()
    }
}

/// A list to which several threads append.
final class Log<Element: Sendable>: Sendable {
    private let list = Mutex<[Element]>([])

    var elements: [Element] { list.withLock { $0 } }
    func append(_ element: Element) { list.withLock { $0.append(element) } }
}

/// Waits up to ten seconds until a condition is true.
func eventually(
    _ condition: () -> Bool, sourceLocation: SourceLocation = #_sourceLocation
) async throws {
    for _ in 0..<2000 {
        if condition() { return }
        try await Task.sleep(for: .milliseconds(5))
    }
    Issue.record("the condition did not become true in time", sourceLocation: sourceLocation)
}

/// Returns the `RequestError` that a call throws; nil if it throws none.
func requestError(_ body: () async throws -> Void) async -> RequestError? {
    do {
        try await body()
        return nil
    } catch {
        return error as? RequestError
    }
}
