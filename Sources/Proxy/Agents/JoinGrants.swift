import NetworkModel
import ProxyContract
import SiteControl
import Synchronization
import TLS
import Wire

/// The tokens by which sites may come, for every loop that accepts lanes.
final class JoinGrants: Sendable {
    private struct State {
        var keys: [String: [UInt8]] = [:]
        var shares = ClaimShares()
    }

    private let state = Mutex(State())

    func set(_ grants: [GrantConfiguration]) {
        let new = Dictionary(grants.map { ($0.name, Array($0.key)) }) { first, _ in first }
        state.withLock { $0.keys = new }
    }

    /// Whether a claim from this address may be judged.
    func mayJudge(from address: IPAddress, at now: Instant) -> Bool {
        state.withLock { $0.shares.take(from: address, at: now) }
    }

    /// Whether the neighbor of a lane holds the token that it speaks of; takes the same time for a wrong proof as for a right one.
    func judge(_ claim: JoinClaim, _ session: JoinSession) -> JudgedClaim.Verdict {
        let key = state.withLock { $0.keys[claim.grant] }
        // Of a grant that is not there as long as of one that is.
        let expected = session.proof(under: key ?? [0])
        let isEqual = Crypto.areEqual(expected, claim.proof)
        return isEqual && key != nil ? .proved : .wrong
    }
}

/// What a claim is bound to: this TLS session, and the two sites at its ends.
struct JoinSession {
    /// What both ends of the session know, and nobody else.
    let exporter: [UInt8]
    let claimant: SiteID
    let issuer: SiteID

    static let label = "EXPORTER-tieline-join"

    func proof(under key: [UInt8]) -> [UInt8] {
        let message =
            Array("tieline join".utf8) + exporter + Array(claimant.text.utf8)
            + Array(issuer.text.utf8)
        return Crypto.hmacSHA256(key: key, message)
    }
}
