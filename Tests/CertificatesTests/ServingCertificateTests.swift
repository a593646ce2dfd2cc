import Certificates
import Foundation
import Testing

@Suite("Certificates of servers inside of the cluster")
struct ServingCertificateTests {
    private let names = ["tieline-webhook.tieline-system.svc"]
    private let begin = Date(timeIntervalSince1970: 1_800_000_000)

    private func after(days: Double) -> Date { begin.addingTimeInterval(days * 86_400) }

    @Test("a certificate is renewed at two thirds of its life, by the same authority")
    func renewal() throws {
        let first = try ServingCertificate.make(names: names, now: begin)
        #expect(try first.renewed(names: names, now: after(days: 59)) == first)
        let second = try first.renewed(names: names, now: after(days: 61))
        #expect(second.certificatePEM != first.certificatePEM)
        #expect(second.authorityPEM == first.authorityPEM)
        #expect(try second.renewed(names: names, now: after(days: 62)) == second)
        _ = try ServingTLS(second)
    }

    @Test("for other names, or with a key that is not its own, it is issued again")
    func unusable() throws {
        let first = try ServingCertificate.make(names: names, now: begin)
        let renamed = try first.renewed(names: ["other.svc"], now: begin)
        #expect(renamed != first)
        #expect(renamed.authorityPEM == first.authorityPEM)
        var broken = first
        broken.keyPEM = renamed.keyPEM
        let mended = try broken.renewed(names: names, now: begin)
        #expect(mended.keyPEM != broken.keyPEM)
        #expect(throws: (any Error).self) { try ServingTLS(broken) }
    }

    @Test("where the authority cannot be used there is another one", arguments: ["", "x"])
    func lostAuthority(text: String) throws {
        let first = try ServingCertificate.make(names: names, now: begin)
        var broken = first
        broken.authorityKeyPEM = text
        #expect(try broken.renewed(names: names, now: begin).authorityPEM != first.authorityPEM)
        let late = try first.renewed(names: names, now: after(days: 20 * 366))
        #expect(late.authorityPEM != first.authorityPEM)
    }
}
