/// The settings of a `Server`.
public struct ServerOptions: Sendable {
    /// The format of the access log.
    public enum LogFormat: String, Sendable, CaseIterable {
        case text, json, none
    }

    /// The address to listen on, an IP address or `localhost`.
    public var host = "127.0.0.1"
    /// The port to listen on; 0 for any free one.
    public var port = 8000
    /// The path below which all endpoints lie, such as `/clip`; empty for none.
    ///
    /// Slashes at its end and a missing one at its start make no difference.
    public var basePath = ""
    /// The names of the models to serve; the first is used by requests that name none.
    public var models: [String] = []
    /// The model of zero-shot classification on the page if no model is named or installed; nil for
    /// none.
    ///
    /// Endpoints that return embeddings never use it, unless it is in `models`.
    public var demonstrationModel: String?
    /// True to load the models at the start instead of at their first use.
    public var preloads = false
    /// The folders whose indexes are searched.
    public var indexes: [String] = []
    /// The number of threads of a search; all cores of the process if nil.
    public var threads: Int?
    /// The largest number of images and texts that wait for one tower of one model.
    ///
    /// Large requests enter the queue in pieces, so a request may have more inputs than the queue
    /// has places. Fewer images wait if they would take more than 256 MB at the resolution of the
    /// model.
    public var queueLimit = 1024
    /// The number of seconds after which an unused model is dropped; 0 for never.
    public var timeToLive = 0
    /// The largest size of all loaded models, in bytes; the least recently used ones are dropped
    /// beyond it; 0 for no limit.
    public var memoryLimit = 0
    /// True if requests may download models that are not installed.
    public var allowsFetching = false
    /// True if the server fetches images that requests give by URL, from public addresses only.
    public var allowsURLs = false
    /// The token that requests must send as `Authorization: Bearer TOKEN`; nil for none.
    public var apiKey: String?
    /// Host names beside IP addresses, `localhost` and names without a dot that the header `Host`
    /// may have.
    public var allowedHosts: [String] = []
    /// The origins whose pages may read responses; `*` for all.
    public var corsOrigins: [String] = []
    /// The largest body of a request, in bytes; 1 to `largestBodyLimit`, to which other values are
    /// changed.
    public var bodyLimit = 64 << 20 {
        didSet { bodyLimit = min(max(bodyLimit, 1), Self.largestBodyLimit) }
    }
    /// The largest value of `bodyLimit`: 1 TiB.
    public static let largestBodyLimit = 1 << 40
    /// The largest number of images in a request.
    public var imagesPerRequest = 64
    /// The largest number of texts in a request.
    public var textsPerRequest = 1024
    /// The largest number of pixels of an image.
    public var maximumPixels = 178_956_970
    /// The largest number of open connections.
    public var connectionLimit = 1024
    /// The number of seconds that a client has to send a request, or to receive a response.
    public var requestTimeout = 60
    /// The number of seconds that a connection may wait for its next request.
    public var idleTimeout = 75
    /// The number of seconds that accepted requests have to finish after `stop()`.
    public var grace = 30
    /// The format of the access log; `none` to write no log.
    public var logFormat = LogFormat.text
    /// The version that `GET /version` and the metrics report; empty to omit it.
    public var version = ""
    /// The commit that was built; empty if unknown.
    public var commit = ""

    /// Makes settings that have the default values.
    public init() {}

    /// Returns a path with one slash at its start and none at its end; empty for `/` and an empty
    /// one.
    static func normalized(basePath path: String) -> String {
        var names = path[...]
        while names.hasPrefix("/") { names = names.dropFirst() }
        while names.hasSuffix("/") { names = names.dropLast() }
        return names.isEmpty ? "" : "/" + names
    }
}
