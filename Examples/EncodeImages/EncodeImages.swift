import CLIP
import Foundation

/// Encodes images and prints a row of numbers for each, in order.
///
/// Ctrl-C or a time limit in seconds cancels the task; rows encoded before that are printed.
///
///     swift run EncodeImages Weights/tiny.safetensors 60 Examples/*.jpg > rows.tsv
@main
struct EncodeImages {
    static func main() async {
        let arguments = CommandLine.arguments
        guard arguments.count > 3, let seconds = Double(arguments[2]) else {
            note("usage: EncodeImages MODEL SECONDS IMAGE...")
            exit(2)
        }
        let task = Task { try await encode(Array(arguments[3...]), modelPath: arguments[1]) }

        signal(SIGINT, SIG_IGN)
        let interruption = DispatchSource.makeSignalSource(signal: SIGINT, queue: .global())
        interruption.setEventHandler { task.cancel() }
        interruption.resume()
        Task {
            try await Task.sleep(for: .seconds(seconds))
            task.cancel()
        }

        do {
            exit(try await task.value == 0 ? 0 : 1)
        } catch {
            let isCancelled = error is CancellationError
            note(isCancelled ? "cancelled" : "\(error)")
            exit(isCancelled ? 130 : 1)
        }
    }

    /// Prints the embeddings of images.
    ///
    /// - Returns: The number of images that could not be read.
    static func encode(_ paths: [String], modelPath: String) async throws -> Int {
        let model = try CLIPModel(path: modelPath)
        var failures = 0
        for try await encoded in model.encodings(of: paths, decode: image) {
            do {
                let row = try encoded.embedding.get()
                print(encoded.input, row.map(\.description).joined(separator: "\t"))
            } catch {
                failures += 1
                note("\(error)")
            }
        }
        return failures
    }

    @Sendable static func image(_ path: String) throws(CLIPError) -> RGBImage {
        try RGBImage(contentsOfFile: path)
    }

    static func note(_ message: String) {
        FileHandle.standardError.write(Data((message + "\n").utf8))
    }
}
