#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The environment variables that the hub reads.
enum HubEnvironment {
    /// The names of the variables.
    static let names =
        [
            "HOME", "XDG_CACHE_HOME", "CLIP_HOME", "CLIP_OPENAI_ENDPOINT", "HF_ENDPOINT",
            "HF_TOKEN",
            "HUGGING_FACE_HUB_TOKEN", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE",
            "HF_HUB_OFFLINE", "HF_HUB_DOWNLOAD_TIMEOUT",
        ] + Certificates.variables

    /// Returns the values of the variables in this process, without those that are unset.
    static func current() -> [String: String] {
        var values: [String: String] = [:]
        for name in names { values[name] = getenv(name).map { String(cString: $0) } }
        return values
    }
}
