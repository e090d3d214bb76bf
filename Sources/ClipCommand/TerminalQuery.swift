#if canImport(Glibc)
    @preconcurrency import Glibc
#elseif canImport(Musl)
    @preconcurrency import Musl
#else
    import Darwin
#endif

/// The choice of the way to draw images, by what the terminal answers.
enum TerminalQuery {
    /// The question for kitty's protocol: to draw one pixel without showing it.
    private static let kittyQuestion = "\u{1B}_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\u{1B}\\"
    /// The questions for the terminal's name (XTVERSION) and for its attributes, which every
    /// terminal answers, so that the answer to them is the last one.
    private static let otherQuestions = "\u{1B}[>q\u{1B}[c"

    /// Returns the way to draw images for the answers of a terminal.
    ///
    /// - Parameters:
    ///   - answers: The bytes that the terminal sent.
    ///   - program: The value of `TERM_PROGRAM`.
    /// - Returns: The best way that the terminal supports.
    static func choice(for answers: [UInt8], program: String?) -> TerminalProtocol {
        let text = String(decoding: answers, as: UTF8.self)
        if text.contains("\u{1B}_Gi=31;OK") { return .kitty }
        let name =
            text.components(after: "\u{1B}P>|").lowercased() + " "
            + (program ?? "")
            .lowercased()
        if ["iterm", "wezterm", "konsole", "mintty"].contains(where: name.contains) {
            return .iterm2
        }
        // The first attribute is the class of the terminal.
        let attributes = text.components(after: "\u{1B}[?").prefix { $0 != "c" }.split(
            separator: ";")
        return attributes.dropFirst().contains("4") ? .sixel : .blocks
    }

    /// Asks the terminal, and waits at most 200 ms for its answers.
    ///
    /// Call it before other threads start: signals are blocked only on this thread, until the mode
    /// of the terminal is restored.
    ///
    /// - Parameter isInTmux: True to ask through tmux.
    /// - Returns: The answers; empty if there is no terminal, or this process is in the background.
    static func ask(isInTmux: Bool) -> [UInt8] {
        let terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC)
        guard terminal >= 0 else { return [] }
        defer { close(terminal) }
        // In the background, a change of the mode would stop the process.
        guard tcgetpgrp(terminal) == getpgrp() else { return [] }
        var (blocked, former) = (sigset_t(), sigset_t())
        sigemptyset(&blocked)
        for number in [SIGINT, SIGTERM, SIGQUIT, SIGTSTP, SIGHUP] { sigaddset(&blocked, number) }
        pthread_sigmask(SIG_BLOCK, &blocked, &former)
        defer { pthread_sigmask(SIG_SETMASK, &former, nil) }
        var mode = termios()
        guard tcgetattr(terminal, &mode) == 0 else { return [] }
        var raw = mode
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
        guard tcsetattr(terminal, TCSANOW, &raw) == 0 else { return [] }
        // TCSAFLUSH also drops answers that arrive late.
        defer { tcsetattr(terminal, TCSAFLUSH, &mode) }
        let question = Array(kittyQuestion.utf8)
        let bytes =
            (isInTmux ? TerminalImages.throughTmux(question) : question)
            + Array(otherQuestions.utf8)
        guard write(terminal, bytes, bytes.count) == bytes.count else { return [] }
        return answers(from: terminal, untilAttributes: !isInTmux)
    }

    private static func answers(from terminal: Int32, untilAttributes: Bool) -> [UInt8] {
        var answers: [UInt8] = []
        let end = ContinuousClock.now + .milliseconds(200)
        // tmux itself answers for the attributes, before the terminal answers the other question.
        while answers.count < 4096, !(untilAttributes && hasAttributes(answers)) {
            let left = Int32(max(0, Double(secondsOf: end - .now) * 1000))
            var waited = pollfd(fd: terminal, events: Int16(POLLIN), revents: 0)
            guard left > 0, poll(&waited, 1, left) > 0 else { break }
            var buffer = [UInt8](repeating: 0, count: 512)
            let count = read(terminal, &buffer, buffer.count)
            guard count > 0 else { break }
            answers += buffer[..<count]
        }
        return answers
    }

    private static func hasAttributes(_ answers: [UInt8]) -> Bool {
        String(decoding: answers, as: UTF8.self).components(after: "\u{1B}[?").contains("c")
    }
}

extension String {
    /// Returns the text after the first occurrence of another text; empty if there is none.
    fileprivate func components(after mark: String) -> String {
        let (own, other) = (Array(utf8), Array(mark.utf8))
        guard own.count >= other.count else { return "" }
        for start in 0...(own.count - other.count)
        where own[start..<(start + other.count)].elementsEqual(other) {
            return String(decoding: own[(start + other.count)...], as: UTF8.self)
        }
        return ""
    }
}
