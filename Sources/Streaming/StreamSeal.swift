package import NetworkModel
package import Wire

/// What one MAC of a stream's set-up covers, and with whom its key is shared.
///
/// The gateway that vouches for the stream (the signer) and the egress share a key; nobody between them has it.
package struct StreamSeal: Hashable, Sendable {
    /// The other gateway that has the key.
    package let peer: ProxyID
    package let message: [UInt8]

    /// Of an OPEN that `signer`, which is this gateway, vouches for.
    package init?(sealing open: Open, signer: ProxyID) {
        guard let egress = open.route.last else { return nil }
        peer = egress
        message = open.authenticated(signer: signer)
    }

    /// Of an OPEN that came to this egress; nil when the signer has no right to vouch for it.
    package init?(checking open: Open, signature: Open.Signature) {
        // A gateway speaks for its own site only.
        guard signature.signer.site == open.name.ingress.site else { return nil }
        peer = signature.signer
        message = open.authenticated(signer: signature.signer)
    }

    /// Of the answer of this egress to an OPEN; nil when nobody signed that: the stream of an attached sidecar.
    package init?(
        answering open: Open,
        with type: FrameType,
        egress: ProxyID,
        reason: Refused.Reason? = nil
    ) {
        guard let signer = open.signature?.signer else { return nil }
        peer = signer
        message = open.authenticatedAnswer(type, signer: signer, egress: egress, reason: reason)
    }

    /// Of the answer to an OPEN that `signer`, which is this gateway, has signed; nil when `proxy` is not the egress, whose
    /// word alone counts.
    package init?(
        answerTo open: Open,
        signer: ProxyID,
        from proxy: ProxyID,
        with type: FrameType,
        reason: Refused.Reason? = nil
    ) {
        guard proxy == open.route.last else { return nil }
        peer = proxy
        message = open.authenticatedAnswer(type, signer: signer, egress: proxy, reason: reason)
    }
}
