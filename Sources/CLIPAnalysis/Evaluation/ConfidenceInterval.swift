/// A 95 % confidence interval of a fraction: an accuracy, a recall or a precision.
///
/// ```swift
/// let interval = ConfidenceInterval.wilson(87, of: 100)
/// print(interval.lower, interval.upper)  // 0.790 0.922
/// ```
///
/// If nothing was measured, the interval is 0...1.
public struct ConfidenceInterval: Sendable, Hashable, Codable {
    /// The lower bound, 0...1.
    public let lower: Double
    /// The upper bound, 0...1, at least `lower`.
    public let upper: Double

    /// The 97.5 % quantile of the standard normal distribution.
    private static let quantile = 1.959963984540054

    private init(lower: Double, upper: Double) { (self.lower, self.upper) = (lower, upper) }

    private init(around centre: Double, _ margin: Double) {
        guard centre.isFinite, margin.isFinite else {
            (lower, upper) = (0, 1)
            return
        }
        lower = min(1, max(0, centre - margin))
        upper = min(1, max(0, centre + margin))
    }

    /// Returns the Wilson score interval of a fraction of independent trials.
    ///
    /// Its coverage is good even for few trials and for fractions near 0 and 1.
    ///
    /// - Parameters:
    ///   - successes: The number of successes, 0...count.
    ///   - count: The number of trials.
    /// - Returns: The interval, which contains the fraction; 0...1 if there are no trials.
    public static func wilson(_ successes: Int, of count: Int) -> ConfidenceInterval {
        wilson(fraction: Double(successes) / Double(count), count: Double(count))
    }

    /// Returns the Wilson score interval of a fraction of a number of trials, which need not be an
    /// integer; 0...1 if one of the two is NaN.
    static func wilson(fraction: Double, count n: Double) -> ConfidenceInterval {
        let square = quantile * quantile
        let variance = fraction * (1 - fraction) / n + square / (4 * n * n)
        let interval = ConfidenceInterval(
            around: (fraction + square / (2 * n)) / (1 + square / n),
            quantile * variance.squareRoot() / (1 + square / n))
        // A rounding error must not exclude a fraction of 0 or 1.
        return ConfidenceInterval(
            lower: fraction == 0 ? 0 : interval.lower,
            upper: fraction == 1 ? 1 : interval.upper)
    }

    /// Returns the interval of a normally distributed estimate, cut to 0...1.
    ///
    /// - Parameters:
    ///   - mean: The estimate.
    ///   - standardError: The standard deviation of the estimate.
    /// - Returns: mean ± 1.96 · standardError; 0...1 if one of the two is NaN.
    public static func normal(mean: Double, standardError: Double) -> ConfidenceInterval {
        ConfidenceInterval(around: mean, quantile * standardError)
    }
}
