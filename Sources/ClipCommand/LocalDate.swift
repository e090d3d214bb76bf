import ArgumentParser

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The beginning of a year, month, day or minute in local time.
struct LocalDate: Sendable {
    /// The date as it was given.
    let text: String
    /// The time in nanoseconds since 1970 in UTC.
    let nanoseconds: Int

    /// The years that a date may have: nanoseconds in 64 bits reach from 1677 to 2262.
    static let years = 1680...2260

    /// Reads a date such as 2024, 2024-05, 2024-05-17 or 2024-05-17T12:30.
    ///
    /// - Throws: `ValidationError` if the text is not a date, or its year is not in `years`.
    init(option text: String) throws {
        guard let fields = Self.fields(of: text) else {
            throw ValidationError(
                "expected a date such as 2024, 2024-05, 2024-05-17 or 2024-05-17T12:30")
        }
        let years = Self.years
        guard years.contains(fields[0]), let time = Self.seconds(of: fields) else {
            throw ValidationError(
                """
                expected a year from \(years.lowerBound) to \(years.upperBound), found \
                \(fields[0])
                """)
        }
        self.text = text
        nanoseconds = time * 1_000_000_000
    }

    /// Parses year, month, day, hour and minute; returns nil if the text is not a date.
    static func fields(of text: String) -> [Int]? {
        let halves = text.split(separator: "T", omittingEmptySubsequences: false)
        guard halves.count <= 2 else { return nil }
        let date = halves[0].split(separator: "-", omittingEmptySubsequences: false)
        let time =
            halves.count == 2
            ? halves[1].split(separator: ":", omittingEmptySubsequences: false) : []
        guard 1...3 ~= date.count, time.isEmpty || time.count == 2 && date.count == 3 else {
            return nil
        }
        var fields = [1, 1, 1, 0, 0]
        for (index, part) in (date + time).enumerated() {
            guard part.utf8.count == (index == 0 ? 4 : 2),
                part.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }),
                let number = Int(part)
            else { return nil }
            fields[index] = number
        }
        guard fields[0] >= 1, 1...12 ~= fields[1],
            1...days(inMonth: fields[1], of: fields[0]) ~= fields[2],
            fields[3] < 24, fields[4] < 60
        else { return nil }
        return fields
    }

    private static func days(inMonth month: Int, of year: Int) -> Int {
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        return [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
    }

    /// Returns the seconds since 1970 in UTC; nil if nanoseconds could overflow.
    ///
    /// An hour that daylight saving time leaves out becomes the hour after it.
    private static func seconds(of fields: [Int]) -> Int? {
        var time = tm()
        time.tm_year = Int32(fields[0] - 1900)
        time.tm_mon = Int32(fields[1] - 1)
        time.tm_mday = Int32(fields[2])
        time.tm_hour = Int32(fields[3])
        time.tm_min = Int32(fields[4])
        time.tm_isdst = -1
        let seconds = Int(mktime(&time))
        return -9_200_000_000...9_200_000_000 ~= seconds ? seconds : nil
    }
}
