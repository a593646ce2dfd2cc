import NetworkModel
import Streaming
import Wire

@testable import Proxy

/// The owner of one end of a stream that takes everything and does nothing.
class TestOwner: StreamOwner {
    var number: UInt64 = 0
    var seat: UInt32 = 0
    private(set) lazy var end = LooseEnd(of: self)

    func produceAcknowledgment(into buffer: inout FrameBuffer, at end: StreamEnd) {}
    func produce(into buffer: inout FrameBuffer, limit: Int, at end: StreamEnd) -> Bool { false }
    func receive(
        data payload: RawSpan,
        at offset: UInt64,
        on end: StreamEnd
    ) throws(StreamViolation) {}
    func receive(_ acknowledgment: Acknowledgment, on end: StreamEnd) throws(StreamViolation) {}
    func receive(_ fin: Fin, on end: StreamEnd) throws(StreamViolation) {}
    func receive(_ frame: LifeFrame, on end: StreamEnd) {}
    func violated(_ violation: StreamViolation, on end: StreamEnd) {}
    func pathLost(_ end: StreamEnd, grace: Duration) {}
    func retry() {}
    func move(isLeaving: Bool) {}
    func endIfSilent(for limit: Duration) {}
    var servicePort: ServicePort? { nil }
    func shutDown() {}
    func abandon() { end.detach() }
}
