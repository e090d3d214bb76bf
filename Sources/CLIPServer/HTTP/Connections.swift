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
        let (isAdded, replaced) = state.withLock { state -> (Bool, Connection?) in
            guard !state.isStopping else { return (false, nil) }
            var replaced: Connection?
            if state.open.count >= limit {
                replaced = state.open.values.filter { $0.idleSince != nil }
                    .min { ($0.idleSince ?? .now) < ($1.idleSince ?? .now) }
                guard let replaced else { return (false, nil) }
                state.open[ObjectIdentifier(replaced)] = nil
            }
            state.open[ObjectIdentifier(connection)] = connection
            return (true, replaced)
        }
        replaced?.close()
        return isAdded
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
        var isClosed = false
        /// Cancels the work for the current request.
        var cancel: (@Sendable () -> Void)?
        var deadline: Scheduled<Void>?
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

    /// Marks the connection as waiting for a request for at most `seconds`.
    func becomeIdle(for seconds: Int) {
        state.withLock { state in
            state.idleSince = .now
            state.hasBytes = false
        }
        setDeadline(seconds)
    }

    /// Notes that bytes have arrived: from the first one on, the client has `seconds` for the head
    /// of its request.
    func noteBytes(_ seconds: Int) {
        let isFirst = state.withLock { state in
            guard state.idleSince != nil, !state.hasBytes else { return false }
            state.hasBytes = true
            return true
        }
        if isFirst { setDeadline(seconds) }
    }

    /// Marks the connection as busy with a request.
    func becomeBusy() { state.withLock { $0.idleSince = nil } }

    /// Closes the connection after a number of seconds, instead of at an earlier deadline; nil for
    /// no deadline.
    func setDeadline(_ seconds: Int?) {
        let next = seconds.map { seconds in
            channel.eventLoop.scheduleTask(in: .seconds(Int64(seconds))) { [channel] in
                channel.close(promise: nil)
            }
        }
        let last = state.withLock { state in
            defer { state.deadline = next }
            return state.deadline
        }
        last?.cancel()
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
        channel.eventLoop.scheduleTask(in: time) { [self] in
            if idleSince != nil { close() }
        }
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
