import NetworkModel
import Streaming
import Wire

/// What becomes of a RESUME: the stream goes on over this path, or the next hop is asked, or it is refused.
extension StreamEngine {
    /// Takes a RESUME to the stream's loop, or to the next hop.
    func receive(_ resume: Resume, label: UInt32, from carrier: StreamCarrier) {
        guard label & StreamLabel.answerBit == 0 else {
            let closing = LaneClosing(.protocolError, "RESUME with an answer's label")
            return carrier.conduit.close(closing)
        }
        guard let next = position(in: resume, from: carrier) else {
            return refuse(resume, .noRoute, label: label, carrier)
        }
        guard next == resume.route.count else {
            let onward = self.carrier(
                to: resume.route[next],
                mayBridge: !carrier.isBridge,
                isBulk: resume.isBulk
            )
            return forward(resume, onward, label: label, carrier)
        }
        // What comes over a bridge was checked by the loop that it came to.
        if !carrier.isBridge, let reason = unvouched(resume, from: carrier) {
            return refuse(resume, reason, label: label, carrier)
        }
        guard let place = plane.names.find(resume.name) else {
            let verdict = plane.names.verdict(resume.name, at: loop.now)
            return refuse(resume, verdict?.refusal ?? .unknownStream, label: label, carrier)
        }
        guard place.loop == loop.index else {
            // It was at this loop's when the other one looked.
            guard !carrier.isBridge else {
                return refuse(resume, .noRoute, label: label, carrier)
            }
            return forward(resume, bridge(to: place.loop).carrier, label: label, carrier)
        }
        guard let stream = stream(at: place) as? EgressConnection else {
            return refuse(resume, .unknownStream, label: label, carrier)
        }
        if let reason = stream.resume(resume, label: label, from: carrier) {
            refuse(resume, reason, label: label, carrier)
        }
    }

    private func forward(
        _ resume: Resume,
        _ onward: StreamCarrier?,
        label: UInt32,
        _ carrier: StreamCarrier
    ) {
        var resume = resume
        if resume.route.last != view.proxy, let reason = vouch(for: &resume, from: carrier) {
            return refuse(resume, reason, label: label, carrier)
        }
        guard let onward, onward.knowsResume,
            mayHold(StreamReceiver.standardWindow, in: pool)
        else { return refuse(resume, .noRoute, label: label, carrier) }
        guard let charge = StreamCharge(carrier.account, hasDescriptor: false) else {
            return refuse(resume, .overloaded, label: label, carrier)
        }
        let stream = TransitConnection(
            resume,
            isSigner: carrier.isSidecar && resume.route.last != view.proxy,
            charge: charge,
            engine: self
        )
        pass(resume, on: onward, stream, charge, label: label, carrier)
    }
}
