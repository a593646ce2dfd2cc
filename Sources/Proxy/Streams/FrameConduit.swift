import Wire

/// What carries frames to one neighbor: a `Lane`, or a `LoopBridge` to another loop of this proxy.
protocol FrameConduit: AnyObject {
    /// Queues a control frame; it goes before data.
    func send(_ type: UInt8, label: UInt32, _ payload: [UInt8])
    func send(_ type: UInt8, label: UInt32, _ payload: RawSpan)

    /// Asks for `StreamCarrier.produceData` as soon as there is room.
    func requestData()

    /// So many control frames wait that no stream should be opened over it: those that are open add theirs, within bounds.
    var isBacklogged: Bool { get }

    /// Smoothed; nil until measured.
    var roundTrip: Duration? { get }

    /// The least that the kernel has seen; nil until measured.
    var leastRoundTrip: Duration? { get }

    /// Ends it after what is queued.
    func close(_ closing: LaneClosing)
}

extension Lane: FrameConduit {
    var isBacklogged: Bool { queuedControlCount > Self.controlCountMax / 2 }
}

extension FrameConduit {
    func send(_ type: FrameType, label: UInt32, _ payload: RawSpan) {
        send(type.rawValue, label: label, payload)
    }

    /// Queues a control frame that `body` writes.
    func send(_ type: FrameType, label: UInt32, _ body: (inout FrameWriter) -> Void = { _ in }) {
        var writer = FrameWriter(reserving: 64)
        body(&writer)
        send(type.rawValue, label: label, writer.bytes)
    }
}
