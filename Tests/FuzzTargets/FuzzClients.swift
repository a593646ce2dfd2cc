import Balancing
import NetworkModel
import Streaming
import TestSupport
import Wire

/// The connection of a client: routing, servers, hops and an egress say what they like, whenever they like.
///
/// What was picked is given back once, the client hears of its end once, nobody is asked for ever, and a client whose
/// bytes may have come to one server is given to no other.
func fuzzClient(_ bytes: [UInt8]) {
    var client = FuzzedClient()
    var decisions = Decisions(bytes)
    client.begin(&decisions)
    while !decisions.isEmpty { client.step(&decisions) }
    client.end()
}

private struct FuzzedClient: ~Copyable {
    private static let timeouts = ServiceTimeouts(
        connect: .seconds(3),
        idle: .seconds(60),
        halfClosed: .seconds(20)
    )
    private static let ways = Ways(
        routes: [
            [ProxyID(site: site(2), instance: 1)], [ProxyID(site: site(2), instance: 2)],
        ],
        detours: [[ProxyID(site: site(3), instance: 1), ProxyID(site: site(2), instance: 1)]]
    )
    /// More than any connection asks for without time or an answer.
    private static let questionsMax = 200

    private var stream: IngressStream
    private var routes = RouteEjections()
    private var servers = EndpointBalancer()
    private var now = Instant(nanoseconds: 1_000_000_000)
    private var picks: UInt64 = 0
    private var ledger = Ledger()
    /// What the machine waits for, and nobody else answers.
    private var question: IngressStream.Action?
    private var questions = 0

    /// What was taken and not given back.
    private struct Ledger {
        var picks: Set<UInt64> = []
        var servers: Set<UInt64> = []
        var ways = 0
        var opened = 0
        var closed = 0
        var ends = 0
    }

    init() {
        let flow = StreamFlow(BufferPool(), window: 65_536, hasSocket: true, at: now)
        stream = IngressStream(flow, timeouts: Self.timeouts, at: now)
        let endpoints = (1...2).map { Endpoint(address: .v4(0x0A00_0001), port: UInt16($0)) }
        servers.update(
            endpoints.map { .init(endpoint: $0, isReady: true, isServing: true) },
            at: now
        )
    }

    mutating func begin(_ decisions: inout Decisions) {
        guard decisions.byte() % 4 == 0 else { return feed(.start, &decisions) }
        feed(.listen(for: .milliseconds(20)), &decisions)
        stream.flow.allowEarly()
        _ = stream.flow.fillEarly { space in
            unsafe space.first.initializeMemory(as: UInt8.self, repeating: 7)
            return unsafe min(space.first.count, 100)
        }
        feed(.spoke, &decisions)
    }

    mutating func step(_ decisions: inout Decisions) {
        questions = 0
        now = now + .milliseconds(Int(decisions.byte()))
        switch decisions.byte() % 12 {
        case 0, 1, 2: answer(&decisions)
        case 3: serverSays(&decisions)
        case 4: if let due = stream.nextDeadline { wait(until: due, &decisions) }
        case 5: feed(.pathLost(grace: .seconds(Int(decisions.byte() % 12))), &decisions)
        case 6: move(&decisions)
        case 7: exchange(&decisions)
        case 8: feed(.proxiesEnded([proxy(&decisions)]), &decisions)
        case 9: feed(.reset(Reset.Reason(rawValue: decisions.byte() % 12) ?? .other), &decisions)
        case 10: feed(decisions.byte() % 2 == 0 ? .retry : .attemptLost, &decisions)
        default: fault(&decisions)
        }
    }

    /// The client goes, and nothing is left.
    mutating func end() {
        var none = Decisions([])
        feed(.clientFailed, &none)
        if case .relaying = stream.state { feed(.relayEnded(.cut(hadBytes: true)), &none) }
        precondition(ledger.ends == 1, "told of its end \(ledger.ends) times")
        precondition(ledger.picks.isEmpty && ledger.servers.isEmpty, "kept what was picked")
        precondition(ledger.ways == 0, "kept \(ledger.ways) ways")
        precondition(ledger.opened == ledger.closed && ledger.opened <= 1, "counted otherwise")
        precondition(stream.nextDeadline == nil, "waits after its end")
    }

    // MARK: What others say

    private func proxy(_ decisions: inout Decisions) -> ProxyID {
        let route = Self.ways.all[Int(decisions.byte()) % Self.ways.all.count]
        return route[Int(decisions.byte()) % route.count]
    }

    /// The answer of another proxy, in time or not, genuine or not, to what was asked or not.
    private mutating func answer(_ decisions: inout Decisions) {
        let isGenuine = decisions.byte() % 4 != 0
        let reason = Refused.Reason(rawValue: decisions.byte() % 16) ?? .other
        switch decisions.byte() % 4 {
        case 0:
            let answer = Opened(
                egress: proxy(&decisions),
                window: UInt32(decisions.number()),
                mac: [],
                isResumable: decisions.byte() % 4 != 0,
                tookEarly: decisions.byte() % 2 == 0
            )
            feed(.opened(answer, isGenuine: isGenuine), &decisions)
        case 1: feed(.refused(reason, by: proxy(&decisions), isGenuine: isGenuine), &decisions)
        case 2: feed(.refusedBack(reason, isGenuine: isGenuine), &decisions)
        default: resumed(isGenuine, &decisions)
        }
    }

    private mutating func resumed(_ isGenuine: Bool, _ decisions: inout Decisions) {
        let isRight = decisions.byte() % 4 != 0
        let standing = StreamStanding(
            next: isRight ? stream.flow.sender.ring.start : decisions.long(),
            hasFin: decisions.byte() % 8 == 0,
            window: UInt32(decisions.number())
        )
        let start = isRight ? stream.flow.receiver.next : decisions.long()
        let answer = Resumed(egress: proxy(&decisions), standing: standing, start: start)
        feed(.resumed(answer, isGenuine: isGenuine), &decisions)
    }

    private mutating func serverSays(_ decisions: inout Decisions) {
        switch stream.state {
        case .connecting:
            guard decisions.byte() % 4 != 0, let server = servers.pick(at: now) else {
                let reason = Refused.Reason(rawValue: decisions.byte() % 16) ?? .other
                return feed(.notConnected(reason), &decisions)
            }
            ledger.servers.insert(server.number)
            feed(decisions.byte() % 8 == 0 ? .cameBack(server) : .connected(server), &decisions)
        case .relaying:
            let isUntouched = decisions.byte() % 2 == 0
            let isReclaimed = isUntouched && decisions.byte() % 2 == 0
            let endings: [RelayEnding] = [
                .finished, .client, .cut(hadBytes: !isUntouched),
                .server(isUntouched: isUntouched, isReclaimed: isReclaimed),
            ]
            feed(.relayEnded(endings[Int(decisions.byte()) % endings.count]), &decisions)
        default: break
        }
    }

    private mutating func wait(until due: Instant, _ decisions: inout Decisions) {
        now = max(now, due)
        // Where an attempt is over, the limit of what went on meanwhile may be as well.
        for _ in 0..<2 { feed(.deadline, &decisions) }
        precondition(stream.nextDeadline.map { $0 > now } ?? true, "a time limit that stays over")
    }

    private mutating func move(_ decisions: inout Decisions) {
        let isBulk = decisions.byte() % 2 == 0
        feed(decisions.byte() % 2 == 0 ? .move : .spread(isBulk: isBulk), &decisions)
    }

    private mutating func fault(_ decisions: inout Decisions) {
        let faults: [IngressStream.Input] = [
            .violated, .overloaded, .clientFailed, .shutDown, .finished, .spoke,
        ]
        guard decisions.byte() % 8 == 0 else { return }
        feed(faults[Int(decisions.byte()) % faults.count], &decisions)
    }

    /// Bytes of the client, and of the server.
    private mutating func exchange(_ decisions: inout Decisions) {
        guard stream.flow.isOpen else { return }
        if decisions.byte() % 8 == 0 { return finish() }
        let count = Int(decisions.byte())
        _ = stream.flow.fill(atMost: count, at: now) { space in
            unsafe space.first.initializeMemory(as: UInt8.self, repeating: 7)
            return unsafe space.first.count
        }
        var frames = FrameBuffer()
        _ = stream.flow.appendData(atMost: count, label: 1, to: &frames)
        do throws(StreamViolation) {
            let next = stream.flow.receiver.next
            _ = try stream.flow.receive(dataAt: next, count: count, at: now)
            if stream.flow.writesThrough { stream.flow.didWrite(count) }
        } catch {
            feed(.violated, &decisions)
        }
    }

    /// The client has said all.
    private mutating func finish() {
        if stream.flow.sender.finOffset == nil { stream.flow.endOfSocket(at: now) }
        var frames = FrameBuffer()
        _ = stream.flow.appendFin(label: 1, to: &frames)
    }

    // MARK: What the machine does

    private mutating func feed(_ input: IngressStream.Input, _ decisions: inout Decisions) {
        let actions = stream.handle(input, at: now)
        for (index, action) in actions.enumerated() {
            precondition(ledger.ends == 0 || !action.isQuestion, "asks after its end")
            precondition(!action.isQuestion || index == actions.count - 1, "asks, and goes on")
            note(action)
        }
        guard let last = actions.last, last.isQuestion else { return }
        questions += 1
        precondition(questions < Self.questionsMax, "asks for ever")
        reply(to: last, &decisions)
    }

    private mutating func note(_ action: IngressStream.Action) {
        switch action {
        case .opened(let pick), .resumed(let pick):
            precondition(ledger.picks.contains(pick.number), "of a pick that was given back")
        case .release(let pick), .failed(let pick, _), .lost(let pick):
            precondition(ledger.picks.remove(pick.number) != nil, "given back twice")
        case .serverReleased(let server), .serverFailed(let server, _):
            precondition(ledger.servers.remove(server.number) != nil, "given back twice")
            servers.release(server)
        case .wayAnswered(let way, let time):
            ledger.ways -= 1
            routes.answered(way, after: time, at: now)
        case .wayFailed(let way, let reason):
            ledger.ways -= 1
            routes.failed(way, reason: reason, at: now)
        case .wayAbandoned(let way):
            ledger.ways -= 1
            routes.abandoned(way)
        case .count(.opened): ledger.opened += 1
        case .count(.closed): ledger.closed += 1
        case .close: ledger.ends += 1
        case .pick, .connect:
            precondition(stream.flow.isUntouched, "a client with bytes is given to another server")
        default: break
        }
        precondition(ledger.ways >= 0, "a way is told of twice")
        precondition(ledger.ends <= 1, "told of its end twice")
    }

    private mutating func reply(to action: IngressStream.Action, _ decisions: inout Decisions) {
        let choice = decisions.byte()
        switch action {
        case .pick(let excluded):
            let free = (1...4).map { site($0) }.filter { !excluded.contains($0) }
            guard choice % 8 != 0, !free.isEmpty else {
                return feed(.picked(nil, isLocal: false), &decisions)
            }
            picks += 1
            let target = free[Int(choice) % free.count]
            ledger.picks.insert(picks)
            let pick = Pick(site: target, number: picks, turn: picks)
            feed(.picked(pick, isLocal: target == site(1)), &decisions)
        case .seek(_, let tried):
            guard let way = way(Self.ways, tried) else { return feed(.noWay, &decisions) }
            guard choice % 8 != 0 else { return feed(.unreachable(way), &decisions) }
            _ = stream.flow.isUntouched ? stream.flow.takeEarly() : []
            feed(.asked(way, patience: way.patience(roundTrip: .milliseconds(1))), &decisions)
        case .seekBack(let joined, let tried):
            guard let way = way(joined.back(of: Self.ways), tried) else {
                return feed(.noWay, &decisions)
            }
            guard choice % 8 != 0 else { return feed(.unreachable(way), &decisions) }
            let hadFin = stream.flow.receiver.standing.hasFin
            feed(.askedBack(way, hadFin: hadFin, patience: .seconds(1)), &decisions)
        default: break
        }
    }

    private mutating func way(_ ways: Ways, _ tried: Tried) -> WayPick? {
        let excluded = tried.excluded(of: ways)
        let way = routes.pick(ways, turn: picks, excluding: excluded, at: now)
        if way != nil { ledger.ways += 1 }
        return way
    }
}

extension IngressStream.Action {
    /// It is answered at once.
    fileprivate var isQuestion: Bool {
        switch self {
        case .pick, .seek, .seekBack: true
        default: false
        }
    }
}
