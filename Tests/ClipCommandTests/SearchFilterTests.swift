import Foundation
import TestSupport
import Testing

@testable import ClipCommand

/// Tests --under, --since and --before of `clip search`.
@Suite struct SearchFilterTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        let files = FileManager.default
        let sources = ["rgb.jpg", "rgb.png", "grey.jpg"].filter {
            files.fileExists(atPath: Fixtures.path("images/\($0)"))
        }
        for index in 0..<12 {
            let source = sources[index % sources.count]
            let path = "\(folder.path)/photos/\(index % 2 == 0 ? "even" : "odd")"
            try files.createDirectory(atPath: path, withIntermediateDirectories: true)
            let file = "\(path)/\(index).\((source as NSString).pathExtension)"
            try files.copyItem(atPath: Fixtures.path("images/\(source)"), toPath: file)
            // The middle of a month, so that the time zone does not matter.
            let date = try #require(
                ISO8601DateFormatter().date(
                    from: "2024-\(index < 9 ? "0" : "")\(index + 1)-15T12:00:00Z"))
            try files.setAttributes([.modificationDate: date], ofItemAtPath: file)
        }
        _ = try clip("index", "photos", "-m", CommandTests.model, "-q").successful()
    }

    private func clip(_ arguments: String...) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(arguments)
    }

    /// The matches for a text, as lines of cosine and path.
    private func found(_ options: String...) throws -> [String] {
        try ClipBinary(folder: folder).run(["search", "a dog", "--index", "photos"] + options)
            .successful().text.split(separator: "\n").map(String.init)
    }

    private func number(_ line: String) throws -> Int {
        let name = try #require(line.split(separator: "/").last)
        return try #require(Int(name.prefix { $0 != "." }))
    }

    @Test func filteredResultsAreTheBestOfTheRest() throws {
        let all = try found("--top", "12")
        #expect(all.count == 12)
        for top in [1, 3, 12] {
            let odd = try found("--under", "odd", "--top", "\(top)")
            #expect(odd == Array(all.filter { $0.contains("/odd/") }.prefix(top)))
            let spring = try found("--since", "2024-03", "--before", "2024-06", "--top", "\(top)")
            let expected = try all.filter { 2..<5 ~= (try number($0)) }
            #expect(spring == Array(expected.prefix(top)))
        }
        let both = try found("--under", "even", "--since", "2024-05-15", "--top", "12")
        let expected = try all.filter { line in
            let number = try number(line)
            return number % 2 == 0 && number >= 4
        }
        #expect(both == expected)
        #expect(try found("--before", "2024-01-20T10:30", "--top", "12").count == 1)
    }

    @Test func foldersAreGivenInSeveralWays() throws {
        let odd = try found("--under", "odd")
        for name in ["odd/", "./odd", "photos/odd", folder.path + "/photos/odd", "even/../odd"] {
            #expect(try found("--under", name) == odd, "\(name)")
        }
        #expect(try found("--under", ".").count == 10)
    }

    @Test func foldersOutsideTheIndexAndWrongDatesAreRejected() throws {
        for name in ["none", "..", "/", "od"] {
            expectFailure(
                try clip("search", "x", "--index", "photos", "--under", name), status: 2,
                says: "has no images in this folder")
        }
        expectFailure(
            try clip("search", "x", "--index", "photos", "--under", ""), status: 2,
            says: "--under is empty")
        for date in ["24", "2024-13", "2024-02-30", "2024-05-17T25:00", "2024-5", "May", ""] {
            expectFailure(
                try clip("search", "x", "--index", "photos", "--since", date), status: 2,
                says: "expected a date such as 2024")
        }
        expectFailure(
            try clip("search", "x", "--index", "photos", "--since", "2024", "--before", "2024"),
            status: 2, says: "must be earlier")
        let none = try clip("search", "x", "--index", "photos", "--since", "2030")
        #expect(none.status == 1)
        #expect(none.errors.contains("no image of photos matches --since 2030"), "\(none.errors)")
    }

    @Test func datesBeginInLocalTime() throws {
        #expect(LocalDate.fields(of: "2024-02-29T23:59") == [2024, 2, 29, 23, 59])
        #expect(LocalDate.fields(of: "2023-02-29") == nil)
        #expect(LocalDate.fields(of: "2024T10:00") == nil)
        #expect(LocalDate.fields(of: "+024") == nil)
        let (day, next) = (
            try LocalDate(option: "2024-01-01"), try LocalDate(option: "2024-01-02")
        )
        #expect(next.nanoseconds - day.nanoseconds == 86_400_000_000_000)
    }
}
