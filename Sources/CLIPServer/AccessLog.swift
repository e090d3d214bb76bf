internal import Files

/// The log of requests: one line for each, without contents, keys or names of images.
struct AccessLog: Sendable {
    /// The facts of an answered request that are logged.
    struct Entry: Sendable {
        /// The end of the request, in seconds since 1970 in UTC.
        var time: Double
        /// The IP address of the client.
        var peer: String
        var method: String
        /// The percent-decoded path, as in `ServerRequest`; the query is not logged.
        var path: String
        var status: Int
        var bytesIn: Int
        var bytesOut: Int
        /// The duration from the complete request to the complete response; for a request that is
        /// refused early, from its head.
        var seconds: Double
        /// The name of the model that answered; nil if unknown.
        var model: String?
        /// The number of images and texts that were encoded; nil if unknown.
        var inputs: Int?
    }

    /// The largest length of a logged path, in characters after escaping.
    static let pathLimit = 200

    private let format: ServerOptions.LogFormat
    private let write: @Sendable (String) -> Void

    /// Makes a log.
    ///
    /// - Parameters:
    ///   - format: The format of lines; nothing is written for `none`.
    ///   - write: A function that writes one line, given without line feed. It may be called from
    ///     several threads at once.
    init(_ format: ServerOptions.LogFormat, write: @escaping @Sendable (String) -> Void) {
        (self.format, self.write) = (format, write)
    }

    /// Writes the line of a request.
    func record(_ entry: Entry) {
        switch format {
        case .none: return
        case .text: write(Self.text(entry))
        case .json: write(Self.json(entry))
        }
    }

    /// Returns a line of fields in fixed order, separated by single spaces.
    ///
    /// Example: `2026-05-04T12:00:00.250Z 127.0.0.1 POST /v1/embeddings 200 in=120 out=4096
    /// seconds=0.0213 model=ViT-B/32 inputs=2`; `-` stands for unknown.
    static func text(_ entry: Entry) -> String {
        """
        \(timestamp(entry.time)) \(word(entry.peer, 64)) \(word(entry.method, 16)) \
        \(escaped(path: entry.path)) \(entry.status) in=\(entry.bytesIn) out=\(entry.bytesOut) \
        seconds=\(rounded(entry.seconds)) model=\(entry.model.map { word($0, 100) } ?? "-") \
        inputs=\(entry.inputs.map(String.init) ?? "-")
        """
    }

    /// Returns a JSON object on one line.
    static func json(_ entry: Entry) -> String {
        let object: JSONValue = .object([
            "time": .string(timestamp(entry.time)), "peer": .string(word(entry.peer, 64)),
            "method": .string(word(entry.method, 16)), "path": .string(escaped(path: entry.path)),
            "status": .integer(entry.status), "bytes_in": .integer(entry.bytesIn),
            "bytes_out": .integer(entry.bytesOut), "seconds": .number(rounded(entry.seconds)),
            "model": entry.model.map { .string(word($0, 100)) } ?? .null,
            "inputs": entry.inputs.map { .integer($0) } ?? .null,
        ])
        return "\(object)"
    }

    private static func rounded(_ seconds: Double) -> Double {
        seconds.isFinite ? (seconds * 1e6).rounded() / 1e6 : 0
    }

    /// Returns a path with every byte percent-encoded but unreserved characters, `/`, `:` and `@`.
    ///
    /// A longer path than `pathLimit` is cut and ends in `...`.
    static func escaped(path: String) -> String {
        var escaped = ""
        var length = 0
        for byte in path.utf8 {
            let part = Self.escaped(byte)
            // Leave room for the three dots.
            if length + part.utf8.count > pathLimit - 3 { return escaped + "..." }
            escaped += part
            length += part.utf8.count
        }
        return escaped.isEmpty ? "-" : escaped
    }

    /// Returns a short field without white space, escaped like a path.
    private static func word(_ text: String, _ limit: Int) -> String {
        var escaped = ""
        for byte in text.utf8.prefix(limit) { escaped += Self.escaped(byte) }
        return escaped.isEmpty ? "-" : escaped
    }

    private static func escaped(_ byte: UInt8) -> String {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: "/"), UInt8(ascii: ":"),
            UInt8(ascii: "@"):
            return String(UnicodeScalar(byte))
        default:
            let digits = String(byte, radix: 16, uppercase: true)
            return digits.utf8.count == 1 ? "%0\(digits)" : "%\(digits)"
        }
    }

    /// Returns a time in UTC as ISO 8601 with milliseconds.
    ///
    /// - Parameter time: Seconds since 1970; times outside the years 1970 to 9999 are clamped.
    /// - Returns: 24 characters, such as `2026-05-04T12:00:00.250Z`.
    static func timestamp(_ time: Double) -> String {
        let latest = 253_402_300_799.999  // the end of the year 9999
        let clamped = time.isNaN ? 0 : min(max(0, time), latest)
        let milliseconds = Int((clamped * 1000).rounded(.down))
        let (days, rest) = milliseconds.quotientAndRemainder(dividingBy: 86_400_000)
        let (year, month, day) = HTTPDate.date(ofDay: days)
        func padded(_ value: Int, _ width: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
        }
        return padded(year, 4) + "-" + padded(month, 2) + "-" + padded(day, 2) + "T"
            + padded(rest / 3_600_000, 2) + ":" + padded(rest / 60_000 % 60, 2) + ":"
            + padded(rest / 1000 % 60, 2) + "." + padded(rest % 1000, 3) + "Z"
    }
}
