package import NetworkModel
package import Wire

/// What one MAC of a stream's set-up covers, and with whom its key is shared.
///
/// The gateway that vouches for the stream (the signer) and the egress share a key; nobody between them has it.
package struct StreamSeal: Hashable, Sendable {
    /// The other gateway that has the key.
    package let peer: ProxyID
    package let message: [UInt8]

    /// Of a request that `signer`, which is this gateway, vouches for.
    package init?(sealing request: some StreamRequest, signer: ProxyID) {
        guard let egress = request.route.last else { return nil }
        peer = egress
        message = request.authenticated(signer: signer)
    }

    /// Of a request that came to this egress; nil when the signer has no right to vouch for it.
    package init?(checking request: some StreamRequest, signature: Open.Signature) {
        // A gateway speaks for its own site only.
        guard signature.signer.site == request.name.ingress.site else { return nil }
        peer = signature.signer
        message = request.authenticated(signer: signature.signer)
    }

    /// Of the answer of this egress to a request; nil when nobody signed that: the stream of an attached sidecar.
    package init?(answering request: some StreamRequest, with answer: StreamAnswer) {
        guard let signer = request.signature?.signer else { return nil }
        peer = signer
        message = answer.authenticated(request, signer: signer)
    }

    /// Of the answer to a request that `signer`, which is this gateway, has signed; nil when it is not the egress's, whose
    /// word alone counts.
    package init?(
        of answer: StreamAnswer,
        to request: some StreamRequest,
        signer: ProxyID
    ) {
        guard answer.proxy == request.route.last else { return nil }
        peer = answer.proxy
        message = answer.authenticated(request, signer: signer)
    }
}
