import NetworkModel
import Routing
import TLS
import Wire

/// Signs this gateway's LSAs and checks everyone else's: origin, role, dates, signature.
///
/// Chains are verified once and remembered for ten minutes; a signature is checked for every LSA that is news.
struct LSAAuthority {
    private struct Verified {
        let identity: NeighborIdentity
        let at: Int64
    }

    enum Refusal: Error, Equatable, CustomStringConvertible {
        case malformed(String)
        case certificate(String)
        /// The certificate speaks for another site, or for a sidecar.
        case wrongOrigin(ProxyID)
        case signature(ProxyID)

        var description: String {
            switch self {
            case .malformed(let text): "malformed LSA: \(text)"
            case .certificate(let text): "LSA with a bad certificate: \(text)"
            case .wrongOrigin(let origin): "LSA of \(origin) with a certificate of someone else"
            case .signature(let origin): "LSA of \(origin) with a bad signature"
            }
        }
    }

    private var chains: [[[UInt8]]: Verified] = [:]
    private static let chainLimit = 8_192
    private static let memory: Int64 = 600

    func sign(_ lsa: LSA, with credentials: Credentials) throws(TLSError) -> SignedLSA {
        let body = LSACodec.encodeBody(lsa)
        let signature = try credentials.sign(body)
        return SignedLSA(lsa: lsa, bytes: LSACodec.seal(body: body, signature: signature))
    }

    /// The LSA in the frame, if it speaks for its origin at `time` (seconds since 1970).
    mutating func verify(_ bytes: [UInt8], at time: Int64) throws(Refusal) -> SignedLSA {
        let decoded: LSACodec.Decoded
        do {
            decoded = try bytes.withRawSpan { span throws(WireError) in
                try LSACodec.decode(span)
            }
        } catch {
            throw .malformed("\(error)")
        }
        let identity = try identity(decoded.lsa.certificateChain, at: time)
        guard identity.role == .gateway, identity.site == decoded.lsa.origin.site else {
            throw .wrongOrigin(decoded.lsa.origin)
        }
        let body = Array(bytes[..<decoded.bodyLength])
        guard identity.publicKey.isValid(signature: decoded.signature, for: body) else {
            throw .signature(decoded.lsa.origin)
        }
        return SignedLSA(lsa: decoded.lsa, bytes: bytes)
    }

    private mutating func identity(
        _ chain: [[UInt8]],
        at time: Int64
    ) throws(Refusal) -> NeighborIdentity {
        // Neither older nor from the future: a clock that was set back must not make a verdict last.
        if let known = chains[chain], (0..<Self.memory).contains(time - known.at) {
            return known.identity
        }
        let identity: NeighborIdentity
        do {
            identity = try CertificateChain.verify(chain, at: time)
        } catch {
            throw .certificate("\(error)")
        }
        if chains.count >= Self.chainLimit { chains = [:] }
        chains[chain] = Verified(identity: identity, at: time)
        return identity
    }
}
