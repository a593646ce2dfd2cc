import Certificates
import Foundation
import KubernetesAPI
import NetworkModel
import Proxy
import SiteControl
import SiteFolder
import Synchronization
import Testing

@testable import ProxyProcess

@Suite("Sources of a gateway")
struct SourceTests {
    private func credentials(
        _ authority: SiteAuthority,
        at time: Date
    ) throws -> ProxyCredentials {
        let leaf = try authority.issueLeaf(role: .gateway, now: time)
        return ProxyCredentials(certificateChain: leaf.chainPEM, privateKey: leaf.keyPEM)
    }

    @Test("the credentials that were issued last are used; an older source takes nothing back")
    func credentials() throws {
        let now = Date()
        let authority = try SiteAuthority.make(now: now)
        let old = try credentials(authority, at: now - 100)
        let new = try credentials(authority, at: now)
        let recorder = Recorder(site: authority.siteID)
        let keeper = CredentialsKeeper(current: old, dataPlane: recorder, logger: quiet)
        keeper.offer(old)
        keeper.offer(new)
        keeper.offer(old)
        keeper.offer(new)
        #expect(recorder.told.withLock { $0.credentials } == [new])
    }

    @Test("K1: a mounted Secret is read when it was replaced, not when its neighbor was")
    func remounted() async throws {
        try await withDirectory { path in
            func mount(_ name: String) throws {
                try? FileManager.default.removeItem(atPath: "\(path)/..data")
                try FileManager.default.createSymbolicLink(
                    atPath: "\(path)/..data",
                    withDestinationPath: name
                )
            }
            var secret = MountedSecret(directory: path)
            var reads = 0
            for _ in 0..<2 { secret.ifChanged { reads += 1 } }
            #expect(reads == 2, "a folder that no kubelet keeps is read always")
            try mount("..1")
            for _ in 0..<2 { secret.ifChanged { reads += 1 } }
            #expect(reads == 3)
            try mount("..2")
            #expect(throws: FileProblem.self) {
                try secret.ifChanged { throw FileProblem("torn") }
            }
            for _ in 0..<2 { secret.ifChanged { reads += 1 } }
            #expect(reads == 4, "what could not be read is read again")
        }
    }

    @Test("refused credentials leave the old ones, and better ones are taken")
    func refused() throws {
        let now = Date()
        let authority = try SiteAuthority.make(now: now)
        let recorder = Recorder(site: authority.siteID)
        let first = try credentials(authority, at: now - 200)
        let keeper = CredentialsKeeper(current: first, dataPlane: recorder, logger: quiet)
        recorder.told.withLock { $0.refusesCredentials = true }
        keeper.offer(try credentials(authority, at: now - 100))
        recorder.told.withLock { $0.refusesCredentials = false }
        let good = try credentials(authority, at: now)
        keeper.offer(good)
        #expect(recorder.told.withLock { $0.credentials } == [good])
    }

    private func slice(
        _ name: String,
        service: String,
        _ addresses: [String],
        _ change: (inout Discovery.EndpointSlice) -> Void = { _ in }
    ) -> Discovery.EndpointSlice {
        Discovery.EndpointSlice {
            $0.metadata.name = name
            $0.metadata.labels = [Discovery.EndpointSlice.serviceNameLabel: service]
            $0.endpoints = addresses.map { address in
                Discovery.Endpoint { $0.addresses = [address] }
            }
            $0.ports = [
                Discovery.EndpointPort {
                    $0.name = "http"
                    $0.port = 8080
                }
            ]
            change(&$0)
        }
    }

    @Test("slices become endpoints, with their conditions and named ports")
    func slices() throws {
        let found = EndpointSource.endpoints(
            of: [
                slice("s", service: "web-tl-12345678", ["10.0.0.1", "fd00::1", "not-an-address"]) {
                    $0.endpoints[1].conditions.ready = false
                    $0.endpoints[1].conditions.serving = true
                    $0.endpoints[1].conditions.terminating = true
                    $0.ports.append(
                        Discovery.EndpointPort {
                            $0.port = 53
                            $0.protocol = "UDP"
                        }
                    )
                }
            ],
            prefersV4: true
        )
        #expect(found.map(\.endpoint.description) == ["10.0.0.1:8080", "[fd00::1]:8080"])
        #expect(found[0].portName?.text == "http")
        #expect(found[0].ready && found[0].serving && !found[0].terminating)
        #expect(!found[1].ready && found[1].serving && found[1].terminating)
        #expect(EndpointSource.service(of: slice("s", service: "kubernetes", [])) == nil)
    }

    @Test("P3: a pod with addresses of both families is one server, at the gateway's own family")
    func families() {
        func refer(_ slice: inout Discovery.EndpointSlice, _ uids: String...) {
            for (index, uid) in uids.enumerated() {
                slice.endpoints[index].targetRef = ObjectReference { $0.uid = uid }
            }
        }
        // b has one family only, the last ones are of nobody that the slices name.
        let slices = [
            slice("s4", service: "web-tl-12345678", ["10.0.0.1", "10.0.0.9"]) { refer(&$0, "a") },
            slice("s6", service: "web-tl-12345678", ["fd00::1", "fd00::2", "fd00::9"]) {
                $0.addressType = "IPv6"
                refer(&$0, "a", "b")
            },
        ]
        func found(_ slices: [Discovery.EndpointSlice], prefersV4: Bool) -> [String] {
            EndpointSource.endpoints(of: slices, prefersV4: prefersV4)
                .map { "\($0.endpoint.address)" }
        }
        for slices in [slices, slices.reversed()] {
            #expect(
                found(slices, prefersV4: true) == ["10.0.0.1", "10.0.0.9", "fd00::2", "fd00::9"]
            )
            #expect(
                found(slices, prefersV4: false) == ["10.0.0.9", "fd00::1", "fd00::2", "fd00::9"]
            )
        }
        // Taken out of one slice before the other: it is still there.
        #expect(found([slices[1]], prefersV4: true) == ["fd00::1", "fd00::2", "fd00::9"])
    }

    @Test("a mounted Secret is read at one moment, and its turning is seen")
    func mounted() async throws {
        try await withDirectory { path in
            let files = FileManager.default
            for (place, text) in [("..1", "one"), ("..2", "two")] {
                try files.createDirectory(
                    atPath: "\(path)/\(place)",
                    withIntermediateDirectories: true
                )
                try write(text, "\(path)/\(place)/tls.crt")
                try write(text, "\(path)/\(place)/tls.key")
            }
            try files.createSymbolicLink(atPath: "\(path)/..data", withDestinationPath: "..1")
            #expect(try ProxyCredentials.read(from: path)?.privateKey == "one")

            let counter = Count()
            let watch = DirectoryWatch(directories: [path])
            let task = Task {
                await watch.forEachChange {
                    counter.add()
                    return nil
                }
            }
            defer { task.cancel() }
            #expect(try await eventually { counter.value == 1 })
            let begin = ContinuousClock.now
            try files.createSymbolicLink(atPath: "\(path)/..new", withDestinationPath: "..2")
            #expect(unsafe rename("\(path)/..new", "\(path)/..data") == 0)
            #expect(try await eventually { counter.value > 1 })
            // The look that needs no notice comes every 10 s.
            #expect(ContinuousClock.now - begin < .seconds(5))
            #expect(try ProxyCredentials.read(from: path)?.privateKey == "two")
        }
    }

    @Test("a missing half is no credential")
    func half() async throws {
        try await withDirectory { path in
            #expect(try ProxyCredentials.read(from: path) == nil)
            try write("x", "\(path)/tls.crt")
            #expect(try ProxyCredentials.read(from: path) == nil)
        }
    }
}

/// How often something happened.
private final class Count: Sendable {
    private let count = Mutex(0)
    var value: Int { count.withLock { $0 } }
    func add() { count.withLock { $0 += 1 } }
}
