import Testing

@testable import Files

/// Tests the time at which bursts of changes are processed.
@Suite struct QuietPeriodTests {
    private let start = ContinuousClock.now

    /// The time in seconds from the start at which changes are due; nil for never.
    private func due(_ period: QuietPeriod) -> Double? {
        period.due.map { ($0 - start) / .seconds(1) }
    }

    private func at(_ seconds: Double) -> ContinuousClock.Instant { start + .seconds(seconds) }

    @Test func nothingIsDueWithoutAChange() {
        var period = QuietPeriod()
        #expect(due(period) == nil)
        period.change(at: at(0))
        period.reset()
        #expect(due(period) == nil)
    }

    @Test func burstIsDueOneSecondAfterItsLastChange() {
        var period = QuietPeriod()
        period.change(at: at(0))
        #expect(due(period) == 1)
        period.change(at: at(0.5))
        period.change(at: at(1.25))
        #expect(due(period) == 2.25)
    }

    @Test func endlessChangesAreDueAfterHalfAMinute() {
        var period = QuietPeriod()
        for step in 0...100 { period.change(at: at(Double(step) / 2)) }
        #expect(due(period) == 30)
        period.reset()
        period.change(at: at(51))
        #expect(due(period) == 52)
    }

    @Test func openFileDelaysUntilItIsClosed() {
        var period = QuietPeriod()
        period.write(to: "a.jpg", at: at(0))
        period.write(to: "b.jpg", at: at(1))
        #expect(due(period) == 30)
        period.close("a.jpg", at: at(2))
        #expect(due(period) == 30)
        period.write(to: "b.jpg", at: at(3))
        period.close("b.jpg", at: at(4))
        #expect(due(period) == 5)
    }

    @Test func closedFileIsAChangeItself() {
        var period = QuietPeriod()
        period.close("a.jpg", at: at(3))
        #expect(due(period) == 4)
    }

    @Test func openFileIsForgottenWithTheChanges() {
        var period = QuietPeriod()
        period.write(to: "a.jpg", at: at(0))
        period.reset()
        period.change(at: at(40))
        #expect(due(period) == 41)
    }
}
