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

    /// The MAC of `request` by `signer`, which is this gateway; nil while the egress is not known.
    func seal(_ request: some StreamRequest, signer: ProxyID) -> Open.Signature? {
        mac(StreamSeal(sealing: request, signer: signer)).map {
            Open.Signature(signer: signer, mac: $0)
        }
    }

    /// Why the egress must not take `request`; nil when its MAC is right.
    func objection(
        to request: some StreamRequest,
        signature: Open.Signature
    ) -> Refused.Reason? {
        guard let seal = StreamSeal(checking: request, signature: signature) else {
            return .unauthenticated
        }
        guard let mac = mac(seal) else { return .unknownOrigin }
        return Crypto.areEqual(mac, signature.mac) ? nil : .unauthenticated
    }

    /// The egress's MAC of its answer to `request`; zeros when that came unsigned from an attached sidecar.
    func seal(_ answer: StreamAnswer, to request: some StreamRequest) -> [UInt8] {
        mac(StreamSeal(answering: request, with: answer))
            ?? Array(repeating: 0, count: WireLimit.mac)
    }

    /// Whether an answer to `request`, which `signer` (this gateway) has signed, is the egress's own.
    func isGenuine(
        _ answer: StreamAnswer,
        to request: some StreamRequest,
        signer: ProxyID,
        mac: [UInt8]
    ) -> Bool {
        let seal = StreamSeal(of: answer, to: request, signer: signer)
        return self.mac(seal).map { Crypto.areEqual($0, mac) } ?? false
    }
}
