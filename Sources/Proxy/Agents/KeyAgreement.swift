import NetworkModel
import TLS

/// This gateway's X25519 key, and the MAC keys that it shares with each other gateway.
///
/// Two gateways derive the same key: HKDF over the shared secret and both ProxyIDs in order.
struct KeyAgreement {
    private struct Agreed {
        let publicKey: [UInt8]
        let key: [UInt8]
    }

    private let own: ProxyID
    private let privateKey = X25519PrivateKey()
    private var agreed: [ProxyID: Agreed] = [:]

    init(own: ProxyID) { self.own = own }

    var publicKey: [UInt8] { privateKey.publicKey }

    /// The keys for all these gateways, of which the public keys are given; those of others are forgotten.
    ///
    /// `pause` is called between two agreements, as many may be new.
    mutating func keys(
        with gateways: [ProxyID: [UInt8]],
        pause: () -> Void = {}
    ) -> [ProxyID: [UInt8]] {
        agreed = agreed.filter { gateways[$0.key] != nil }
        for (gateway, publicKey) in gateways where agreed[gateway]?.publicKey != publicKey {
            guard let secret = privateKey.agree(with: publicKey) else {
                agreed[gateway] = nil
                continue
            }
            let pair = [own, gateway].sorted().map(\.description).joined(separator: " ")
            let key = Crypto.hkdfSHA256(
                secret: secret,
                salt: Array("tieline/1 stream set-up".utf8),
                purpose: Array(pair.utf8),
                count: 32
            )
            pause()
            agreed[gateway] = Agreed(publicKey: publicKey, key: key)
        }
        return agreed.mapValues(\.key)
    }
}
