import NetworkModel
import Streaming
import TLS
import Wire

/// The MACs of stream set-up, made and checked with the pairwise keys of gateways; what they cover says `StreamSeal`.
extension KeyRing {
    /// Nil while the other gateway is not known.
    private func mac(_ seal: StreamSeal?) -> [UInt8]? {
        guard let seal, let key = key(for: seal.peer) else { return nil }
        return Crypto.mac(key: key, seal.message)
    }

    /// The MAC of `open` by `signer`, which is this gateway; nil while the egress is not known.
    func seal(_ open: Open, signer: ProxyID) -> Open.Signature? {
        mac(StreamSeal(sealing: open, signer: signer)).map {
            Open.Signature(signer: signer, mac: $0)
        }
    }

    /// Why the egress must not take `open`; nil when its MAC is right.
    func objection(to open: Open, signature: Open.Signature) -> Refused.Reason? {
        guard let seal = StreamSeal(checking: open, signature: signature) else {
            return .unauthenticated
        }
        guard let mac = mac(seal) else { return .unknownOrigin }
        return Crypto.areEqual(mac, signature.mac) ? nil : .unauthenticated
    }

    /// The egress's MAC of its answer to `open`; zeros when the stream came unsigned from an attached sidecar.
    func sealAnswer(
        _ type: FrameType,
        to open: Open,
        egress: ProxyID,
        reason: Refused.Reason? = nil
    ) -> [UInt8] {
        mac(StreamSeal(answering: open, with: type, egress: egress, reason: reason))
            ?? Array(repeating: 0, count: WireLimit.mac)
    }

    /// Whether an answer to `open`, which `signer` (this gateway) has signed, is the egress's own.
    func isGenuine(
        _ type: FrameType,
        to open: Open,
        signer: ProxyID,
        by proxy: ProxyID,
        reason: Refused.Reason? = nil,
        mac: [UInt8]
    ) -> Bool {
        let seal = StreamSeal(
            answerTo: open,
            signer: signer,
            from: proxy,
            with: type,
            reason: reason
        )
        return self.mac(seal).map { Crypto.areEqual($0, mac) } ?? false
    }
}
