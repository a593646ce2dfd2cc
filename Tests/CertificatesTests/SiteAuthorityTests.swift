import Foundation
import NetworkModel
import Testing

@testable import Certificates

@Suite("Site authority")
struct SiteAuthorityTests {
    private let now = Date()

    @Test("a reloaded authority has the same identity")
    func reload() throws {
        let made = try SiteAuthority.make(now: now)
        let read = try SiteAuthority(
            certificatePEM: made.certificatePEM,
            keyPEM: made.keyPEM,
            now: now
        )
        #expect(read.siteID == made.siteID)
        #expect(try SiteAuthority.make(now: now).siteID != made.siteID)
    }

    @Test("a certificate that is no CA, another key and garbage are refused, and no key is quoted")
    func refused() throws {
        let authority = try SiteAuthority.make(now: now)
        let other = try SiteAuthority.make(now: now)
        let leaf = try authority.issueLeaf(role: .gateway, now: now)
        for (certificate, key, reason) in [
            (leaf.chainPEM, leaf.keyPEM, "not a site CA"),
            (authority.certificatePEM, other.keyPEM, "not the key"),
            (authority.certificatePEM, "nothing", "no private key"),
            ("", authority.keyPEM, "no certificate"),
        ] {
            let problem = #expect(throws: CertificateProblem.self) {
                try SiteAuthority(certificatePEM: certificate, keyPEM: key, now: now)
            }
            #expect(problem?.description.contains(reason) == true, "\(String(describing: problem))")
        }
    }

    @Test("a leaf belongs to its authority, its key and its role only")
    func belongs() throws {
        let authority = try SiteAuthority.make(now: now)
        let other = try SiteAuthority.make(now: now)
        let leaf = try authority.issueLeaf(role: .gateway, now: now)
        let second = try authority.issueLeaf(role: .gateway, now: now)
        #expect(authority.hasIssued(chainPEM: leaf.chainPEM, keyPEM: leaf.keyPEM, role: .gateway))
        #expect(!authority.hasIssued(chainPEM: leaf.chainPEM, keyPEM: leaf.keyPEM, role: .sidecar))
        #expect(
            !authority.hasIssued(chainPEM: leaf.chainPEM, keyPEM: second.keyPEM, role: .gateway)
        )
        #expect(!other.hasIssued(chainPEM: leaf.chainPEM, keyPEM: leaf.keyPEM, role: .gateway))
        #expect(!authority.hasIssued(chainPEM: "garbage", keyPEM: leaf.keyPEM, role: .gateway))
    }

    @Test("a leaf is renewed from two thirds of its life on")
    func renewal() throws {
        let leaf = try SiteAuthority.make(now: now).issueLeaf(role: .sidecar, now: now)
        let life: TimeInterval = 7 * 24 * 3600
        #expect(abs(leaf.notAfter.timeIntervalSince(now) - life) < 2)
        #expect(!LeafCertificate.needsRenewal(chainPEM: leaf.chainPEM, now: now + life * 0.66))
        #expect(LeafCertificate.needsRenewal(chainPEM: leaf.chainPEM, now: now + life * 0.67))
        #expect(LeafCertificate.needsRenewal(chainPEM: "garbage", now: now))
    }

    @Test("a leaf never outlives its authority")
    func clamped() throws {
        let authority = try SiteAuthority.make(now: now)
        let leaf = try authority.issueLeaf(
            role: .gateway,
            now: now,
            lifetime: .seconds(100 * 366 * 24 * 3600)
        )
        #expect(leaf.notAfter == authority.notAfter)
    }

    @Test("openssl verifies the chain and sees what was meant", arguments: ProxyRole.allCases)
    func openssl(role: ProxyRole) throws {
        let folder = FileManager.default.temporaryDirectory
            .appending(path: "certificates-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let authority = try SiteAuthority.make(now: now)
        let leaf = try authority.issueLeaf(role: role, now: now)
        try Data(authority.certificatePEM.utf8).write(to: folder.appending(path: "ca.pem"))
        try Data(leaf.chainPEM.utf8).write(to: folder.appending(path: "leaf.pem"))
        try Data(leaf.keyPEM.utf8).write(to: folder.appending(path: "key.pem"))

        for purpose in ["sslserver", "sslclient"] {
            let answer = try run(
                ["verify", "-x509_strict", "-purpose", purpose, "-CAfile", "ca.pem", "leaf.pem"],
                in: folder
            )
            #expect(answer.contains("leaf.pem: OK"), "\(answer)")
        }
        let text = try run(["x509", "-in", "leaf.pem", "-noout", "-text"], in: folder)
        for part in [
            "URI:spiffe://tieline/site/\(authority.siteID)/\(role)", "CA:FALSE",
            "TLS Web Server Authentication, TLS Web Client Authentication", "prime256v1",
        ] {
            #expect(text.contains(part), "\(part) in \(text)")
        }
        #expect(
            try run(["x509", "-in", "ca.pem", "-noout", "-text"], in: folder)
                .contains("CA:TRUE, pathlen:0")
        )
        #expect(
            try run(["x509", "-in", "leaf.pem", "-noout", "-pubkey"], in: folder)
                == run(["pkey", "-in", "key.pem", "-pubout"], in: folder)
        )
        // The identity is the digest of the CA's SubjectPublicKeyInfo, in base32.
        let script =
            "openssl x509 -in ca.pem -noout -pubkey | openssl pkey -pubin -outform DER"
            + " | openssl dgst -sha256 -binary | base32 | cut -c1-26"
        let identity = try run(["-c", script], in: folder, program: "/bin/sh")
        #expect(identity.trimmingCharacters(in: .whitespacesAndNewlines) == authority.siteID.text)
    }

    private func run(
        _ arguments: [String],
        in folder: URL,
        program: String = "/usr/bin/openssl"
    ) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: program)
        process.arguments = arguments
        process.currentDirectoryURL = folder
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: output, as: UTF8.self)
    }
}
