import Foundation
import NetworkModel
import TLS
import Testing

@testable import Certificates

/// Identities outlive versions: this one was made by another library, before OpenSSL made them.
@Suite("An authority of an earlier version")
struct GoldenAuthorityTests {
    private let certificatePEM = """
        -----BEGIN CERTIFICATE-----
        MIIBqjCCAVGgAwIBAgIULHF+L16ZkrHBa2YSaFh7Jq+62/0wCgYIKoZIzj0EAwIw
        MjEwMC4GA1UEAwwndGllbGluZSBzaXRlIE03SjJUM0JRR0pFQjRYS1pNNlVYRkhG
        TVZOMB4XDTI2MTEyNjIwMDUxN1oXDTQ2MTEyNjIwMTAxN1owMjEwMC4GA1UEAwwn
        dGllbGluZSBzaXRlIE03SjJUM0JRR0pFQjRYS1pNNlVYRkhGTVZOMFkwEwYHKoZI
        zj0CAQYIKoZIzj0DAQcDQgAEkwAo72/buHaT4tprCFk9uDKyrcm5gisy2SxQcPa0
        fnxpY4gIm52qkPIGhdpeu7Ukm4t/gv84YOo+Jifg6Krf5aNFMEMwEgYDVR0TAQH/
        BAgwBgEB/wIBADAOBgNVHQ8BAf8EBAMCAQYwHQYDVR0OBBYEFI7tBp9WrbaBPR//
        L9p1Vik2X6mXMAoGCCqGSM49BAMCA0cAMEQCIGyPmSyZeuqOhNqxLZ7XnHIFTRj/
        AbekjhaIICoTz7RiAiBaCNcPkCBxlJqxU/dRlqMjqFNvWI3bPqhQgmz9cDGX9A==
        -----END CERTIFICATE-----

        """
    private let keyPEM = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgSATr96+9ZUGlj0F2
        jsQ/ZtS8gp1yrD3XadQcr6zh6w+hRANCAASTACjvb9u4dpPi2msIWT24MrKtybmC
        KzLZLFBw9rR+fGljiAibnaqQ8gaF2l67tSSbi3+C/zhg6j4mJ+Doqt/l
        -----END PRIVATE KEY-----

        """
    private let now = Date(timeIntervalSince1970: 1_795_800_000)

    @Test("keeps its identity, its text, and signs leafs that lanes take")
    func golden() throws {
        let authority = try SiteAuthority(
            certificatePEM: certificatePEM,
            keyPEM: keyPEM,
            now: now
        )
        #expect(authority.siteID.text == "M7J2T3BQGJEB4XKZM6UXFHFMVN")
        #expect(authority.certificatePEM == certificatePEM)
        let leaf = try authority.issueLeaf(role: .gateway, now: now)
        #expect(authority.hasIssued(chainPEM: leaf.chainPEM, keyPEM: leaf.keyPEM, role: .gateway))
        let credentials = try Credentials(
            certificates: Array(leaf.chainPEM.utf8),
            privateKey: Array(leaf.keyPEM.utf8)
        )
        let identity = try CertificateChain.verify(
            credentials.chain,
            at: Int64(now.timeIntervalSince1970)
        )
        #expect(identity.site == authority.siteID)
    }
}
