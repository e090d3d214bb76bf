internal import Tensors

/// A uniform random sample of a sequence of any length, of which only the sample is in memory.
///
/// Algorithm R: the first `size` elements are kept. For each later one, the nth of the sequence
/// counted from 1, a random number below n is drawn; if it is below `size`, the element replaces
/// the one at that index. The random number is the upper half of the 128-bit product of n and a
/// number from SplitMix64. So the positions of the chosen elements depend only on `size`, the seed
/// and the length of the sequence, on every machine.
///
/// Source: Vitter 1985, "Random Sampling with a Reservoir".
package struct Reservoir<Element> {
    private let size: Int
    private var random: SplitMix64
    private var seen = 0
    private var kept: [(number: Int, element: Element)] = []

    /// Makes an empty sample.
    ///
    /// - Parameters:
    ///   - size: The number of elements to keep, at least 1; a shorter sequence is kept whole.
    ///   - seed: The seed of the random numbers.
    package init(size: Int, seed: UInt64) {
        precondition(size > 0, "expected a sample of at least 1 element, found \(size)")
        self.size = size
        random = SplitMix64(state: seed)
    }

    /// Adds the next element of the sequence, which may replace one in the sample.
    package mutating func add(_ element: Element) {
        seen += 1
        guard kept.count == size else {
            kept.append((seen, element))
            return
        }
        let place = Int(random.next().multipliedFullWidth(by: UInt64(seen)).high)
        if place < size { kept[place] = (seen, element) }
    }

    /// The sample, in the order of the sequence.
    package var elements: [Element] { kept.sorted { $0.number < $1.number }.map(\.element) }
}
