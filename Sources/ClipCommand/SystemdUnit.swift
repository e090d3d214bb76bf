import CLIPServer
import Files

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A unit file of systemd that runs `clip serve` without access to the rest of the system.
struct SystemdUnit {
    /// The text of the file.
    let text: String

    /// Makes the unit for the options of a command.
    ///
    /// - Throws: `Failure` with status 2 for options that a unit cannot have; errors of the choice
    ///   of the default model.
    init(_ command: Serve) throws {
        guard command.network.apiKey == nil else {
            throw Failure(
                """
                --systemd and --api-key cannot be combined, because every user can read a unit; \
                give --api-key-file FILE
                """, status: 2)
        }
        if command.network.apiKeyFile == nil, Environment["CLIP_API_KEY"] != nil {
            throw Failure(
                """
                --systemd cannot keep the key of CLIP_API_KEY, because every user can read a unit; \
                give --api-key-file FILE, or unset the variable
                """, status: 2)
        }
        guard command.network.port != 0 else {
            throw Failure("--systemd needs a fixed --port, not 0", status: 2)
        }
        guard let program = programPath() else {
            throw Failure("the path of the running program is unknown")
        }
        var arguments = Arguments()
        try arguments.add(command.models)
        arguments.add(command.network)
        for folder in command.index { arguments.add("--index", path: folder) }
        if command.common.quiet { arguments.add("--quiet") }
        // The binary may lie in a home folder, as in .build/release.
        arguments.paths.append(program)
        // In arguments, unlike elsewhere, a dollar sign stands for a variable.
        let words = arguments.words.map { Self.quoted($0).replacing("$", with: "$$") }
        text = Self.text(
            command: ([Self.quoted(program), "serve"] + words).joined(separator: " "),
            command.network, arguments.paths)
    }

    private static func text(
        command: String, _ network: ServeNetworkOptions, _ paths: [String]
    ) -> String {
        var lines = [
            "# Written by clip serve --systemd. Save it as /etc/systemd/system/clip.service; then:",
            "#     systemctl daemon-reload && systemctl enable --now clip",
            "# The service finds models in /var/cache/clip; to install one there:",
            "#     CLIP_HOME=/var/cache/clip HF_HOME=/var/cache/clip/huggingface clip pull NAME",
            "# Models and indexes named below must be readable by every user.",
            "[Unit]",
            "Description=CLIP models and image search over HTTP",
            "After=network-online.target",
            "Wants=network-online.target",
            "",
            "[Service]",
            "Type=exec",
            "ExecStart=\(command)",
            "Environment=HOME=/var/lib/clip",
            "Environment=CLIP_HOME=/var/cache/clip",
            "Environment=HF_HOME=/var/cache/clip/huggingface",
        ]
        if let file = network.apiKeyFile {
            lines.append("LoadCredential=api-key:\(escaped(absolutePath(file)))")
        }
        lines += [
            "Restart=on-failure",
            "RestartPreventExitStatus=2",
            "TimeoutStopSec=\(network.grace + 5)",
            "",
            "DynamicUser=yes",
            "StateDirectory=clip",
            "CacheDirectory=clip",
            "UMask=0077",
            "ProtectSystem=strict",
            "ProtectHome=tmpfs",
            "PrivateTmp=yes",
        ]
        // Other files of the home folders stay invisible.
        for path in paths where isHidden(path) {
            // A colon separates the source from the destination.
            lines.append("BindReadOnlyPaths=\(quoted(path).replacing(":", with: "\\:"))")
        }
        lines += [
            "PrivateDevices=yes",
            "ProtectClock=yes",
            "ProtectControlGroups=yes",
            "ProtectHostname=yes",
            "ProtectKernelLogs=yes",
            "ProtectKernelModules=yes",
            "ProtectKernelTunables=yes",
            "ProtectProc=invisible",
            "NoNewPrivileges=yes",
            "LockPersonality=yes",
            "MemoryDenyWriteExecute=yes",
            "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK",
            "RestrictNamespaces=yes",
            "RestrictRealtime=yes",
            "RestrictSUIDSGID=yes",
            "SystemCallArchitectures=native",
            "SystemCallFilter=@system-service",
            "SystemCallErrorNumber=EPERM",
        ]
        if network.port < 1024 {
            lines += [
                "AmbientCapabilities=CAP_NET_BIND_SERVICE",
                "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
            ]
        } else {
            lines += ["CapabilityBoundingSet=", "PrivateUsers=yes"]
        }
        lines += ["", "[Install]", "WantedBy=multi-user.target"]
        return lines.map { $0 + "\n" }.joined()
    }

    /// True for a path that `ProtectHome` and `PrivateTmp` hide.
    private static func isHidden(_ path: String) -> Bool {
        ["/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/"].contains(where: path.hasPrefix)
    }

    /// Returns a word of a command line, quoted if necessary.
    private static func quoted(_ word: String) -> String {
        // The key's file is in a folder that only systemd knows.
        if word == Arguments.credential { return word }
        let isPlain =
            !word.isEmpty
            && word.allSatisfy { $0.isLetter || $0.isNumber || "/._-:,+=@".contains($0) }
        return isPlain ? word : "\"\(escaped(word).replacing("\"", with: "\\\""))\""
    }

    /// Returns a text in which systemd replaces nothing.
    private static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("%", with: "%%").replacing("\n", with: "\\n")
            .replacing("\t", with: "\\t")
    }

    /// The arguments of the service.
    private struct Arguments {
        static let credential = "%d/api-key"

        var words: [String] = []
        /// The absolute paths of the files and folders that the service reads.
        var paths: [String] = []

        mutating func add(_ words: String...) { self.words += words }

        mutating func add(_ option: String, path: String) {
            let path = absolutePath(path)
            paths.append(path)
            words += [option, path]
        }

        /// Adds an option if its value is not the default.
        mutating func add<Value: Equatable>(_ option: String, _ value: Value, unless other: Value) {
            if value != other { words += [option, "\(value)"] }
        }

        mutating func add(_ models: ServeModelOptions) throws {
            let options = try models.options()
            let choice = models.model.isEmpty ? try options.choice() : nil
            let chosen = choice.flatMap { $0.origin == .demonstration ? nil : [$0.name] }
            for name in chosen ?? models.model {
                if name != BundledModel.name, FileManager.default.fileExists(atPath: name) {
                    add("--model", path: name)
                } else {
                    add("--model", name)
                }
            }
            if let activation = models.activation { add("--activation", activation.rawValue) }
            if let precision = models.precision { add("--precision", precision.rawValue) }
            if let resolution = models.resolution { add("--resolution", "\(resolution)") }
            if let threads = try models.threading.wanted() { add("--threads", "\(threads)") }
            let engine = try models.engineOptions.engine ?? EngineOptions.inEnvironment()
            if let engine { add("--engine", engine.rawValue) }
            if models.preload { add("--preload") }
            if models.fetch { add("--fetch") }
            add("--ttl", models.ttl, unless: ServerOptions().timeToLive)
            if let memory = models.memory { add("--memory", "\(memory)") }
        }

        mutating func add(_ network: ServeNetworkOptions) {
            var given = ServerOptions()
            network.apply(to: &given)
            let usual = ServerOptions()
            add("--host", given.host, unless: usual.host)
            add("--port", given.port, unless: usual.port)
            add("--base-path", given.basePath, unless: usual.basePath)
            if network.apiKeyFile != nil { add("--api-key-file", Self.credential) }
            for name in given.allowedHosts { add("--allow-host", name) }
            for origin in given.corsOrigins { add("--cors", origin) }
            if given.allowsURLs { add("--allow-urls") }
            add("--max-body", network.maxBody, unless: ByteCount(usual.bodyLimit))
            add("--max-images", given.imagesPerRequest, unless: usual.imagesPerRequest)
            add("--max-pixels", given.maximumPixels, unless: usual.maximumPixels)
            add("--max-connections", given.connectionLimit, unless: usual.connectionLimit)
            add("--queue", given.queueLimit, unless: usual.queueLimit)
            add("--request-timeout", given.requestTimeout, unless: usual.requestTimeout)
            add("--grace", given.grace, unless: usual.grace)
            add("--log", given.logFormat.rawValue, unless: usual.logFormat.rawValue)
        }
    }
}
