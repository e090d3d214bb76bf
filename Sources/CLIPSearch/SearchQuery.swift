/// The grammar of search queries: texts and other operands, added with + or subtracted with -.
///
/// ```swift
/// let terms = try SearchQuery.terms(of: ["2:a dog", "+", "a beach", "-", "fruit"])
/// print(terms.map(\.weight))  // [2, 1, -1]
/// ```
package enum SearchQuery {
    /// An operand of a query, such as a text, with its signed weight.
    package struct Term: Sendable, Equatable {
        package var weight: Float
        package var operand: String

        package init(weight: Float, operand: String) {
            (self.weight, self.operand) = (weight, operand)
        }
    }

    /// The reason why words are not a query.
    package enum SyntaxError: Error, Equatable {
        /// Two signs have no operand between them.
        case twoSigns
        /// Two operands have no sign between them; `before` is the second one.
        case missingSign(before: String)
        /// An operand is empty or consists of white space.
        case emptyOperand
        /// The query is empty, or has no operand after its last sign.
        case missingOperand
        /// A quotation mark at the beginning of an operand has no partner.
        case missingQuote
        /// The number before the colon of an operand is not in `weights`.
        case invalidWeight(String, operand: String)
    }

    /// The weights that an operand may have.
    ///
    /// The squares of the components of a weighted unit vector are then normal numbers of `Float`.
    package static let weights: ClosedRange<Float> = 1e-15...1e15

    /// Returns the terms of a query.
    ///
    /// - Parameter words: Operands and signs in turn; a sign may also precede the first operand.
    ///   An operand may begin with its weight and a colon, such as `2:a dog`. A prefix that is not
    ///   a number belongs to the text, and so does the hour of a time such as `0:30`.
    /// - Returns: At least one term.
    /// - Throws: `SyntaxError` if operands and signs do not take turns, an operand is empty, the
    ///   last one is missing, or a weight is not in `weights`.
    package static func terms(of words: [String]) throws(SyntaxError) -> [Term] {
        var terms: [Term] = []
        var sign: Float? = 1
        for word in words {
            if word == "+" || word == "-" {
                guard sign == nil || terms.isEmpty && sign == 1 else { throw .twoSigns }
                sign = word == "+" ? 1 : -1
                continue
            }
            guard let current = sign else { throw .missingSign(before: word) }
            let (factor, operand) = try weighted(word)
            let term = Term(weight: current * factor, operand: operand)
            guard !term.operand.allSatisfy(\.isWhitespace) else { throw .emptyOperand }
            terms.append(term)
            sign = nil
        }
        guard sign == nil, !terms.isEmpty else { throw .missingOperand }
        return terms
    }

    /// Returns the weight of an operand, 1 by default, and the operand without it.
    ///
    /// - Throws: `SyntaxError.invalidWeight`.
    private static func weighted(
        _ word: String
    ) throws(SyntaxError) -> (weight: Float, operand: String) {
        let parts = word.split(separator: ":", maxSplits: 1)
        guard parts.count == 2, let factor = Float(parts[0]), !isText(parts[0], parts[1]) else {
            return (1, word)
        }
        guard weights.contains(factor) else {
            throw .invalidWeight(String(parts[0]), operand: word)
        }
        return (factor, String(parts[1]))
    }

    /// Returns true if a prefix that parses as a number is a part of the text: the hour of a time
    /// after midnight, such as `00:30`, or a word before a colon and a space, such as `Nan: a cat`.
    private static func isText(_ prefix: Substring, _ rest: Substring) -> Bool {
        if prefix == "0" || prefix == "00" {
            let minutes = rest.prefix { $0.isASCII && $0.isNumber }
            return minutes.count == 2
        }
        return !prefix.contains { $0.isNumber } && rest.first?.isWhitespace == true
    }

    /// Splits a query on one line, such as `2:a dog + a beach - fruit`, into the words for
    /// `terms(of:)`.
    ///
    /// A + or - is a sign only between white space or at an end of the line, so that `t-shirt` is a
    /// text. The words of an operand are joined by single spaces.
    package static func words(ofLine line: String) -> [String] {
        var words: [String] = []
        var operand: [Substring] = []
        func endOperand() {
            if !operand.isEmpty { words.append(operand.joined(separator: " ")) }
            operand = []
        }
        for word in line.split(whereSeparator: \.isWhitespace) {
            guard word == "+" || word == "-" else {
                operand.append(word)
                continue
            }
            endOperand()
            words.append(String(word))
        }
        endOperand()
        return words
    }

    /// Splits a query on one line into the words for `terms(of:)`, as `words(ofLine:)` does, but
    /// keeps an operand in quotation marks as it is.
    ///
    /// A quotation mark, double or single, counts only at the beginning of an operand or after its
    /// weight, and ends the operand before white space or the end of the line. So the apostrophe in
    /// `a dog's bed` is a character.
    ///
    /// - Throws: `SyntaxError.missingQuote` if a quotation mark has no partner.
    package static func quotedWords(ofLine line: String) throws(SyntaxError) -> [String] {
        var words: [String] = []
        var rest = line[...]
        while true {
            rest = rest.drop(while: \.isWhitespace)
            let weight = rest.prefix { $0.isNumber || $0 == "." }
            let isWeighted = !weight.isEmpty && rest.dropFirst(weight.count).first == ":"
            let prefix = isWeighted ? rest.prefix(weight.count + 1) : ""
            let body = rest.dropFirst(prefix.count)
            if let quote = body.first, quote == "\"" || quote == "'" {
                let inner = body.dropFirst()
                let end = inner.indices.first { index in
                    let next = inner.index(after: index)
                    return inner[index] == quote
                        && (next == inner.endIndex || inner[next].isWhitespace)
                }
                guard let end else { throw .missingQuote }
                words.append(String(prefix) + String(inner[..<end]))
                rest = inner[inner.index(after: end)...]
                continue
            }
            // An operand without quotation marks reaches to the next sign.
            var plain = rest.startIndex
            var place = rest.startIndex
            while place < rest.endIndex {
                let start = rest[place...].firstIndex { !$0.isWhitespace } ?? rest.endIndex
                let end = rest[start...].firstIndex(where: \.isWhitespace) ?? rest.endIndex
                plain = end
                place = end
                if rest[start..<end] == "+" || rest[start..<end] == "-" { break }
            }
            guard plain > rest.startIndex else { return words }
            words += Self.words(ofLine: String(rest[..<plain]))
            rest = rest[plain...]
        }
    }

    /// The smallest norm of a sum of unit vectors, as a part of the sum of the absolute weights, at
    /// which the terms do not count as cancelling each other out.
    private static let smallestNorm: Float = 1e-4

    /// Returns the weighted sum of the L2-normalised vectors of terms; nil if the terms cancel each
    /// other out.
    package static func sum(_ vectors: [(weight: Float, vector: [Float])]) -> [Float]? {
        var sum = [Float](repeating: 0, count: vectors.first?.vector.count ?? 0)
        for (weight, vector) in vectors {
            for (i, value) in vector.enumerated() where i < sum.count { sum[i] += weight * value }
        }
        let weights = vectors.reduce(0) { $0 + abs($1.weight) }
        let norm = sum.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return norm > smallestNorm * weights ? sum : nil
    }
}
