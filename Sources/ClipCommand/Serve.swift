import ArgumentParser
import CLIP
import CLIPSearch
import CLIPServer
import Files
import Synchronization

#if canImport(Glibc)
    @preconcurrency import Glibc
#elseif canImport(Musl)
    @preconcurrency import Musl
#else
    import Darwin
#endif

struct Serve: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serve models and indexes over HTTP, with a web page.",
        discussion: """
            Answers the requests of immich, Weaviate and clients of OpenAI's embeddings, \
            zero-shot classification, and searches of the indexes that --index names; / is a page \
            for browsers, /openapi.json describes all endpoints, and /metrics is for Prometheus. \
            Embeddings are bit-identical to those of clip encode, also under concurrent requests. \
            Indexes that clip index updates are picked up without a restart.

            By default only this machine can connect. For others, give --host and --api-key-file, \
            and leave TLS to a reverse proxy. URLs of images in requests are fetched only \
            with --allow-urls, and only from public addresses.

            Prints one line per request on standard output. SIGTERM and Ctrl-C stop the server \
            when it has finished the accepted requests; a second signal stops it at once. The \
            exit status is 0 after SIGTERM and 130 after Ctrl-C.

            Examples:
              clip serve
              clip serve --index . --port 8001
              clip serve --model tiny --log json
              clip serve --model tiny --systemd > clip.service
            """)

    @Option(
        parsing: .singleValue,
        help: ArgumentHelp(
            "Search the index of FOLDER, from clip index; repeat the option for more.",
            valueName: "folder"),
        completion: .directory)
    var index: [String] = []

    @OptionGroup var models: ServeModelOptions
    @OptionGroup var network: ServeNetworkOptions

    @Flag(help: "Print a systemd unit that runs this command with these options, and exit.")
    var systemd = false

    @OptionGroup var common: CommonOptions

    /// The server and the signal that stops it.
    private final class Stopping: Sendable {
        struct State {
            var server: Server?
            /// The first signal that has arrived; nil if there is none.
            var signal: Int32?
        }

        let state = Mutex(State())

        /// The exit status after the first signal.
        var status: Int32 { state.withLock { $0.signal == SIGINT ? 130 : 0 } }

        /// Stops the server; a second signal does so at once.
        func receive(_ number: Int32, isQuiet: Bool) {
            let (server, isFirst) = state.withLock { state in
                defer { state.signal = state.signal ?? number }
                return (state.server, state.signal == nil)
            }
            guard let server else { _exit(number == SIGINT ? 130 : 0) }
            if isFirst, !isQuiet {
                note("clip: serve: finishing the accepted requests; another signal ends at once")
            }
            server.stop()
            guard !isFirst else { return }
            // A batch that is being computed cannot be stopped.
            usleep(500_000)
            _exit(status)
        }

        /// Stores the server.
        func start(_ server: Server) { state.withLock { $0.server = server } }
    }

    func run() throws {
        if systemd {
            let unit = try SystemdUnit(self)
            // Read now what the service will read, so that it does not fail at its start.
            try ServedModels(models, indexes: try openIndexes()).check(mayFetch: models.fetch)
            return print(unit.text, terminator: "")
        }
        let key = try network.key()
        shareFreedMemory()
        // A name server that does not answer would hold the few threads of downloads for long.
        if network.allowURLs { setenv("RES_OPTIONS", "timeout:2 attempts:1", 0) }
        // Before any thread starts.
        let (stopping, isQuiet) = (Stopping(), common.quiet)
        Interruption.receive { stopping.receive($0, isQuiet: isQuiet) }
        // A client that closes its connection must not end the server.
        signal(SIGPIPE, SIG_IGN)
        let connections = try connectionLimit(files: raiseOpenFileLimit())

        let threads = try models.threading.wanted()
        let indexes = try openIndexes()
        let served = try ServedModels(models, indexes: indexes)
        try served.check(mayFetch: models.fetch)
        let log = LogWriter()
        let server = try Server(
            options: options(served, key: key, threads: threads, connections: connections),
            load: { name, mayFetch in try served.load(name, mayFetch: mayFetch) },
            installed: { ServedModels.installed }, defaultModel: served.named.first,
            log: { log.append($0) }, report: { report("serve: \($0)") })
        stopping.start(server)
        noteWarnings(hasKey: key != nil, served)
        let lines = indexes.map(line)
        try server.runAndWait { address, port in
            guard !isQuiet else { return }
            let names = served.named.isEmpty ? [BundledModel.name] : served.named
            let host = address.contains(":") ? "[\(address)]" : address
            note(
                """
                clip: serving \(names.joined(separator: ", ")) on \
                http://\(host):\(port)\(network.path) (Ctrl-C stops)
                """)
            lines.forEach(note)
        }
        let isWritten = log.finish()
        if !isWritten { _exit(stopping.status) }
        guard stopping.status == 0 else { throw ExitCode(stopping.status) }
    }

    private func openIndexes() throws -> [FolderIndex] {
        let threads = try models.threading.wanted()
        return try index.map { try FolderIndex(folder: FilePath(argument: $0), threads: threads) }
    }

    private func options(
        _ served: ServedModels, key: String?, threads: Int?, connections: Int
    ) -> ServerOptions {
        var options = ServerOptions()
        network.apply(to: &options)
        options.connectionLimit = connections
        options.apiKey = key
        (options.version, options.commit) = (VersionReport.number, VersionReport.commit)
        options.models = served.named
        options.demonstrationModel = served.named.isEmpty ? BundledModel.name : nil
        options.indexes = index
        options.threads = threads
        options.preloads = models.preload
        options.timeToLive = models.ttl
        options.memoryLimit = models.memory?.bytes ?? 0
        options.allowsFetching = models.fetch
        return options
    }

    /// Returns the largest number of connections: that of the options, or fewer if the process may
    /// open too few files.
    private func connectionLimit(files: Int?) throws -> Int {
        // Weights, indexes, the log, sockets that are not accepted yet, and downloads.
        let own = network.allowURLs ? 96 : 48
        guard let files, files < network.maxConnections + own else {
            return network.maxConnections
        }
        guard files > own else {
            throw Failure(
                "clip serve needs to open more than \(own) files; the limit is \(files) (ulimit -n)"
            )
        }
        if !common.quiet {
            note(
                """
                clip: serve: at most \(files - own) connections, because the process may open only \
                \(files) files (ulimit -n)
                """)
        }
        return files - own
    }

    private func line(_ index: FolderIndex) -> String {
        """
        clip: serve: index of \(index.folder): \(counted(index.count, "image")), model \
        \(index.modelName)
        """
    }

    private func noteWarnings(hasKey: Bool, _ served: ServedModels) {
        if !network.isLoopback, !hasKey {
            note(
                """
                clip: warning: everyone who can connect to \(network.host) can use this server; \
                give --api-key-file FILE to require a key
                """)
        }
        guard !common.quiet else { return }
        if served.named.isEmpty { note(DefaultModel.demonstrationNote) }
        if let precision = models.precision, !precision.isSupported {
            note(ModelOptions.unsupportedNote(precision))
        }
    }
}
