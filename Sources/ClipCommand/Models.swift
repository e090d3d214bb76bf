import ArgumentParser
import CLIP
import CLIPHub
import Files

#if canImport(Glibc)
    @preconcurrency import Glibc
#elseif canImport(Musl)
    @preconcurrency import Musl
#else
    import Darwin
#endif

struct Models: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the pretrained models.",
        discussion: """
            The accuracy is the published zero-shot top-1 accuracy on ImageNet-1k. --model also \
            accepts any file or folder of CLIP weights, and any repository of the Hugging Face hub \
            (owner/name) with CLIP weights. The default is used if neither --model nor CLIP_MODEL \
            names a model.

            Examples:
              clip models
              clip models ViT-B
              clip models --installed --json
            """)

    @Argument(
        help: ArgumentHelp(
            """
            List only models whose name or repository contains PATTERN, or matches it as a glob \
            (* and ?).
            """,
            valueName: "pattern"))
    var pattern: String?

    @Flag(help: "List only installed models.")
    var installed = false

    @Flag(help: "Print a JSON array of the models.")
    var json = false

    @OptionGroup var common: CommonOptions

    /// A model in the list.
    private struct Row {
        let name: String
        var parameterCount: Int?
        var byteCount: Int?
        var dimension: Int?
        var accuracy: Double?
        var license = ""
        let isInstalled: Bool
        let isDefault: Bool
        /// The members of the JSON object, except `default`.
        let members: [JSONValue.Member]
    }

    func run() throws {
        let rows = try allRows().filter { !installed || $0.isInstalled }
        if json {
            printLine(
                .array(
                    rows.map { .object($0.members + [("default", .bool($0.isDefault))]) }))
        } else if !rows.isEmpty {
            table(rows).lines(fitting: terminalColumns(of: 1)).forEach { print($0) }
        }
        if rows.isEmpty, let pattern {
            if !common.quiet { note("clip: no model matches \(pattern)") }
            throw ExitCode(1)
        }
    }

    private func allRows() throws -> [Row] {
        let hub = ModelHub()
        let stored = try DefaultModel.stored()
        let recommended = try hub.find(DefaultModel.recommended) != nil
        let name = stored ?? (recommended ? DefaultModel.recommended : BundledModel.name)
        let known = HubModel.named(name)?.name
        var rows: [Row] = []
        if matches([BundledModel.name]) {
            rows.append(try bundled(isDefault: name == BundledModel.name))
        }
        for model in HubModel.all where matches([model.name, model.repository] + model.aliases) {
            rows.append(
                row(model, try hub.find(model.name)?.path, isDefault: model.name == known))
        }
        // The default may be a repository that the registry does not list.
        if known == nil, name != BundledModel.name, matches([name]) {
            let path = try? hub.find(name)?.path
            let members: [JSONValue.Member] = [
                ("name", .string(name)), ("repository", .string(name)),
                ("installed", .bool(path != nil)),
                ("path", path.map { .string($0) } ?? .null),
            ]
            rows.append(
                Row(name: name, isInstalled: path != nil, isDefault: true, members: members))
        }
        return rows
    }

    private func matches(_ names: [String]) -> Bool {
        guard let pattern = pattern?.lowercased() else { return true }
        let isGlob = pattern.contains { "*?".contains($0) }
        return names.contains { name in
            let name = name.lowercased()
            return isGlob ? fnmatch(pattern, name, 0) == 0 : name.contains(pattern)
        }
    }

    private func bundled(isDefault: Bool) throws -> Row {
        let tiny = try BundledModel.load()
        let (weights, configuration) = (tiny.weights, tiny.configuration)
        return Row(
            name: BundledModel.name, parameterCount: weights.parameterCount,
            byteCount: weights.byteCount, dimension: configuration.embeddingDimension,
            license: BundledModel.license, isInstalled: true, isDefault: isDefault,
            members: [
                ("name", .string(BundledModel.name)),
                ("parameters", .integer(weights.parameterCount)),
                ("bytes", .integer(weights.byteCount)),
                ("dimension", .integer(configuration.embeddingDimension)),
                ("resolution", .integer(configuration.resolution)),
                ("activation", .string(configuration.activation.rawValue)),
                ("license", .string(BundledModel.license)), ("installed", .bool(true)),
                ("path", .null),
            ])
    }

    private func row(_ model: HubModel, _ path: String?, isDefault: Bool) -> Row {
        Row(
            name: model.official?.name ?? model.name, parameterCount: model.parameterCount,
            byteCount: model.byteCount, dimension: model.embeddingDimension,
            accuracy: model.imageNetAccuracy, license: model.license, isInstalled: path != nil,
            isDefault: isDefault,
            members: [
                ("name", .string(model.name)),
                ("aliases", .array(model.aliases.map { .string($0) })),
                ("repository", .string(model.repository)),
                ("tokenizer", model.tokenizer.map { .string($0.repository) } ?? .null),
                ("parameters", .integer(model.parameterCount)),
                ("bytes", .integer(model.byteCount)),
                ("dimension", .integer(model.embeddingDimension)),
                ("resolution", .integer(model.resolution)),
                ("activation", .string(model.activation.rawValue)),
                ("imagenet_top1", model.imageNetAccuracy.map { .number($0) } ?? .null),
                ("license", .string(model.license)), ("installed", .bool(path != nil)),
                ("path", path.map { .string($0) } ?? .null),
            ])
    }

    private func table(_ rows: [Row]) -> TextTable {
        func millions(_ count: Int) -> String { "\(fixed(Double(count) / 1e6, 1)) M" }
        func megabytes(_ bytes: Int) -> String { "\(fixed(Double(bytes) / 1e6, 0)) MB" }
        func status(_ row: Row) -> String {
            let words = row.name == BundledModel.name ? "built in" : row.isInstalled ? "yes" : ""
            return words + (row.isDefault ? words.isEmpty ? "no, default" : ", default" : "")
        }
        let sizes = rows.map { $0.byteCount.map(megabytes) ?? "" }
        return TextTable(columns: [
            .init(
                title: "name", width: rows.map(\.name.count).max() ?? 0, values: rows.map(\.name)),
            .init(
                title: "params", width: 8, isNumber: true, dropOrder: 2,
                values: rows.map { $0.parameterCount.map(millions) ?? "" }),
            .init(
                title: "size", width: max(4, sizes.map(\.count).max() ?? 0), isNumber: true,
                dropOrder: 5, values: sizes),
            .init(
                title: "embedding", width: 9, isNumber: true, dropOrder: 1,
                values: rows.map { $0.dimension.map { "\($0)" } ?? "" }),
            .init(
                title: "accuracy", width: 8, isNumber: true, dropOrder: 4,
                values: rows.map { $0.accuracy.map { "\(fixed($0, 1)) %" } ?? "" }),
            .init(
                title: "licence", width: rows.map(\.license.count).max() ?? 0, dropOrder: 3,
                minimumWidth: 7, values: rows.map(\.license)),
            .init(
                title: "installed", width: max(9, rows.map { status($0).count }.max() ?? 0),
                values: rows.map(status)),
        ])
    }
}
