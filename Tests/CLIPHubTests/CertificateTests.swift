import Foundation
import TestSupport
import Testing

@testable import CLIPHub

/// Tests custom certificates, named by the variables that Hugging Face's libraries read.
@Suite struct CertificateTests {
    @Test func firstSetVariableWins() throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("ca.pem", [1])
        var environment: [String: String] = [:]
        #expect(Certificates(environment: environment).variable == nil)
        for name in Certificates.variables.reversed() {
            environment[name] = name == "SSL_CERT_DIR" ? folder.path : file
            let found = Certificates(environment: environment)
            #expect(found.variable == name)
            #expect(found.file == (name == "SSL_CERT_DIR" ? nil : file), "\(name)")
            #expect(found.folder == (name == "SSL_CERT_DIR" ? folder.path : nil), "\(name)")
        }
        environment["REQUESTS_CA_BUNDLE"] = ""
        #expect(Certificates(environment: environment).variable == "CURL_CA_BUNDLE")
        let bundle = Certificates(environment: ["REQUESTS_CA_BUNDLE": folder.path])
        #expect(bundle.folder == folder.path)
        #expect(bundle.file == nil)
    }

    @Test func certificateErrorIsNotRetried() {
        let policy = TransferPolicy()
        let error = HubError.untrusted(url: "u", reason: "r", variable: nil)
        #expect(policy.wait(after: error, failures: 1) == nil)
        #expect("\(error)".contains("SSL_CERT_FILE"))
        #expect(policy.wait(after: .unreachable(url: "u", reason: "r"), failures: 1) != nil)
    }

    @Test(arguments: Certificates.variables.dropLast())
    func missingCertificateFileIsReported(_ variable: String) throws {
        let server = try FaultServer { _ in .init(404) }
        let hub = ModelHub(
            environment: [
                "HF_ENDPOINT": "https://127.0.0.1:\(server.port)", "HOME": "/nonexistent",
                variable: "/nonexistent/ca.pem",
            ])
        let error = #expect(throws: HubError.self) { try hub.fetch("me/model") }
        guard case .untrusted(_, _, variable) = error else {
            Issue.record("\(error as Any)")
            return
        }
        #expect("\(error as Any)".contains(variable), "\(error as Any)")
    }

    /// A server with its own certificate, run by the openssl program.
    private final class Server {
        let process = Process()
        let port: Int

        init(in folder: TemporaryFolder, program: String) throws {
            let request = Process()
            request.executableURL = URL(fileURLWithPath: program)
            request.currentDirectoryURL = URL(fileURLWithPath: folder.path)
            request.arguments = [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", "key.pem", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test",
                "-addext", "subjectAltName=IP:127.0.0.1",
            ]
            request.standardError = FileHandle.nullDevice
            try request.run()
            request.waitUntilExit()
            let output = Pipe()
            process.executableURL = request.executableURL
            process.currentDirectoryURL = request.currentDirectoryURL
            process.arguments = [
                "s_server", "-accept", "127.0.0.1:0", "-cert", "ca.pem", "-key", "key.pem", "-HTTP",
            ]
            process.standardInput = Pipe()
            process.standardOutput = output
            process.standardError = FileHandle.nullDevice
            try process.run()
            // "ACCEPT 127.0.0.1:34567"
            var text = ""
            while !text.contains("ACCEPT") || text.last != "\n" {
                let data = output.fileHandleForReading.availableData
                guard !data.isEmpty else { break }
                text += String(decoding: data, as: UTF8.self)
            }
            let line = text.split(separator: "\n").last { $0.hasPrefix("ACCEPT") }
            port = try #require(line?.split(separator: ":").last.flatMap { Int($0) }, "\(text)")
        }

        deinit { process.terminate() }
    }

    private static let openssl = "/usr/bin/openssl"

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: openssl)))
    func namedCertificateIsTrusted() throws {
        let folder = try TemporaryFolder()
        let sum = try #require(HubModel.named("ViT-B/32")?.official?.sha256)
        try FileManager.default.createDirectory(
            atPath: "\(folder.path)/models/\(sum)", withIntermediateDirectories: true)
        // The server sends a file as the whole response.
        try folder.write(
            "models/\(sum)/ViT-B-32.pt",
            Array("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nwrong".utf8))
        let server = try Server(in: folder, program: Self.openssl)
        func error(_ variables: [String: String]) -> HubError? {
            let environment = [
                "CLIP_OPENAI_ENDPOINT": "https://127.0.0.1:\(server.port)/models",
                "HOME": folder.path,
            ].merging(variables) { $1 }
            var hub = ModelHub(environment: environment)
            hub.policy.delay = 0.01
            return #expect(throws: HubError.self) {
                try hub.fetch("ViT-B/32", official: true)
            }
        }
        guard case .untrusted(_, _, nil) = error([:]) else {
            Issue.record("\(error([:]) as Any)")
            return
        }
        for variable in Certificates.variables.dropLast() {
            // Its bytes arrived, so the certificate is trusted.
            let found = error([variable: folder.path + "/ca.pem"])
            guard case .wrongChecksum(_, sum, _) = found else {
                Issue.record("\(variable): \(found as Any)")
                continue
            }
        }
    }
}
