import ArgumentParser

/// A number of bytes in an option, such as `500M`, `4G` or `64MiB`.
struct ByteCount: ExpressibleByArgument, CustomStringConvertible, Equatable, Sendable {
    let bytes: Int

    private static let units = ["", "k", "m", "g", "t"]

    init(_ bytes: Int) { self.bytes = bytes }

    /// Parses a number with the unit K, M, G or T (powers of 1000) or Ki, Mi, Gi or Ti (powers of
    /// 1024), to which a B may be added.
    init?(argument: String) {
        let number = argument.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        var unit = argument.dropFirst(number.count).lowercased()
        if unit.hasSuffix("b") { unit.removeLast() }
        let isBinary = unit.hasSuffix("i")
        if isBinary { unit.removeLast() }
        guard let power = Self.units.firstIndex(of: unit), !isBinary || power > 0,
            number.first != ".", number.last != ".", let value = Double(number)
        else { return nil }
        let size = (0..<power).reduce(value) { size, _ in size * (isBinary ? 1024 : 1000) }
        guard let bytes = Int(exactly: size.rounded()) else { return nil }
        self.bytes = bytes
    }

    /// The number with the largest unit that needs no fraction.
    var description: String {
        for (suffix, base) in [("", 1000), ("iB", 1024)] {
            var (size, power) = (bytes, 0)
            while size > 0, size % base == 0, power < Self.units.count - 1 {
                size /= base
                power += 1
            }
            if power > 0 { return "\(size)\(Self.units[power].uppercased())\(suffix)" }
        }
        return "\(bytes)"
    }

    var defaultValueDescription: String { description }
}
