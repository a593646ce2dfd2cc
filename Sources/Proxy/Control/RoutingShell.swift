import NetworkModel
import Routing
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
    /// LSAs that were not believed, and the last reason.
    private(set) var refusals: UInt64 = 0
    private(set) var lastRefusal: LSAAuthority.Refusal?

    init(control: ControlPlane) {
        self.control = control
        instance = RoutingInstance(origin: control.core.id)
    }

    var table: RouteTable { instance.table }

    func feed(_ input: RoutingInput) {
        handle(input)
        arm()
    }

    private func handle(_ input: RoutingInput) {
        for output in instance.handle(input, at: control.loop.now) {
            switch output {
            case .sign(let lsa):
                do {
                    let credentials = control.core.current.context.credentials
                    handle(.signed(try authority.sign(lsa, with: credentials)))
                } catch {
                    control.log("cannot sign an LSA: \(error)")
                }
            case .send(let message, let neighbor):
                var writer = FrameWriter()
                message.encode(into: &writer)
                control.send(message.frameType, writer.bytes, to: neighbor)
            case .routesChanged(let table):
                control.routesChanged(table)
            }
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
        case .lsaAcknowledgement:
            let headers = try bytes.withRawSpan { span throws(WireError) in
                try LSAAcknowledgementCodec.decode(span)
            }
            feed(.acknowledged(headers, from: neighbor))
        case .lsaSummary:
            let summary = try bytes.withRawSpan { span throws(WireError) in
                try LSASummaryCodec.decode(span)
            }
            feed(.summary(summary, from: neighbor))
        case .lsaSummaryAcknowledgement:
            let (number, wanted) = try bytes.withRawSpan { span throws(WireError) in
                try LSASummaryAcknowledgementCodec.decode(span)
            }
            feed(.summaryAcknowledged(number: number, wanted: wanted, from: neighbor))
        default: break
        }
    }

    private func receiveLSA(_ bytes: [UInt8], from neighbor: ProxyID) throws(WireError) {
        let header = try bytes.withRawSpan { span throws(WireError) in
            try LSACodec.header(span)
        }
        guard instance.isNews(header) else {
            feed(.receivedKnown(header, from: neighbor))
            return
        }
        do {
            let signed = try authority.verify(bytes, at: Int64(WallClock.now))
            feed(.received(signed, from: neighbor))
        } catch {
            refusals += 1
            lastRefusal = error
            control.log("from \(neighbor): \(error)")
            // Acknowledged, or it would come again every second; the next comparison asks for it again.
            feed(.receivedKnown(header, from: neighbor))
        }
    }
}
