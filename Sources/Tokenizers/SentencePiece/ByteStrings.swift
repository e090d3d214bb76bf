/// UTF-8 as bytes, as tokenizers take it.
extension [UInt8] {
    /// U+2581, which stands for a space in SentencePiece.
    static let metaspace: [UInt8] = [0xE2, 0x96, 0x81]

    /// Returns the number of bytes of the scalar that begins at an index.
    func lengthOfScalar(at index: Int) -> Int {
        switch self[index] {
        case 0..<0xC0: 1
        case 0xC0..<0xE0: 2
        case 0xE0..<0xF0: 3
        default: 4
        }
    }

    /// Returns a copy with all occurrences of a string replaced, from left to right.
    func replacing(_ old: [UInt8], with new: [UInt8]) -> [UInt8] {
        guard let first = old.first, contains(first) else { return self }
        var result: [UInt8] = []
        result.reserveCapacity(count)
        var position = 0
        while position < count {
            if self[position] == first, self[position...].starts(with: old) {
                result += new
                position += old.count
            } else {
                result.append(self[position])
                position += 1
            }
        }
        return result
    }

    /// Splits before or after each occurrence of a string, which stays in the result.
    func split(at string: [UInt8], afterIt: Bool) -> [[UInt8]] {
        guard let first = string.first, contains(first) else { return isEmpty ? [] : [self] }
        var parts: [[UInt8]] = []
        var (start, position) = (0, 0)
        while position < count {
            guard self[position] == first, self[position...].starts(with: string) else {
                position += 1
                continue
            }
            let end = afterIt ? position + string.count : position
            if start < end { parts.append(Array(self[start..<end])) }
            start = end
            position += string.count
        }
        if start < count { parts.append(Array(self[start...])) }
        return parts
    }

    /// Splits at whitespace, which is dropped.
    func splitAtWhitespace() -> [[UInt8]] {
        String(decoding: self, as: UTF8.self).unicodeScalars.split(whereSeparator: \.isSpace)
            .map { Array(String($0).utf8) }
    }

    /// Returns the end of the whitespace that begins at an index.
    func endOfWhitespace(from index: Int) -> Int {
        var end = index
        while end < count {
            let length = lengthOfScalar(at: end)
            guard end + length <= count, scalar(end..<(end + length))?.isSpace == true else {
                break
            }
            end += length
        }
        return end
    }

    /// Returns the start of the whitespace that ends at an index.
    func startOfWhitespace(before index: Int) -> Int {
        var start = index
        while start > 0 {
            var position = start - 1
            while position > 0, self[position] & 0xC0 == 0x80 { position -= 1 }
            guard scalar(position..<start)?.isSpace == true else { break }
            start = position
        }
        return start
    }

    private func scalar(_ range: Range<Int>) -> Unicode.Scalar? {
        if range.count == 1 { return Unicode.Scalar(self[range.lowerBound]) }
        return String(decoding: self[range], as: UTF8.self).unicodeScalars.first
    }
}

extension [Unicode.Scalar] {
    /// The scalars in UTF-8.
    var utf8: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        for scalar in self {
            if scalar.isASCII {
                bytes.append(UInt8(scalar.value))
            } else {
                bytes += UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter
            }
        }
        return bytes
    }
}
