import ArgumentParser
import CLIP
import CLIPHub

struct Models: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the pretrained models that are known.",
        discussion: """
            Accuracy is the published zero-shot top-1 on ImageNet-1k. Beside these, --model takes any \
            file or folder of CLIP weights, and any repository of the hub (owner/name) with such.
            """)

    @Flag(help: "Only those that are on this machine.")
    var installed = false

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var common: CommonOptions

    func run() throws {
        let hub = CLIPHub()
        var rows: [(model: HubModel, path: String?)] = []
        for model in HubModel.all {
            let path = try hub.find(model.name)?.path
            if !installed || path != nil { rows.append((model, path)) }
        }
        let tiny = try BundledModel.load()
        if json {
            let bundled = JSON.object([
                "name": .string(BundledModel.name),
                "parameters": .integer(tiny.weights.parameterCount),
                "bytes": .integer(tiny.weights.byteCount),
                "dimension": .integer(tiny.configuration.embeddingDimension),
                "resolution": .integer(tiny.configuration.resolution),
                "activation": .string(tiny.configuration.activation.rawValue),
                "license": .string("MIT"), "installed": .bool(true), "path": .null,
            ])
            print(JSON.array([bundled] + rows.map { object($0, $1) }))
            return
        }
        let names = [BundledModel.name] + rows.map { $0.model.official?.name ?? $0.model.name }
        let width = (names.map(\.count).max() ?? 0) + 2
        print(
            "name".left(width), "params".right(8), "size".right(8), "embedding".right(9),
            "accuracy".right(8), "", "licence".left(28), "installed")
        print(
            BundledModel.name.left(width), millions(tiny.weights.parameterCount).right(8),
            megabytes(tiny.weights.byteCount).right(8),
            "\(tiny.configuration.embeddingDimension)".right(9), "".right(8), "", "MIT".left(28),
            "built in")
        for (name, (model, path)) in zip(names.dropFirst(), rows) {
            print(
                name.left(width), millions(model.parameterCount).right(8),
                megabytes(model.byteCount).right(8),
                "\(model.embeddingDimension)".right(9),
                (model.imageNetAccuracy.map { "\(fixed($0, 1)) %" } ?? "").right(8), "",
                model.license.left(28), path == nil ? "" : "yes")
        }
    }

    private func millions(_ count: Int) -> String { "\(fixed(Double(count) / 1e6, 1)) M" }

    private func megabytes(_ bytes: Int) -> String { "\(fixed(Double(bytes) / 1e6, 0)) MB" }

    private func object(_ model: HubModel, _ path: String?) -> JSON {
        .object([
            "name": .string(model.name), "aliases": .array(model.aliases.map { .string($0) }),
            "repository": .string(model.repository), "parameters": .integer(model.parameterCount),
            "bytes": .integer(model.byteCount), "dimension": .integer(model.embeddingDimension),
            "resolution": .integer(model.resolution),
            "activation": .string(model.activation.rawValue),
            "imagenet_top1": model.imageNetAccuracy.map { .double($0) } ?? .null,
            "license": .string(model.license), "installed": .bool(path != nil),
            "path": path.map { .string($0) } ?? .null,
        ])
    }
}
