/// A proxy's leaf with the site CA that signed it and the leaf's private key; checked when made, then immutable.
package struct Credentials: Sendable {
    /// Whom they speak for, by the same rules that a neighbour applies.
    package let identity: NeighborIdentity
    /// DER: the leaf, then the site CA; what link state advertisements carry.
    package let chain: [[UInt8]]
    /// Seconds since 1970: the earlier end of the two certificates.
    package let notAfter: Int64

    /// Reads PEM: `certificates` holds the leaf first, then the site CA and nothing else.
    ///
    /// - Throws: `.certificate` when the chain breaks a rule (dates are not judged here: they pass while the process
    ///   runs), `.library` when the PEM is broken or the key does not fit the leaf.
    package init(certificates: [UInt8], privateKey: [UInt8]) throws(TLSError) {
        preconditionFailure("in the next commit")
    }

    /// Signs with the leaf's key; `identity.publicKey` verifies.
    package func sign(_ message: [UInt8]) throws(TLSError) -> [UInt8] {
        preconditionFailure("in the next commit")
    }
}

/// Checks of chains that do not come with a TLS handshake.
package enum CertificateChain {
    /// Verifies leaf + site CA (DER) as on a lane, at `time` (seconds since 1970) with 5 min slack.
    package static func verify(
        _ chain: [[UInt8]],
        at time: Int64
    ) throws(CertificateError) -> NeighborIdentity {
        preconditionFailure("in the next commit")
    }
}

/// Everything that sessions made with one set of credentials share; new credentials mean a new context for new lanes.
package final class TLSContext: Sendable {
    package let credentials: Credentials

    package init(credentials: Credentials) throws(TLSError) {
        self.credentials = credentials
    }
}
