import Glibc
import Logging
import NetworkModel
import Testing

@testable import Telemetry

@Suite("Log")
struct LogTests {
    private func line(_ message: String, _ metadata: Logger.Metadata = [:]) -> LogLine {
        LogLine(
            time: Timestamp(microseconds: 1_709_210_096_007_000),
            level: .warning,
            label: "x",
            message: message,
            metadata: metadata
        )
    }

    private func text(_ line: LogLine, _ format: LogFormat) -> String {
        String(decoding: line.bytes(as: format), as: UTF8.self)
    }

    @Test("P1: a line is a line, as text and as JSON")
    func formats() {
        let event = line("a \"b\"\nc", ["error": "two words", "n": "1", "level": "own"])
        #expect(
            text(event, .text)
                == "2024-02-29T12:34:56.007Z warning x: a \"b\"\\nc error=\"two words\" level=own n=1\n"
        )
        #expect(
            text(event, .json)
                == "{\"time\":\"2024-02-29T12:34:56.007Z\",\"level\":\"warning\",\"logger\":\"x\","
                + "\"message\":\"a \\\"b\\\"\\nc\",\"error\":\"two words\",\"level_\":\"own\",\"n\":\"1\"}\n"
        )
        #expect(text(line("\u{1B}[2J"), .text).hasSuffix("\\u001b[2J\n"))
        #expect(text(line(String(repeating: "a", count: 100_000)), .text).utf8.count < 17_000)
    }

    @Test(
        "P1: nobody waits for a log that nobody reads; what is lost is counted and told",
        .timeLimit(.minutes(1))
    )
    func stuck() throws {
        var ends: [Int32] = [0, 0]
        try #require(unsafe pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        let flags = fcntl(ends[1], F_GETFL)
        let queue = LogQueue(descriptor: ends[1], format: .text)
        let logger = Logger(label: "x") { QueuedLogHandler(label: $0, level: .info, queue: queue) }
        let filler = String(repeating: "a", count: 1_000)
        let begin = ContinuousClock.now
        for _ in 0..<5_000 { logger.info("\(filler)") }
        queue.flush(milliseconds: 100)
        #expect(ContinuousClock.now - begin < .seconds(20))
        #expect(queue.dropped > 0)
        // The descriptor is the parent's too.
        #expect(fcntl(ends[1], F_GETFL) == flags)

        var read: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let deadline = ContinuousClock.now + .seconds(30)
        let told = Array("lines were dropped".utf8)
        while ContinuousClock.now < deadline, read.suffix(4_096).firstRange(of: told) == nil {
            var watched = pollfd(fd: ends[0], events: Int16(POLLIN), revents: 0)
            guard unsafe poll(&watched, 1, 1_000) == 1 else { continue }
            let count = unsafe Glibc.read(ends[0], &buffer, buffer.count)
            read += buffer[..<count]
        }
        #expect(read.suffix(4_096).firstRange(of: told) != nil)
    }

    @Test("P1: a log that is gone is counted")
    func gone() throws {
        var ends: [Int32] = [0, 0]
        try #require(unsafe pipe(&ends) == 0)
        close(ends[0])
        let queue = LogQueue(descriptor: ends[1], format: .json)
        queue.append(line("a"))
        queue.flush(milliseconds: 5_000)
        let deadline = ContinuousClock.now + .seconds(10)
        while queue.dropped == 0, ContinuousClock.now < deadline { usleep(1_000) }
        #expect(queue.dropped == 1)
        close(ends[1])
    }
}
