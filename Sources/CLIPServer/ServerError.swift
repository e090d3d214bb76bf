/// An error that keeps a server from starting.
@nonexhaustive
public enum ServerError: Error, Equatable, Sendable {
    /// The address cannot be listened on.
    case cannotListen(host: String, port: Int, reason: String)
    /// An index cannot be searched; the value is the reason, with the folder.
    case unusableIndex(String)
    /// A model that is to be loaded at the start cannot be loaded; the value is the reason.
    case unusableModel(String)
}

extension ServerError: CustomStringConvertible {
    /// The error as one line.
    public var description: String {
        switch self {
        case .cannotListen(let host, let port, let reason):
            "cannot listen on \(host), port \(port): \(reason)"
        case .unusableIndex(let reason), .unusableModel(let reason): reason
        }
    }
}
