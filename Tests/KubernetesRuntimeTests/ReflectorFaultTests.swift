import Foundation
import KubernetesAPI
import KubernetesClient
import NetworkModel
import NetworkTestSupport
import Synchronization
import TestSupport
import Testing

@testable import KubernetesRuntime

/// An API server that answers with what a test wrote down, and a reflector that listens to it.
private final class Play: Sendable {
    enum Answer: Sendable {
        /// A whole answer with that status.
        case status(Int, String, headers: String = "")
        /// Lines of a watch, which then ends or stays open.
        case lines([String], ends: Bool = true)
    }

    /// What the server was asked, in short: `list`, `list@7`, `list+token`, `watch@7`, `initial`.
    private let asked = Mutex<[String]>([])
    private let answers: Mutex<[Answer]>
    let log = ReflectorLog()
    private let healths = Mutex<[ReflectorHealth]>([])
    private let clock = ManualClock()
    private let waited = Mutex<[Duration]>([])

    init(_ answers: [Answer]) { self.answers = Mutex(answers) }

    var requests: [String] { asked.withLock { $0 } }
    /// How long it waited each time; no time passes beside.
    var waits: [Duration] { waited.withLock { $0 } }
    /// What the reflector said of itself.
    var told: [ReflectorHealth] { healths.withLock { $0 } }

    /// Runs a reflector against the answers until `condition` holds.
    func run(
        usesWatchList: Bool = false,
        from position: String? = nil,
        until condition: @Sendable (Play) -> Bool
    ) async throws {
        let server = try CannedServer { [self] request, client in
            note(request)
            reply(client)
        }
        defer { server.stop() }
        var settings = ReflectorSettings()
        settings.usesWatchList = usesWatchList
        settings.shortestWatch = .milliseconds(50)
        settings.backoff = Backoff(base: .milliseconds(20), maximum: .milliseconds(100))
        settings.clock = clock
        var session = ReflectorSession<Core.ConfigMap>(
            client: KubernetesClient(configuration: ClientConfiguration(server: server.url)),
            scope: Scope(namespace: "n"),
            settings: settings,
            logger: silentLogger,
            health: { [self] health in healths.withLock { $0.append(health) } },
            sink: { [log] in log.note($0) }
        )
        session.position = position
        let prepared = session
        let task = Task {
            var session = prepared
            await session.run()
        }
        let isThere = await eventually {
            // Whatever it waits for has come.
            if let wait = clock.waits.first {
                waited.withLock { $0.append(wait) }
                clock.advance(by: wait)
            }
            return condition(self)
        }
        #expect(isThere, "asked \(requests), told \(log.all)")
        task.cancel()
        await task.value
    }

    private func reply(_ client: TestSocket) {
        // When the script is over the server falls silent.
        guard let answer = answers.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) else { return }
        switch answer {
        case .status(let code, let body, let headers):
            _ = client.write(NetworkTestSupport.answer("\(code) X", body, headers: headers))
        case .lines(let lines, let ends):
            _ = client.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for line in lines {
                let text = line + "\n"
                let size = String(text.utf8.count, radix: 16)
                _ = client.write("\(size)\r\n\(text)\r\n")
            }
            if ends { _ = client.write("0\r\n\r\n") }
        }
    }

    private func note(_ request: String) {
        let target = request.split(separator: " ")[1]
        let query = target.split(separator: "?").dropFirst().first?.split(separator: "&") ?? []
        func value(_ name: String) -> Substring? {
            query.first { $0.hasPrefix(name + "=") }?.dropFirst(name.count + 1)
        }
        var text = value("watch") == nil ? "list" : "watch"
        if value("sendInitialEvents") != nil { text = "initial" }
        if value("limit") == "1" { text = "confirm" }
        if let version = value("resourceVersion") { text += "@\(version)" }
        if let token = value("continue") { text += "+\(token)" }
        asked.withLock { $0.append(text) }
    }
}

private func map(_ name: String, _ version: Int) -> String {
    #"{"metadata":{"name":"\#(name)","namespace":"n","resourceVersion":"\#(version)"}}"#
}

private func list(_ version: Int, _ names: [String], more: String = "") -> Play.Answer {
    let items = names.map { map($0, version) }.joined(separator: ",")
    return .status(
        200,
        #"{"metadata":{"resourceVersion":"\#(version)","continue":"\#(more)"},"items":[\#(items)]}"#
    )
}

private func event(_ type: String, _ object: String) -> String {
    #"{"type":"\#(type)","object":\#(object)}"#
}

private func bookmark(_ version: Int, ends: Bool = false) -> String {
    let annotations = ends ? #","annotations":{"k8s.io/initial-events-end":"true"}"# : ""
    return event("BOOKMARK", #"{"metadata":{"resourceVersion":"\#(version)"\#(annotations)}}"#)
}

private func status(_ code: Int, _ reason: String, cause: String = "") -> String {
    let details = cause.isEmpty ? "" : #","details":{"causes":[{"reason":"\#(cause)"}]}"#
    return #"{"kind":"Status","status":"Failure","code":\#(code),"reason":"\#(reason)"\#(details)}"#
}

private let open = Play.Answer.lines([], ends: false)

@Suite("Reflector: what a server may answer", .timeLimit(.minutes(1)))
struct ReflectorFaultTests {
    @Test("a watch goes on from the last event or bookmark")
    func resuming() async throws {
        let play = Play([
            list(5, ["a"]), .lines([event("ADDED", map("b", 7))]), .lines([bookmark(9)]), open,
        ])
        try await play.run { $0.requests.count == 4 }
        #expect(play.requests == ["list", "watch@5", "watch@7", "watch@9"])
        #expect(play.log.all == ["replaced a", "put b"])
    }

    @Test("410 leads to one list of a state not older than ours", arguments: [true, false])
    func expired(inStream: Bool) async throws {
        let gone = status(410, "Expired")
        let play = Play([
            inStream ? .lines([event("ERROR", gone)]) : .status(410, gone), list(9, ["b"]), open,
        ])
        try await play.run(from: "5") { $0.requests.count == 3 }
        #expect(play.requests == ["watch@5", "list@5", "watch@9"])
        #expect(play.log.all == ["replaced b"])
    }

    @Test("a server that is behind us is asked for its newest state")
    func tooLarge() async throws {
        let behind = status(504, "Timeout", cause: "ResourceVersionTooLarge")
        let play = Play([
            .lines([event("ERROR", status(410, "Gone"))]), .status(504, behind), list(3, ["old"]),
            open,
        ])
        try await play.run(from: "5") { $0.requests.count == 4 }
        #expect(play.requests == ["watch@5", "list@5", "list", "watch@3"])
    }

    @Test(
        "an overloaded or failing server is asked again, without a list",
        arguments: [429, 500, 502, 503]
    )
    func overload(code: Int) async throws {
        let failure = Play.Answer.status(code, status(code, "TooManyRequests"))
        let play = Play([failure, list(5, []), failure, list(5, []), open])
        try await play.run(from: "5") { $0.requests.count == 5 }
        #expect(play.requests == ["watch@5", "confirm@5", "watch@5", "confirm@5", "watch@5"])
        #expect(play.log.all.isEmpty)
    }

    @Test("a server is left alone for as long as it asks")
    func retryAfter() async throws {
        let busy = Play.Answer.status(429, "busy", headers: "Retry-After: 1\r\n")
        let play = Play([busy, list(5, []), open])
        try await play.run(from: "5") { $0.requests.count == 3 }
        #expect(play.waits == [.seconds(1)])
    }

    @Test(
        "bytes that make no sense lead to a list",
        arguments: ["garbage", #"{"type":"ADDED"}"#, event("RENAMED", "{}"), event("ADDED", "{}")]
    )
    func garbage(line: String) async throws {
        let play = Play([.lines([event("ADDED", map("a", 6)), line]), list(9, ["b"]), open])
        try await play.run(from: "5") { $0.requests.count == 3 }
        #expect(play.requests == ["watch@5", "list", "watch@9"])
        #expect(play.log.all == ["put a", "replaced b"])
    }

    @Test("watches that end at once are failures: they are not begun again without a wait")
    func shortWatches() async throws {
        let play = Play((0..<40).map { _ in .lines([]) })
        try await play.run(from: "5") { $0.requests.count >= 6 }
        // No answer tells anything, to the lists between them neither.
        #expect(play.waits.prefix(4).map(\.milliseconds) == [20, 40, 80, 100])
    }

    @Test("a list comes in pages; when it gets too old on the way, in one piece")
    func pages() async throws {
        let play = Play([
            list(5, ["a"], more: "t1"), list(5, ["b"], more: "t2"),
            .status(410, status(410, "Expired")),
            list(8, ["a", "b", "c"]), open,
        ])
        try await play.run { $0.requests.count == 5 }
        #expect(play.requests == ["list", "list+t1", "list+t2", "list", "watch@8"])
        #expect(play.log.all == ["replaced a,b,c"])
    }

    @Test("the initial state of a watch is told when it is whole, and the watch goes on")
    func initialEvents() async throws {
        let play = Play([
            .lines([
                event("ADDED", map("b", 3)), event("ADDED", map("a", 9)), bookmark(9, ends: true),
                event("DELETED", map("b", 10)),
            ]), open,
        ])
        try await play.run(usesWatchList: true) { $0.requests.count == 2 }
        #expect(play.requests == ["initial", "watch@10"])
        #expect(play.log.all == ["replaced a,b", "removed b"])
    }

    @Test("an initial state that breaks off is not told; it is begun again")
    func brokenInitialEvents() async throws {
        let play = Play([
            .lines([event("ADDED", map("a", 3))]),
            .lines([event("ADDED", map("b", 4)), bookmark(4, ends: true)], ends: false),
        ])
        try await play.run(usesWatchList: true) { !$0.log.all.isEmpty }
        #expect(play.requests == ["initial", "initial"])
        #expect(play.log.all == ["replaced b"])
    }

    @Test("a server that sends no initial events is asked for a list", arguments: [400, 422])
    func fallback(code: Int) async throws {
        let play = Play([.status(code, status(code, "Invalid")), list(5, ["a"]), open])
        try await play.run(usesWatchList: true) { $0.requests.count == 3 }
        #expect(play.requests == ["initial", "list", "watch@5"])
    }

    @Test(
        "a right or a kind that is missing for a while does not make it list for ever",
        arguments: [403, 404]
    )
    func refused(code: Int) async throws {
        let play = Play([
            .status(code, status(code, "Forbidden")),
            .lines([event("ADDED", map("b", 4)), bookmark(4, ends: true)], ends: false),
        ])
        try await play.run(usesWatchList: true) { !$0.log.all.isEmpty }
        #expect(play.requests == ["initial", "initial"])
    }

    @Test("an object that does not decode is told apart, and the position moves on")
    func undecodable() async throws {
        let bad = #"{"metadata":{"name":"bad","namespace":"n","resourceVersion":"8"},"data":[]}"#
        let play = Play([.lines([event("MODIFIED", bad)]), .lines([event("DELETED", bad)]), open])
        try await play.run(from: "5") { $0.requests.count == 3 }
        #expect(play.requests == ["watch@5", "watch@8", "watch@8"])
        #expect(play.log.all == ["undecodable bad", "removed undecodable bad"])
    }

    @Test("K16: a server that finds every version too old is listed with growing waits")
    func alwaysExpired() async throws {
        let gone = Play.Answer.lines([event("ERROR", status(410, "Expired"))])
        let play = Play((0..<40).flatMap { [list($0, ["a"]), gone] })
        try await play.run { $0.requests.count >= 15 }
        // From the third expiry on.
        #expect(play.waits.prefix(5).map(\.milliseconds) == [20, 40, 80, 100, 100])
        #expect(play.requests.count { $0.hasPrefix("list") } >= 7)
    }

    @Test("K16: watches that always end at once, though they tell something, wait ever longer")
    func shortWatchesThatTell() async throws {
        // After a wait the server is asked whether it knows the version, then a watch is begun: both are answered.
        let watch = Play.Answer.lines([bookmark(5)])
        let play = Play(
            Array(repeating: watch, count: 4) + (0..<20).flatMap { _ in [list(5, []), watch] }
        )
        try await play.run(from: "5") { $0.requests.count >= 14 }
        // From the fourth on.
        #expect(play.waits.prefix(5).map(\.milliseconds) == [20, 40, 80, 100, 100])
        #expect(play.requests.prefix(4) == ["watch@5", "watch@5", "watch@5", "watch@5"])
    }

    @Test("K16: an initial state that never comes whole is asked for as a list, and not at once")
    func initialStateTooLarge() async throws {
        let broken = Play.Answer.lines([event("ADDED", map("a", 3))])
        let play = Play([broken, broken, list(9, ["a", "b"]), open])
        try await play.run(usesWatchList: true) { $0.requests.count == 4 }
        #expect(play.waits == [.milliseconds(20), .milliseconds(40)])
        #expect(play.requests == ["initial", "initial", "list", "watch@9"])
        #expect(play.log.all == ["replaced a,b"])
    }

    @Test(
        "K2: it says why it cannot follow, and that it follows only once a watch is open",
        arguments: [
            (Play.Answer.status(403, status(403, "Forbidden")), ReadingTrouble.refused(403)),
            (.status(404, "404 page not found"), .notServed),
            (.status(503, status(503, "ServiceUnavailable")), .failed(503)),
            (.lines(["garbage"]), .undecodable),
        ]
    )
    fileprivate func health(answer: Play.Answer, trouble: ReadingTrouble) async throws {
        // A list that works is no watch.
        let play = Play([answer, list(5, ["a"]), answer, list(5, ["a"]), open])
        try await play.run { $0.told.last == .following }
        let failures = play.told.filter { $0 == .failed(trouble) }
        #expect(failures.count == 2, "told \(play.told)")
        let after = play.told.reversed().prefix { $0 != .failed(trouble) }
        #expect(after.filter { $0 == .following }.count == 1)
    }

    @Test("K2: a watch that ends is not followed until the next one is open")
    func healthBetweenWatches() async throws {
        let play = Play([.lines([bookmark(6)]), open])
        try await play.run(from: "5") { $0.requests.count == 2 && $0.told.count == 4 }
        #expect(play.told == [.asking, .following, .asking, .following])
    }

    @Test("K2: an initial state is followed once it is whole")
    func healthOfInitialState() async throws {
        let play = Play([
            .lines([event("ADDED", map("a", 3))]),
            .lines([event("ADDED", map("b", 4)), bookmark(4, ends: true)], ends: false),
        ])
        try await play.run(usesWatchList: true) { $0.told.last == .following }
        #expect(play.told == [.asking, .failed(.broken), .asking, .following])
    }
}

extension Duration {
    fileprivate var milliseconds: Int64 {
        components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
    }
}
