internal import CLIP

/// An error in the input or the options of an analysis, or its cancellation.
///
/// ```swift
/// do {
///     print(try SphericalKMeans(clusters: 20).run(on: embeddings).assignments)
/// } catch .invalidOption(_, _, let expected) {
///     print("expected \(expected) clusters")
/// }
/// ```
@nonexhaustive
public enum AnalysisError: Error, Hashable, Sendable {
    /// An option is out of its range, which may depend on the input; `expected` is the range in
    /// words.
    case invalidOption(name: String, found: String, expected: String)
    /// There are fewer vectors than the analysis needs.
    case tooFewVectors(expected: Int, found: Int)
    /// A list does not have one element for each vector; `of` names its elements, such as
    /// "labels" or "preferred rows".
    case wrongCount(of: String, expected: Int, found: Int)
    /// Vectors that are compared have different numbers of dimensions.
    case wrongDimension(expected: Int, found: Int)
    /// A list does not have one element for each class; `of` names its elements, such as "logits".
    case wrongClassCount(of: String, expected: Int, found: Int)
    /// A label or the index of an image in the input is not in `0..<count`.
    case indexOutOfRange(of: String, found: Int, count: Int)
    /// A number of the input, or of a result that overflowed, is NaN or infinite.
    case notFinite(of: String, index: Int, found: String)
    /// The order of preference names a row that does not exist, or names it twice.
    case invalidPreference(row: Int)
    /// The label of a vector is not in `0..<classCount`.
    case invalidLabel(row: Int, label: Int, classCount: Int)
    /// A vector contains NaN or infinity.
    case nonFiniteVector(row: Int)
    /// The progress closure returned false.
    case cancelled
}

extension AnalysisError: CustomStringConvertible {
    /// The error as one line of English.
    public var description: String {
        switch self {
        case .invalidOption(let name, let found, let expected):
            "invalid \(name): expected \(expected), found \(found)"
        case .tooFewVectors(let expected, let found):
            "too few vectors: expected at least \(expected), found \(found)"
        case .wrongCount(let name, let expected, let found):
            "expected \(expected) \(name), one for each vector, found \(found)"
        case .wrongDimension(let expected, let found):
            "expected vectors of \(expected) dimensions, found \(found)"
        case .wrongClassCount(let name, let expected, let found):
            "expected \(expected) \(name), one for each class, found \(found)"
        case .indexOutOfRange(let name, let found, let count):
            "\(name) \(found) is out of range: expected 0..<\(count)"
        case .notFinite(let name, let index, let found):
            "element \(index) of the \(name) is \(found): expected a finite number"
        case .invalidPreference(let row):
            "invalid preference: row \(row) does not exist or is named twice"
        case .invalidLabel(let row, let label, let classCount):
            "invalid label \(label) of vector \(row): expected 0 to \(classCount - 1)"
        case .nonFiniteVector(let row):
            "vector \(row) contains NaN or infinity: expected finite numbers"
        case .cancelled: "the analysis was cancelled"
        }
    }
}

extension AnalysisError {
    /// Throws an error unless `preference` contains every row number once.
    static func check(preference: [Int], count: Int) throws(AnalysisError) {
        guard preference.count == count else {
            throw .wrongCount(of: "preferred rows", expected: count, found: preference.count)
        }
        var isNamed = [Bool](repeating: false, count: count)
        for row in preference {
            guard isNamed.indices.contains(row), !isNamed[row] else {
                throw .invalidPreference(row: row)
            }
            isNamed[row] = true
        }
    }
}

extension AnalysisError {
    /// Throws an error if a number of a vector is NaN or infinite.
    ///
    /// - Parameters:
    ///   - vectors: The vectors.
    ///   - name: The name of a vector without its row, such as "vector of image".
    /// - Throws: `AnalysisError.notFinite` with the name and the row.
    static func check(finite vectors: Embeddings, of name: String) throws(AnalysisError) {
        guard let place = vectors.values.firstIndex(where: { !$0.isFinite }) else { return }
        let (row, index) = place.quotientAndRemainder(dividingBy: vectors.dimension)
        throw .notFinite(
            of: "\(name) \(row)", index: index, found: text(of: vectors.values[place]))
    }

    /// Throws an error if one of the numbers is NaN or infinite.
    static func check(
        finite numbers: [some BinaryFloatingPoint], of name: String
    ) throws(AnalysisError) {
        guard let index = numbers.firstIndex(where: { !$0.isFinite }) else { return }
        throw .notFinite(of: name, index: index, found: text(of: numbers[index]))
    }

    /// Returns a number as text; the sign of NaN, which depends on the CPU, is left out.
    private static func text(of number: some BinaryFloatingPoint) -> String {
        number.isNaN ? "nan" : "\(number)"
    }
}
