/// The options of the command by which two stored descriptions of decoding differ, for messages.
enum DecodingWords {
    /// Returns the words behind the name of a model, such as "without --decode fast".
    ///
    /// - Parameters:
    ///   - name: the name of the fact that differs.
    ///   - stored: its value in the index.
    ///   - given: its value of the update.
    static func describe(
        _ name: String, stored: String, given: String
    ) -> (stored: String, given: String) {
        let (old, new) = (parts(stored), parts(given))
        guard name == "decoding", old.count == 5, new.count == 5 else {
            return ("with \(name) \(stored)", "with \(name) \(given)")
        }
        var words: (stored: [String], given: [String]) = ([], [])
        if old[0] != new[0] {
            words.stored.append("with --preprocess \(old[0])")
            words.given.append("with --preprocess \(new[0])")
        }
        // The reference reads neither the orientation nor 16 bits.
        for (option, index, value) in [
            ("--reference", 1, "orientation false"), ("--allow-truncated", 3, "truncated true"),
        ] where old[index] != new[index] {
            words.stored.append("\(old[index] == value ? "with" : "without") \(option)")
            words.given.append("\(new[index] == value ? "with" : "without") \(option)")
        }
        if old[4] != new[4] {
            let exact = "smallest side 0"
            words.stored.append("\(old[4] == exact ? "without" : "with") --decode fast")
            words.given.append("\(new[4] == exact ? "without" : "with") --decode fast")
        }
        return (words.stored.joined(separator: ", "), words.given.joined(separator: ", "))
    }

    private static func parts(_ description: String) -> [String] {
        description.split(separator: ",").map { String($0.drop { $0 == " " }) }
    }
}
