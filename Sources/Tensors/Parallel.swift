internal import CThreads
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Returns the number of cores that this process may run on.
package func availableCores() -> Int { Int(clip_available_cores()) }

/// Lets the calling thread sleep.
package func pauseBriefly(milliseconds: Int) { usleep(useconds_t(1000 * milliseconds)) }

/// Returns the limit of this process's address space (`ulimit -v`) in bytes; nil if there is none.
package func addressSpaceLimit() -> Int? {
    let limit = clip_address_space_limit()
    return limit == Int(bitPattern: .max) || limit < 0 ? nil : limit
}

/// A team of threads that run the parts of loops; all callers with the same thread count share it.
///
/// Between two loops the threads spin for a short time. Dispatch's threads sleep, and waking one
/// was measured to take longer than most loops of a forward pass. While the team runs a loop, other
/// callers run all parts of their loops themselves, so no call waits for another.
///
/// `@unchecked Sendable`: the C code gives the team to one caller at a time.
final class ThreadTeam: @unchecked Sendable {
    private static let teams = Mutex<[Int: ThreadTeam]>([:])

    private let team: OpaquePointer?
    let count: Int

    private init(threads: Int) {
        team = threads > 1 ? clip_team_create(Int32(clamping: threads)) : nil
        count = team.map { Int(clip_team_threads($0)) } ?? 1
    }

    /// Returns the team for a number of threads, or a smaller one if the system cannot start as
    /// many.
    static func shared(threads: Int) -> ThreadTeam {
        teams.withLock { teams in
            if let team = teams[threads], team.count == threads { return team }
            // The system may be able to start more threads now than before.
            let team = ThreadTeam(threads: threads)
            if let old = teams[threads], old.count >= team.count { return old }
            teams[threads] = team
            return team
        }
    }

    deinit { if let team { clip_team_destroy(team) } }

    /// Splits `0..<length` into a range for each thread, runs `body` on all ranges in parallel, and
    /// returns when all are done.
    ///
    /// - Parameters:
    ///   - length: The number of iterations.
    ///   - unit: A number that the lengths of all ranges but the last are multiples of.
    ///   - most: The largest number of ranges.
    ///   - body: The function to run, called with the index of a range, less than `count`, and the
    ///     range.
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
        // The call returns when all parts are done, so the closure does not escape.
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
