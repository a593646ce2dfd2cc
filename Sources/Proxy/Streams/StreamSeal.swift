import NetworkModel
import TLS
import Wire

/// The MACs of stream set-up, made and checked with the pairwise keys of gateways.
extension KeyRing {
    /// The MAC of `open` by `signer`, which is this gateway; nil while the egress is not known.
    func seal(_ open: Open, signer: ProxyID) -> Open.Signature? {
        guard let egress = open.route.last, let key = key(for: egress) else { return nil }
        return Open.Signature(
            signer: signer,
            mac: Crypto.mac(key: key, open.authenticated(signer: signer))
        )
    }

    /// Why the egress must not take `open`; nil when its MAC is right.
    func objection(to open: Open, signature: Open.Signature) -> Refused.Reason? {
        // A gateway speaks for its own site only.
        guard signature.signer.site == open.name.ingress.site else { return .unauthenticated }
        guard let key = key(for: signature.signer) else { return .unknownOrigin }
        let mac = Crypto.mac(key: key, open.authenticated(signer: signature.signer))
        return Crypto.areEqual(mac, signature.mac) ? nil : .unauthenticated
    }

    /// The egress's MAC of its answer to `open`; zeros when the stream came unsigned from an attached sidecar.
    func sealAnswer(
        _ type: FrameType,
        to open: Open,
        egress: ProxyID,
        reason: Refused.Reason? = nil
    ) -> [UInt8] {
        guard let signer = open.signature?.signer, let key = key(for: signer) else {
            return Array(repeating: 0, count: WireLimit.mac)
        }
        let message = open.authenticatedAnswer(
            type,
            signer: signer,
            egress: egress,
            reason: reason
        )
        return Crypto.mac(key: key, message)
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
        guard proxy == open.route.last, let key = key(for: proxy) else { return false }
        let message = open.authenticatedAnswer(
            type,
            signer: signer,
            egress: proxy,
            reason: reason
        )
        return Crypto.areEqual(Crypto.mac(key: key, message), mac)
    }
}
