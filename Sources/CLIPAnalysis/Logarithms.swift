#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

extension Double {
    /// The natural logarithm of the number.
    var logarithm: Double { log(self) }
    /// The exponential function of the number, eˣ.
    var exponential: Double { exp(self) }
}
