/// The files that Scripts/parity/make_goldens.py wrote.
public enum Fixtures {
    /// The path of a file or folder under Tests/Fixtures.
    public static func path(_ name: String) -> String {
        let tests = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
        return (tests + ["Fixtures", Substring(name)]).joined(separator: "/")
    }

    /// The root of the package.
    public static var root: String {
        #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
            .joined(separator: "/")
    }
}
