import NetworkModel
import Routing
import Wire

/// Bytes as they come over a lane: header, payload, header, payload.
///
/// What decodes has one encoding, which decodes to the same; nothing else than an error is the answer to all others.
func fuzzFrames(_ bytes: [UInt8]) {
    var offset = 0
    while offset < bytes.count {
        let at = offset
        guard let header = try? bytes.withRawSpan({ try FrameHeader($0, at: at) }) else { return }
        offset += FrameHeader.size
        guard header.length <= min(FrameHeader.maximumPayload, bytes.count - offset) else { return }
        let payload = Array(bytes[offset..<offset + header.length])
        offset += header.length
        guard let known = try? FrameType.known(header.type) else { return }
        fuzzPayload(known, payload)
    }
}

private func fuzzPayload(_ type: FrameType, _ bytes: [UInt8]) {
    switch type {
    case .heartbeat: again(Heartbeat.self, bytes)
    case .close: again(LaneClosing.self, bytes)
    case .hello: again(Hello.self, bytes)
    case .goAway: again(GoAway.self, bytes)
    case .retire: again(Retire.self, bytes)
    case .bulkLane: again(BulkLane.self, bytes)
    case .renew: again(Renew.self, bytes)
    case .joinClaim: again(JoinClaim.self, bytes)
    case .counts: again(Counts.self, bytes)
    case .table: again(SidecarTable.self, bytes)
    case .tableAcknowledgment: again(SidecarTableAcknowledgment.self, bytes)
    case .wants: again(SidecarWants.self, bytes)
    case .ended: again(ProxiesEnded.self, bytes)
    case .open: again(Open.self, bytes)
    case .opened: again(Opened.self, bytes)
    case .refused: again(Refused.self, bytes)
    case .cancel: again(Cancel.self, bytes)
    case .acknowledgment: again(Acknowledgment.self, bytes)
    case .fin: again(Fin.self, bytes)
    case .reset: again(Reset.self, bytes)
    case .detached: again(Detached.self, bytes)
    case .resume: again(Resume.self, bytes)
    case .resumed: again(Resumed.self, bytes)
    default: others(type, bytes)
    }
}

/// Frames that are not of the protocol `Frame`.
private func others(_ type: FrameType, _ bytes: [UInt8]) {
    switch type {
    case .lsa: fuzzLSA(bytes)
    case .lsaAcknowledgment:
        _ = try? bytes.withRawSpan { try LSAAcknowledgmentCodec.decode($0) }
    case .lsaSummary: _ = try? bytes.withRawSpan { try LSASummaryCodec.decode($0) }
    case .lsaSummaryAcknowledgment:
        _ = try? bytes.withRawSpan { try LSASummaryAcknowledgmentCodec.decode($0) }
    case .report:
        _ = try? bytes.withRawSpan { try SidecarReport.decode($0, at: Instant(nanoseconds: 0)) }
    case .data: _ = try? bytes.withRawSpan { try DataFrame.offset($0) }
    default: break
    }
}

private func again<Value: Frame>(_ type: Value.Type, _ bytes: [UInt8]) {
    guard let frame = try? bytes.withRawSpan({ try Value.decode($0) }) else { return }
    let encoded = frame.encoded
    let second = try? encoded.withRawSpan { try Value.decode($0) }
    precondition(second?.encoded == encoded, "\(type) has two encodings: \(bytes)")
}

/// An advertisement: what decodes is written as it was read.
func fuzzLSA(_ bytes: [UInt8]) {
    let header = try? bytes.withRawSpan { try LSACodec.header($0) }
    guard let decoded = try? bytes.withRawSpan({ try LSACodec.decode($0) }) else { return }
    precondition(header?.key.origin == decoded.lsa.origin, "two origins: \(bytes)")
    let sealed = LSACodec.seal(
        body: LSACodec.encodeBody(decoded.lsa),
        signature: decoded.signature
    )
    guard let second = try? sealed.withRawSpan({ try LSACodec.decode($0) }) else {
        preconditionFailure("what was read is not written so that it can be read: \(bytes)")
    }
    precondition(second.lsa == decoded.lsa, "another advertisement: \(bytes)")
}
