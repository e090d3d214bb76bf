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

    @Test(arguments: ["0001", "1679", "2261", "9999"])
    func yearsOutOfRangeAreNamed(_ year: String) throws {
        expectFailure(
            try clip("search", "x", "--index", "photos", "--before", year), status: 2,
            says: "expected a year from 1680 to 2260, found \(Int(year) ?? 0)")
    }

    @Test(arguments: ["1680", "2260-12-31T23:59"])
    func yearsInRangeAreAccepted(_ date: String) throws {
        #expect(try LocalDate(option: date).text == date)
    }

    @Test func sessionsChangeFilters() throws {
        let lines = [
            ":under odd", ":since 2024-03", "a dog", ":before 2024-01", ":since 1600", ":under no",
            ":since May", "a dog", ":under", ":since", ":before 2024-06", "a dog", ":before",
            "a dog", ":help",
        ]
        let result = try ClipBinary(folder: folder).run(
            ["search", "--interactive", "--index", "photos", "--top", "12"],
            input: lines.joined(separator: "\n")
        ).successful()
        let answers = result.text.components(separatedBy: "\n\n")
        let odd = try found("--under", "odd", "--since", "2024-03", "--top", "12")
        let early = try found("--before", "2024-06", "--top", "12")
        let expected = [odd, odd, early, try found("--top", "12")]
        #expect(answers.dropLast() == expected.map { $0.joined(separator: "\n") }[...])
        for name in [":under", ":since", ":before"] {
            #expect(answers.last?.contains("\(name) ") == true, "\(answers)")
        }
        let errors = result.errors.split(separator: "\n")
        let says = [
            "must be earlier", ":since 1600: expected a year", "--under no", "such as 2024",
        ]
        #expect(errors.count == says.count, "\(result.errors)")
        for (error, says) in zip(errors, says) { #expect(error.contains(says), "\(error)") }
    }

    @Test func theIndexOfAParentIsUsedForASubfolder() throws {
        let all = try found("--top", "12").filter { $0.contains("/odd/") }
        let names = all.map { $0.replacingOccurrences(of: "photos/odd/", with: "./") }
        let binary = ClipBinary(folder: folder)
        let result = try binary.run(["search", "a dog"], in: "photos/odd").successful()
        #expect(result.text == names.map { $0 + "\n" }.joined())
        let errors = result.errors.split(separator: "\n")
        #expect(errors.count == 1, "\(result.errors)")
        #expect(result.errors.contains(". has no index; searching it in the index of /"))
        #expect(result.errors.hasSuffix("/photos\n"), "\(result.errors)")

        let given = try clip("search", "a dog", "--index", "photos/odd", "-q").successful()
        #expect(given.text == all.map { $0 + "\n" }.joined())
        #expect(given.errors.isEmpty, "\(given.errors)")
        let session = try binary.run(
            ["search", "-i", "--under", "."], input: "a dog\n", in: "photos/odd")
        #expect(session.text == result.text + "\n")
        expectFailure(
            try clip("search", "x", "--index", "photos/odd", "-q", "--under", "../even"),
            status: 2, says: "below odd, has no images in this folder")
    }

    @Test func anOwnIndexAndFoldersOutsideAParentsIndexAreLeftAlone() throws {
        try FileManager.default.createDirectory(
            atPath: folder.path + "/photos/new", withIntermediateDirectories: true)
        expectFailure(
            try clip("search", "x", "--index", "photos/new"), status: 1, says: "has no index")
        let model = CommandTests.model
        _ = try clip("index", "photos/even", "-m", model, "-q").successful()
        let file = folder.path + "/photos/even/0.jpg"
        try FileManager.default.removeItem(atPath: file)
        _ = try clip("index", "photos/even", "-m", model, "-q").successful()
        let result = try clip("search", "x", "--index", "photos/even", "--paths").successful()
        #expect(result.text.split(separator: "\n").count == 5, "\(result.text)")
        #expect(result.errors.isEmpty, "\(result.errors)")
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
