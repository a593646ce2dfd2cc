import KubernetesAPI
import Testing

@testable import Controller

@Suite("What is heard of a Secret")
struct SecretWatchTests {
    private func secret(_ version: String) -> Core.Secret {
        var secret = Core.Secret()
        secret.metadata.resourceVersion = version
        return secret
    }

    @Test("K16: another state is read again, the one that was written or an earlier one is not")
    func states() {
        #expect(SecretSighting.there(version: "9").contradicts(nil))
        #expect(SecretSighting.there(version: "10").contradicts(secret("9")))
        #expect(!SecretSighting.there(version: "9").contradicts(secret("9")))
        #expect(!SecretSighting.there(version: "9").contradicts(secret("10")))
    }

    @Test("K16: absence counts from its version on")
    func absence() {
        #expect(!SecretSighting.absent(at: "9").contradicts(nil))
        #expect(SecretSighting.absent(at: "10").contradicts(secret("9")))
        #expect(!SecretSighting.absent(at: "9").contradicts(secret("10")))
        #expect(SecretSighting.absent(at: nil).contradicts(secret("9")))
    }

    @Test("K16: versions that cannot be compared are read again")
    func incomparable() {
        #expect(SecretSighting.there(version: "b").contradicts(secret("a")))
        #expect(SecretSighting.absent(at: "b").contradicts(secret("a")))
    }
}
