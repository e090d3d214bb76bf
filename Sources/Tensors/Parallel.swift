internal import CThreads
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The number of cores this process may run on.
package func availableCores() -> Int { Int(clip_available_cores()) }

/// Lets some time pass.
package func pauseBriefly(milliseconds: Int) { usleep(useconds_t(1000 * milliseconds)) }

/// The bytes of addresses that this process may use (`ulimit -v`); nil if there is no limit.
package func addressSpaceLimit() -> Int? {
    let limit = clip_address_space_limit()
    return limit == Int(bitPattern: .max) || limit < 0 ? nil : limit
}

/// Threads that wait for the next loop, shared by everyone in the process who wants as many.
///
/// Dispatch's threads sleep between two loops, and waking one was measured to take longer than most of
/// the loops of a forward pass do. A loop that comes while the team runs another one is run by its
/// own caller alone: any number of calls at once share the cores, and none waits for another.
///
/// `@unchecked Sendable`: the C code hands the team to one caller at a time.
final class ThreadTeam: @unchecked Sendable {
    private static let teams = Mutex<[Int: ThreadTeam]>([:])

    private let team: OpaquePointer?
    let count: Int

    private init(threads: Int) {
        team = threads > 1 ? clip_team_create(Int32(clamping: threads)) : nil
        count = team.map { Int(clip_team_threads($0)) } ?? 1
    }

    /// Returns the team of a number of threads, which has fewer if the system grants no more.
    static func shared(threads: Int) -> ThreadTeam {
        teams.withLock { teams in
            if let team = teams[threads], team.count == threads { return team }
            // The system may grant now what it did not before.
            let team = ThreadTeam(threads: threads)
            if let old = teams[threads], old.count >= team.count { return old }
            teams[threads] = team
            return team
        }
    }

    deinit { if let team { clip_team_destroy(team) } }

    /// Splits 0..<length into one range for each thread, and runs `body` on all of them at once.
    /// Returns when all are done.
    ///
    /// - Parameters:
    ///   - unit: Every range but the last has a multiple of this length.
    ///   - most: The largest number of ranges.
    ///   - body: Takes the number of a range, which is less than `count`, and the range.
    func split(
        _ length: Int, unit: Int = 1, atMost most: Int = .max,
        _ body: @Sendable (_ part: Int, _ range: Range<Int>) -> Void
    ) {
        let units = (length + unit - 1) / unit
        let parts = min(count, units, most)
        guard let team, parts > 1 else {
            if parts == 1 { body(0, 0..<length) }
            return
        }
        // The call returns when all parts are done, so nothing outlives the closure.
        withoutActuallyEscaping(body) { body in
            var loop = Loop(length: length, unit: unit, units: units, parts: parts, body: body)
            withUnsafeMutablePointer(to: &loop) { loop in
                clip_team_run(
                    team, Int32(parts),
                    { loop, part in
                        loop.assumingMemoryBound(to: Loop.self).pointee.run(Int(part))
                    }, loop)
            }
        }
    }

    /// A loop whose parts run on the threads of a team.
    private struct Loop {
        let length: Int
        let unit: Int
        let units: Int
        let parts: Int
        let body: @Sendable (_ part: Int, _ range: Range<Int>) -> Void

        func run(_ part: Int) {
            let lower = units * part / parts * unit
            let upper = min(units * (part + 1) / parts * unit, length)
            body(part, lower..<upper)
        }
    }
}
