package import FoundationEssentials
import NetworkModel
import TLS

/// The secret of a token, and what others keep of it.
package enum JoinSecret {
    /// 256 random bits in base32.
    package static func make() -> String { Base32.encode(Crypto.randomBytes(32)) }

    /// What proves are made and checked under: its digest, so that whoever reads the issuer's Secret learns no token.
    package static func key(of secret: String) -> Data {
        Data(Crypto.sha256(Array("tieline token ".utf8) + Array(secret.utf8)))
    }
}
