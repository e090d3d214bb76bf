/// A repository on the hub.
struct HubRepository: Sendable, Hashable {
    /// The kind of a repository; the raw values are those of the hub.
    enum Kind: String, Sendable { case model, dataset }

    let kind: Kind
    /// The name, `owner/name`.
    let name: String

    /// Returns the repository of a model.
    static func model(_ name: String) -> HubRepository { HubRepository(kind: .model, name: name) }

    /// Returns the repository of a data set.
    static func dataset(_ name: String) -> HubRepository {
        HubRepository(kind: .dataset, name: name)
    }

    /// The path on the server, without a slash at its beginning.
    var path: String { kind == .model ? name : "datasets/\(name)" }

    /// Returns true if a text is a valid `owner/name`.
    static func isName(_ text: String) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        return parts.count == 2 && parts.allSatisfy(isPart)
    }

    /// Returns true if a text is valid as the name of an owner, a repository or a folder in it: at
    /// most 96 ASCII letters, digits, `.`, `_` and `-`, the first of which is not `.`.
    static func isPart(_ text: Substring) -> Bool {
        !text.isEmpty && !text.hasPrefix(".") && text.utf8.count <= 96
            && text.allSatisfy {
                $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0))
            }
    }
}

extension ModelHub {
    /// Returns true if a text is valid as the name of a repository, `owner/name`.
    package static func isRepositoryName(_ text: String) -> Bool { HubRepository.isName(text) }

    /// Returns the URL of the repository of a data set; nil if the name is invalid.
    package func datasetURL(_ name: String) -> String? {
        (try? Self.datasetRepository(name, "test")).map { "\(endpoint)/\($0.path)" }
    }

    /// The URL of the hub, without a slash at its end.
    package var endpoint: String { server.endpoint }
}
