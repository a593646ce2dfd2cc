import DequeModule
import NetworkModel
import Routing
import SiteControl
import TLS
import Wire

/// Feeds the routing instance, carries out what it says, and keeps its timer.
///
/// Confined to loop 0.
final class RoutingShell {
    private(set) var instance: RoutingInstance
    private unowned let control: ControlPlane
    private var authority = LSAAuthority()
    private var timer: (id: TimerID, at: Instant)?
    private var disbelieved: UInt64 = 0
    /// A neighbor that floods rubbish must not fill the log as well.
    private var nextComplaint = Instant(nanoseconds: 0)
    private static let complaintInterval: Duration = .seconds(10)
    private var arrivals = LSAArrivals()
    private var inputs: Deque<RoutingInput> = []
    private var isHandling = false
    /// The turn in which arrivals were worked on last, and for how long.
    private var turn = Instant(nanoseconds: 0)
    private var spent: Duration = .zero
    private var isWorkScheduled = false

    init(control: ControlPlane) {
        self.control = control
        instance = RoutingInstance(origin: control.core.id)
    }

    var table: RouteTable { instance.table }

    /// LSAs that were not believed, or did not fit into the database.
    var refusals: UInt64 { disbelieved + instance.refusals }

    /// An input that comes while the outputs of another one are carried out waits for the last of those: a signature, or what new
    /// routes lead to.
    func feed(_ input: RoutingInput) {
        inputs.append(input)
        guard !isHandling else { return }
        isHandling = true
        while let input = inputs.popFirst() {
            for output in instance.handle(input, at: control.loop.now, wall: Int64(WallClock.now)) {
                carryOut(output)
            }
        }
        isHandling = false
        arm()
    }

    private func carryOut(_ output: RoutingOutput) {
        switch output {
        case .sign(let lsa):
            do {
                let credentials = control.core.current.context.credentials
                feed(.signed(try authority.sign(lsa, with: credentials)))
            } catch {
                control.log("cannot sign an LSA: \(error)")
            }
        case .send(let message, let neighbor):
            var writer = FrameWriter()
            message.encode(into: &writer)
            control.send(message.frameType, writer.bytes, to: neighbor)
        case .routesChanged(let table, let changes):
            control.routesChanged(table, changes)
        }
    }

    private func arm() {
        let deadline = instance.nextDeadline
        guard deadline != timer?.at else { return }
        if let timer { control.loop.cancel(timer.id) }
        timer = nil
        guard let deadline else { return }
        let id = control.loop.schedule(at: deadline) { [weak self] _ in
            self?.timer = nil
            self?.feed(.deadline)
        }
        timer = (id, deadline)
    }

    // MARK: Frames

    /// A routing frame of a neighbor that is a gateway.
    func receive(_ type: FrameType, _ bytes: [UInt8], from neighbor: ProxyID) throws(WireError) {
        switch type {
        case .lsa: try receiveLSA(bytes, from: neighbor)
        case .lsaAcknowledgment:
            let headers = try bytes.withRawSpan { span throws(WireError) in
                try LSAAcknowledgmentCodec.decode(span)
            }
            feed(.acknowledged(headers, from: neighbor))
        case .lsaSummary:
            let summary = try bytes.withRawSpan { span throws(WireError) in
                try LSASummaryCodec.decode(span)
            }
            feed(.summary(summary, from: neighbor))
        case .lsaSummaryAcknowledgment:
            let (number, wanted) = try bytes.withRawSpan { span throws(WireError) in
                try LSASummaryAcknowledgmentCodec.decode(span)
            }
            feed(.summaryAcknowledged(number: number, wanted: wanted, from: neighbor))
        default: break
        }
    }

    private func complain(_ message: String) {
        guard control.loop.now >= nextComplaint else { return }
        nextComplaint = control.loop.now + Self.complaintInterval
        control.log(message)
    }

    private func receiveLSA(_ bytes: [UInt8], from neighbor: ProxyID) throws(WireError) {
        let header = try bytes.withRawSpan { span throws(WireError) in
            try LSACodec.header(span)
        }
        guard instance.isNews(header) else {
            feed(.receivedKnown(header, from: neighbor))
            return
        }
        // Not acknowledged: the neighbor sends its newest again.
        guard !instance.isTooSoon(header, at: control.loop.now),
            arrivals.append(LSAArrival(header: header, bytes: bytes, neighbor: neighbor))
        else { return }
        work()
    }

    /// Takes arrivals for as long as one step of a turn may last, and goes on in the next one: clients and lanes of this loop wait
    /// for it.
    private func work() {
        if turn != control.loop.now { (turn, spent) = (control.loop.now, .zero) }
        while spent < control.loop.stepTime, let arrival = arrivals.next() {
            let start = EventLoop.clock()
            // What came before it may be newer, or more than the pace allows.
            if instance.isNews(arrival.header) {
                if !instance.isTooSoon(arrival.header, at: turn) { take(arrival) }
            } else {
                feed(.receivedKnown(arrival.header, from: arrival.neighbor))
            }
            spent += EventLoop.clock() - start
            control.loop.breathe()
        }
        guard !arrivals.isEmpty, !isWorkScheduled else { return }
        isWorkScheduled = true
        control.loop.schedule(after: .zero) { [weak self] _ in
            self?.isWorkScheduled = false
            self?.work()
        }
    }

    /// Shows in a neighbor site's account what its advertisements take up.
    private func note(_ site: SiteID, wasRefused: Bool) {
        guard let account = control.core.accounts.known(site) else { return }
        account.set(.services, to: instance.serviceCount(of: site))
        if wasRefused { account.deny(.services) }
    }

    private func take(_ arrival: LSAArrival) {
        let neighbor = arrival.neighbor
        guard control.adjacencies[neighbor] != nil else { return }
        do {
            let signed = try authority.verify(arrival.bytes, at: Int64(WallClock.now))
            let refused = instance.refusals
            feed(.received(signed, from: neighbor))
            note(arrival.header.key.origin.site, wasRefused: instance.refusals > refused)
        } catch {
            disbelieved += 1
            complain("\(error), from \(neighbor) (refused so far: \(refusals))")
            // Acknowledged, or it would come again every second; the next comparison asks for it again.
            feed(.receivedKnown(arrival.header, from: neighbor))
        }
    }
}
