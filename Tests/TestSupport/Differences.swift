/// The first element in which two collections differ, for the message of a failing test.
///
/// An expectation that compares two long arrays prints both in full; this one prints a line:
///
/// ```swift
/// #expect(firstDifference(found, expected) == nil, "\(path)")
/// ```
///
/// - Returns: nil if the collections are equal; otherwise the index of the first difference, the
///   expected and the found element, and the number of elements that differ.
public func firstDifference<Element: Equatable>(
    _ found: some Collection<Element>, _ expected: some Collection<Element>
) -> String? {
    var first: String?
    var differing = abs(found.count - expected.count)
    for (index, (one, other)) in zip(found, expected).enumerated() where one != other {
        differing += 1
        first = first ?? "first at \(index): expected \(other), found \(one)"
    }
    guard differing > 0 else { return nil }
    let counts = "expected \(expected.count) elements, found \(found.count)"
    return "\(counts); \(differing) differ, \(first ?? "all of them at the end")"
}

/// The element that is farthest from its expected value, for the message of a failing test.
///
/// ```swift
/// #expect(worstDifference(found, expected, limit: 1e-5) == nil)
/// ```
///
/// - Parameters:
///   - found: The numbers to test; each must be finite.
///   - expected: The same number of expected numbers.
///   - limit: The largest allowed difference.
///   - relative: True to multiply `limit` by the largest magnitude in `expected`, if above 1.
/// - Returns: nil if all elements are within the limit; otherwise the index of the worst one, its
///   expected and found value, and the number of elements beyond the limit.
public func worstDifference(
    _ found: some Collection<some BinaryFloatingPoint>,
    _ expected: some Collection<some BinaryFloatingPoint>, limit: Double, relative: Bool = false
) -> String? {
    guard found.count == expected.count else {
        return "expected \(expected.count) elements, found \(found.count)"
    }
    let largest = expected.map { abs(Double($0)) }.max() ?? 0
    let limit = relative ? limit * max(1, largest) : limit
    var (worst, beyond, text) = (0.0, 0, "")
    for (index, (one, other)) in zip(found, expected).enumerated() {
        let distance = abs(Double(one) - Double(other))
        if distance <= limit { continue }
        beyond += 1
        // NaN is farther away than any number.
        let rank = distance.isNaN ? Double.infinity : distance
        if rank > worst {
            (worst, text) = (rank, "worst at \(index): expected \(other), found \(one)")
        }
    }
    if beyond == 0 { return nil }
    return "\(beyond) of \(found.count) elements differ by more than \(limit), \(text)"
}
