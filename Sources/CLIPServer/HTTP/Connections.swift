internal import NIOCore
internal import Synchronization

/// The open connections of a server.
///
/// Beyond the limit, the connection that has waited longest for its next request makes room for a
/// new one, so that idle clients cannot lock others out.
final class Connections: Sendable {
    private struct State {
        var open: [ObjectIdentifier: Connection] = [:]
        var isStopping = false
    }

    private let limit: Int
    private let state = Mutex(State())

    init(limit: Int) { self.limit = limit }

    var count: Int { state.withLock { $0.open.count } }

    /// True once no further requests are accepted.
    var isStopping: Bool { state.withLock { $0.isStopping } }

    /// Adds a connection.
    ///
    /// - Returns: False if the server stops, or if it has too many connections, all of them busy.
    func add(_ connection: Connection) -> Bool {
        state.withLock { state in
            guard !state.isStopping else { return false }
            if state.open.count >= limit {
                guard let retired = Self.retire(Array(state.open.values)) else { return false }
                state.open[ObjectIdentifier(retired)] = nil
            }
            state.open[ObjectIdentifier(connection)] = connection
            return true
        }
    }

    /// Closes the connection that has waited longest, of those without a byte of the next request
    /// if there are any; nil if none waits.
    private static func retire(_ connections: [Connection]) -> Connection? {
        let idle = connections.compactMap { connection in
            connection.idleSince.map { (connection, $0, connection.hasBytes) }
        }
        let silent = idle.filter { !$0.2 }
        for (connection, _, _) in (silent.isEmpty ? idle : silent).sorted(by: { $0.1 < $1.1 })
        where connection.retire() {
            return connection
        }
        return nil
    }

    func remove(_ connection: Connection) {
        state.withLock { $0.open[ObjectIdentifier(connection)] = nil }
    }

    /// Closes idle connections soon; the others close after the response to their current request.
    ///
    /// A request that has already arrived, and that the server has not read, is still answered.
    func stop() {
        let idle = state.withLock { state in
            state.isStopping = true
            return state.open.values.filter { $0.idleSince != nil }
        }
        for connection in idle { connection.closeIfIdle(after: .milliseconds(200)) }
    }

    /// Closes all connections at once, which cancels the work for them.
    func abort() {
        let open = state.withLock { state in
            state.isStopping = true
            return Array(state.open.values)
        }
        for connection in open { connection.close() }
    }
}

/// A connection to a client, its deadline and the work for its current request.
final class Connection: Sendable {
    private struct State {
        var idleSince: ContinuousClock.Instant? = .now
        /// True once a byte of the next request has arrived.
        var hasBytes = false
        /// True once the connection makes room for another one.
        var isRetired = false
        var isClosed = false
        /// Cancels the work for the current request.
        var cancel: (@Sendable () -> Void)?
        /// The timer of the deadline, and a number that tells it from earlier ones.
        var deadline: Scheduled<Void>?
        var generation = 0
    }

    let channel: any Channel
    /// The IP address of the client; `-` if it is unknown.
    let peer: String
    private let state = Mutex(State())

    init(_ channel: any Channel) {
        self.channel = channel
        peer = channel.remoteAddress?.ipAddress ?? "-"
        channel.closeFuture.whenComplete { [self] _ in
            let (cancel, deadline) = state.withLock { state in
                state.isClosed = true
                return (state.cancel, state.deadline)
            }
            cancel?()
            deadline?.cancel()
        }
    }

    /// The time since which the connection waits for a request; nil while there is one.
    var idleSince: ContinuousClock.Instant? { state.withLock { $0.idleSince } }

    /// True if a byte of the next request has arrived.
    var hasBytes: Bool { state.withLock { $0.hasBytes } }

    /// Marks the connection as waiting for a request for at most `seconds`.
    func becomeIdle(for seconds: Int) {
        setDeadline(seconds) { state in
            state.idleSince = .now
            state.hasBytes = false
            return true
        }
    }

    /// Notes that bytes have arrived: from the first one on, the client has `seconds` for the head
    /// of its request.
    func noteBytes(_ seconds: Int) {
        setDeadline(seconds) { state in
            guard state.idleSince != nil, !state.hasBytes else { return false }
            state.hasBytes = true
            return true
        }
    }

    /// Marks the connection as busy with a request, which must be received within `seconds`.
    ///
    /// - Returns: False if the connection has been closed to make room for another one.
    func becomeBusy(_ seconds: Int) -> Bool {
        var isOpen = true
        setDeadline(seconds) { state in
            isOpen = !state.isRetired
            if isOpen { state.idleSince = nil }
            return isOpen
        }
        return isOpen
    }

    /// Closes the connection if it waits for a request.
    ///
    /// - Returns: True if it did.
    func retire() -> Bool {
        let isIdle = state.withLock { state in
            state.isRetired = state.isRetired || state.idleSince != nil
            return state.isRetired
        }
        if isIdle { close() }
        return isIdle
    }

    /// Closes the connection after a number of seconds, instead of at an earlier deadline; nil for
    /// no deadline.
    func setDeadline(_ seconds: Int?) { setDeadline(seconds) { _ in true } }

    /// Changes the state and the deadline together, unless `change` returns false.
    private func setDeadline(_ seconds: Int?, _ change: (inout State) -> Bool) {
        let (generation, last) = state.withLock { state -> (Int?, Scheduled<Void>?) in
            guard change(&state) else { return (nil, nil) }
            state.generation += 1
            defer { state.deadline = nil }
            return (state.generation, state.deadline)
        }
        last?.cancel()
        guard let generation, let seconds else { return }
        let timer = channel.eventLoop.scheduleTask(in: .seconds(Int64(seconds))) { [self] in
            // A timer that fires may have been replaced meanwhile.
            if state.withLock({ $0.generation == generation }) { close() }
        }
        let isCurrent = state.withLock { state in
            guard state.generation == generation, !state.isClosed else { return false }
            state.deadline = timer
            return true
        }
        if !isCurrent { timer.cancel() }
    }

    /// Runs an operation, whose task is cancelled if the connection closes.
    func run<Value: Sendable>(
        _ operation: @escaping @Sendable () async -> Value
    ) async -> Value {
        let work = Task { await operation() }
        let isClosed = state.withLock { state in
            state.cancel = { work.cancel() }
            return state.isClosed
        }
        if isClosed { work.cancel() }
        let value = await work.value
        state.withLock { $0.cancel = nil }
        return value
    }

    func close() { channel.close(promise: nil) }

    /// Closes the connection if it still waits for a request after some time.
    func closeIfIdle(after time: TimeAmount) {
        channel.eventLoop.scheduleTask(in: time) { [self] in _ = retire() }
    }
}

/// Tells a connection that bytes have arrived, before they are parsed.
final class ArrivalHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let connection: Connection
    private let seconds: Int

    init(_ connection: Connection, seconds: Int) {
        (self.connection, self.seconds) = (connection, seconds)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        connection.noteBytes(seconds)
        context.fireChannelRead(data)
    }
}
