/// A pseudorandom number generator with the same sequence for a seed on every machine.
///
/// Source: Steele, Lea and Flood 2014, "Fast Splittable Pseudorandom Number Generators".
package struct SplitMix64 {
    package var state: UInt64

    package init(state: UInt64) { self.state = state }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    /// Returns a number in `0..<1` with 53 random bits.
    package mutating func nextUnit() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// Returns a random index of `weights`, with a probability proportional to the weight.
    package mutating func nextPlace(weights: [Float]) -> Int {
        let goal = nextUnit() * weights.reduce(0) { $0 + Double($1) }
        var sum = 0.0
        return weights.firstIndex {
            sum += Double($0)
            return sum > goal
        } ?? weights.count - 1
    }
}
