internal import Files

/// A reader of targets in the fields of WebDataset samples.
struct TargetReader {
    let kind: EvaluationDataset.Kind
    let classCount: Int

    typealias Target = EvaluationDataset.Target

    /// The suffix of the files with the targets, without the dot.
    var suffix: String {
        switch kind {
        case .classification: "cls"
        case .multilabel: "npy"
        case .retrieval: "txt"
        }
    }

    /// Returns the target of a sample.
    func target(of sample: Sample) -> Target {
        if case .unreadable(let reason) = sample.content { return .unusable(reason: reason) }
        guard let bytes = sample.fields[suffix] else {
            return .unusable(reason: "it has no .\(suffix) file")
        }
        switch kind {
        case .classification: return label(bytes)
        case .multilabel: return labels(bytes)
        case .retrieval: return captions(bytes)
        }
    }

    private func label(_ bytes: [UInt8]) -> Target {
        let text = String(decoding: bytes, as: UTF8.self).pythonStripped
        guard let label = Int(text) else {
            return .unusable(
                reason: "its .cls file has no integer: found \(text.quotedStart)")
        }
        return Self.label(label, classCount: classCount)
    }

    /// Returns a label as a target, which is unusable if it is outside the classes.
    static func label(_ label: Int, classCount: Int) -> Target {
        guard (0..<classCount).contains(label) else {
            let last = classCount == 1 ? "" : "...\(classCount - 1)"
            return .unusable(
                reason: "its label \(label) is outside the classes: expected 0\(last)")
        }
        return .label(label)
    }

    private func captions(_ bytes: [UInt8]) -> Target {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            return .unusable(reason: "its .txt file is not UTF-8")
        }
        return .captions(text.pythonLines)
    }

    private func labels(_ bytes: [UInt8]) -> Target {
        do throws(FileError) {
            let labels = try LabelArray(bytes).labels()
            guard labels.count == classCount else {
                throw FileError(reason: "expected \(classCount) labels, found \(labels.count)")
            }
            return .labels(labels)
        } catch {
            return .unusable(reason: "its .npy file is invalid: \(error.reason)")
        }
    }
}

/// A one-dimensional array of labels, 0 or 1, in NumPy's `.npy` format.
///
/// Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
private struct LabelArray {
    /// The letter of the type: `b` for Boolean, `i` and `u` for integers, `f` for floating-point.
    private let type: Character
    /// The number of bytes of an element.
    private let width: Int
    private let elements: ArraySlice<UInt8>

    /// Parses the header of an array.
    init(_ bytes: [UInt8]) throws(FileError) {
        guard bytes.count >= 12, bytes.starts(with: [0x93] + Array("NUMPY".utf8)) else {
            throw FileError(reason: "it is not an array of NumPy")
        }
        let start = bytes[6] >= 2 ? 12 : 10
        let length = bytes[8..<start].reversed().reduce(0) { $0 << 8 | Int($1) }
        guard length <= bytes.count - start else { throw FileError(reason: "it is truncated") }
        let header = String(decoding: bytes[start..<(start + length)], as: UTF8.self)
        let name = Self.value(after: "'descr': '", upTo: "'", in: header) ?? ""
        let shape = Self.value(after: "'shape': (", upTo: ")", in: header) ?? ""
        let width = Int(name.dropFirst(2)) ?? 0
        let isSupported =
            switch name.dropFirst().first {
            case "b": width == 1
            case "i", "u": [1, 2, 4, 8].contains(width)
            case "f": [2, 4, 8].contains(width)
            default: false
            }
        guard let type = name.dropFirst().first, isSupported,
            name.first == "<" || width == 1 && name.first == "|"
        else {
            throw FileError(
                reason: """
                    unsupported type: expected Boolean, integer or floating-point numbers, \
                    little-endian, found \(name.quotedStart)
                    """)
        }
        let sides = shape.split(separator: ",").map { Int($0.pythonStripped) }
        guard sides.count == 1, let count = sides[0], count >= 0 else {
            throw FileError(reason: "expected one dimension, found the shape (\(shape.prefix(40)))")
        }
        let elements = bytes[(start + length)...]
        let (size, overflow) = count.multipliedReportingOverflow(by: width)
        guard !overflow, elements.count == size else {
            throw FileError(
                reason: """
                    expected \(count) numbers after its header, found \(elements.count / width)
                    """)
        }
        (self.type, self.width, self.elements) = (type, width, elements)
    }

    private static func value(
        after start: String, upTo end: Character, in header: String
    ) -> String? {
        header.firstRange(of: start).map { header[$0.upperBound...].prefix { $0 != end } }
            .map(String.init)
    }

    /// Returns the elements.
    ///
    /// - Throws: `FileError` if one is neither 0 nor 1.
    func labels() throws(FileError) -> [Bool] {
        // The bits of the number 1, and the sign bit: both 0 and -0 are 0.
        let one: UInt64 =
            switch (type, width) {
            case ("f", 2): 0x3C00
            case ("f", 4): UInt64(Float(1).bitPattern)
            case ("f", _): Double(1).bitPattern
            default: 1
            }
        let sign: UInt64 = type == "f" ? 1 << UInt64(8 * width - 1) : 0
        var labels: [Bool] = []
        labels.reserveCapacity(elements.count / width)
        for start in stride(from: elements.startIndex, to: elements.endIndex, by: width) {
            let bits = elements[start..<(start + width)].reversed()
                .reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            guard bits == one || bits & ~sign == 0 else {
                throw FileError(reason: "label \(labels.count) is neither 0 nor 1")
            }
            labels.append(bits == one)
        }
        return labels
    }
}

extension Substring {
    fileprivate var pythonStripped: String { String(self).pythonStripped }
}
