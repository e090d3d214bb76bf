/// An incremental parser of what a client sends: a hello, then requests.
///
/// It does no I/O, accepts bytes in pieces of any size, and rejects each field as soon as its bytes
/// are there. It holds one request at most, and only the bytes of it that have arrived.
struct RequestParser {
    /// A part of the input that is complete.
    enum Event: Equatable {
        case hello
        /// The head of a request, whose payload of `payloadCount` bytes follows.
        case head(payloadCount: Int)
        case request(id: UInt64, kind: WorkerProtocol.Kind, payload: [UInt8])
    }

    private enum State {
        case hello
        case length
        case idAndKind(payloadCount: Int)
        case payload(count: Int, id: UInt64, kind: WorkerProtocol.Kind)
    }

    private let largestPayload: Int
    private var state = State.hello
    /// The bytes of the current hello, head or payload.
    private var pending: [UInt8] = []
    /// The number of bytes parsed.
    private(set) var position = 0
    /// The position at which the current hello or request begins.
    private var start = 0

    /// Makes a parser.
    ///
    /// - Parameter largestPayload: The largest number of bytes after a request's id and kind; at
    ///   most `WorkerProtocol.payloadLimit`.
    init(largestPayload: Int) {
        self.largestPayload = min(max(0, largestPayload), WorkerProtocol.payloadLimit)
    }

    /// Consumes bytes up to the end of the next event.
    ///
    /// - Parameter bytes: The bytes that have arrived; those that were consumed are removed.
    /// - Returns: The event; nil if it is not complete and all bytes were consumed.
    /// - Throws: `WorkerError` for a field that violates the protocol. The parser must not be used
    ///   afterwards.
    mutating func next(_ bytes: inout ArraySlice<UInt8>) throws(WorkerError) -> Event? {
        while true {
            switch state {
            case .hello:
                let isComplete = take(WorkerProtocol.helloSize, from: &bytes)
                try checkHello()
                guard isComplete else { return nil }
                begin(.length)
                start = position
                return .hello
            case .length:
                guard take(4, from: &bytes) else { return nil }
                let count = Int(WorkerProtocol.number(of: pending) as UInt32)
                let least = WorkerProtocol.idAndKindSize
                let allowed = least...(least + largestPayload)
                guard allowed.contains(count) else {
                    throw .invalidLength(offset: start, expected: allowed, found: count)
                }
                begin(.idAndKind(payloadCount: count - least))
            case .idAndKind(let count):
                guard take(WorkerProtocol.idAndKindSize, from: &bytes) else { return nil }
                guard let byte = pending.last, let kind = WorkerProtocol.Kind(rawValue: byte) else {
                    throw .unknownKind(offset: position - 1, found: pending.last ?? 0)
                }
                let id: UInt64 = WorkerProtocol.number(of: pending.dropLast())
                begin(.payload(count: count, id: id, kind: kind))
                // The announced size is not trusted: memory grows with what arrives.
                pending.reserveCapacity(min(count, 1 << 20))
                return .head(payloadCount: count)
            case .payload(let count, let id, let kind):
                guard take(count, from: &bytes) else { return nil }
                let payload = pending
                begin(.length)
                start = position
                return .request(id: id, kind: kind, payload: payload)
            }
        }
    }

    /// Checks that the input may end here.
    ///
    /// - Throws: `WorkerError.truncated` within the hello or a request.
    func finish() throws(WorkerError) {
        let expected =
            switch state {
            case .hello: WorkerProtocol.helloSize
            case .length: 4
            case .idAndKind(let count), .payload(let count, _, _):
                4 + WorkerProtocol.idAndKindSize + count
            }
        if case .length = state, pending.isEmpty { return }
        let isHello = if case .hello = state { true } else { false }
        throw .truncated(
            part: isHello ? "the hello" : "a request", offset: start, expected: expected,
            found: position - start)
    }

    /// Checks the bytes of the hello that have arrived.
    private func checkHello() throws(WorkerError) {
        let magic = WorkerProtocol.magic
        guard zip(pending, magic).allSatisfy(==) else {
            throw .wrongHello(found: Array(pending.prefix(magic.count)))
        }
        guard pending.count == WorkerProtocol.helloSize else { return }
        let version: UInt32 = WorkerProtocol.number(of: pending[magic.count...])
        guard version == WorkerProtocol.version else {
            throw .unsupportedVersion(expected: WorkerProtocol.version, found: version)
        }
    }

    private mutating func begin(_ next: State) {
        state = next
        pending = []
    }

    /// Moves bytes to `pending` until it has `count`; returns true if it has.
    private mutating func take(_ count: Int, from bytes: inout ArraySlice<UInt8>) -> Bool {
        let part = bytes.prefix(count - pending.count)
        pending += part
        bytes = bytes.dropFirst(part.count)
        position += part.count
        return pending.count == count
    }
}
