internal import CLIP
internal import CLIPSearch

/// The indexes of a server, which are opened again when an update has changed them.
final class IndexPool: Sendable {
    /// The indexes in the order of their numbers.
    let indexes: [ServedIndex]
    /// The threads that search and open indexes.
    let threads = CallThreads(atMost: 2)

    /// Opens the indexes of folders.
    ///
    /// - Parameters:
    ///   - folders: The folders.
    ///   - threads: The number of threads of a search; all cores of the process if nil.
    ///   - report: A function that shows the operator of the server why a changed index cannot be
    ///     opened. Clients do not get the reason, because it may contain paths.
    /// - Throws: `IndexError` if an index is missing or damaged.
    init(
        folders: [String], threads: Int? = nil,
        report: @escaping @Sendable (String) -> Void = { _ in }
    ) throws(IndexError) {
        var indexes: [ServedIndex] = []
        for folder in folders {
            indexes.append(
                try ServedIndex(
                    number: indexes.count, folder: folder, threads: threads, report: report))
        }
        self.indexes = indexes
    }

    /// The names of the indexes, in order: the last components of their folders' paths.
    var names: [String] { indexes.map(\.name) }

    /// The number of times that changed indexes could not be opened again.
    var failures: Int { indexes.reduce(0) { $0 + $1.failures } }

    /// The state of an index, for metrics and the page.
    struct Summary: Sendable {
        let number: Int
        let name: String
        /// The number of images.
        let count: Int
        /// The model that made the vectors.
        let model: ModelRecord
        /// The number of times that the changed index could not be opened again.
        let failures: Int
    }

    /// The states of all indexes, as they were last opened.
    var summaries: [Summary] {
        indexes.map {
            let index = $0.lastOpened
            return Summary(
                number: $0.number, name: $0.name, count: index.count, model: index.model,
                failures: $0.failures)
        }
    }

    /// The measurements of all indexes, in order.
    var gauges: [Metrics.Gauges.Index] {
        indexes.map { .init(number: $0.number, name: $0.name, failures: $0.failures) }
    }

    static let unknownImage = RequestError(
        404, "unknown_image", "the index has no image with this id")

    /// Returns an index by its number.
    ///
    /// - Throws: `RequestError` with status 404.
    func index(_ number: Int) throws(RequestError) -> ServedIndex {
        guard indexes.indices.contains(number) else {
            throw RequestError(
                404, "unknown_index",
                "there is no index \(number); the server has \(indexes.count)", parameter: "index")
        }
        return indexes[number]
    }

    /// Returns the indexes that a request names.
    ///
    /// - Parameter names: Numbers and names of indexes; all indexes if empty. A name stands for all
    ///   indexes that have it.
    /// - Returns: At least one index, in the order of their numbers, each once.
    /// - Throws: `RequestError` with status 404 if there is no such index.
    func selected(_ names: [String]) throws(RequestError) -> [ServedIndex] {
        guard !indexes.isEmpty else {
            throw RequestError(404, "no_index", "the server has no index")
        }
        guard !names.isEmpty else { return indexes }
        var chosen: Set<Int> = []
        for name in names {
            if let number = Int(name), indexes.indices.contains(number) {
                chosen.insert(number)
                continue
            }
            let found = indexes.filter { $0.name == name }
            guard !found.isEmpty else {
                throw RequestError(
                    404, "unknown_index", "the server has no index named \(name.prefix(100))",
                    parameter: "index")
            }
            chosen.formUnion(found.map(\.number))
        }
        return indexes.filter { chosen.contains($0.number) }
    }
}

extension ModelRecord {
    /// The name of the model for clients, without the folders of a path.
    var publicName: String {
        guard name.hasPrefix("/") else { return name }
        return name.split(separator: "/").last.map { String($0) } ?? name
    }
}
