import NetworkModel
import TLS

/// This gateway's X25519 key, and the MAC keys that it shares with each other gateway.
///
/// Two gateways derive the same key: HKDF over the shared secret and both ProxyIDs in order.
struct KeyAgreement {
    private let own: ProxyID
    private let privateKey = X25519PrivateKey()
    private var publicKeys: [ProxyID: [UInt8]] = [:]
    /// Those of all gateways that are in reach.
    private(set) var ring = KeyRing()

    init(own: ProxyID) { self.own = own }

    var publicKey: [UInt8] { privateKey.publicKey }

    /// Takes the public keys of gateways that came or have other ones now, nil of those that went; false when none is new.
    ///
    /// `pause` is called between two agreements, as many may be new.
    mutating func update(_ changed: [ProxyID: [UInt8]?], pause: () -> Void = {}) -> Bool {
        var isNew = false
        for (gateway, publicKey) in changed where publicKeys[gateway] != publicKey {
            isNew = true
            publicKeys[gateway] = publicKey
            guard let publicKey else {
                ring.set(nil, for: gateway)
                continue
            }
            ring.set(key(with: gateway, publicKey), for: gateway)
            pause()
        }
        return isNew
    }

    /// Nil for a public key that is none.
    private func key(with gateway: ProxyID, _ publicKey: [UInt8]) -> [UInt8]? {
        guard let secret = privateKey.agree(with: publicKey) else { return nil }
        let pair = [own, gateway].sorted().map(\.description).joined(separator: " ")
        return Crypto.hkdfSHA256(
            secret: secret,
            salt: Array("tieline/1 stream set-up".utf8),
            purpose: Array(pair.utf8),
            count: 32
        )
    }
}
