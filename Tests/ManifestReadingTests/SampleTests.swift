import Foundation
import KubernetesAPI
import NetworkAPI
import NetworkModel
import Testing

@testable import ManifestReading

@Suite("Samples")
struct SampleTests {
    private static let folder = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "manifests/samples")

    @Test("every sample decodes without an unknown field, and compiles without a finding")
    func samples() throws {
        let files = try #require(
            FileManager.default.enumerator(at: Self.folder, includingPropertiesForKeys: nil)
        )
        var count = 0
        for case let file as URL in files where file.pathExtension == "yaml" {
            var manifests = Manifests()
            manifests.read(
                try String(contentsOf: file, encoding: .utf8),
                file: file.lastPathComponent,
                otherKinds: .skip
            )
            #expect(manifests.problems == [])
            count += manifests.sites.count + manifests.links.count + manifests.services.count
            for namespace in Set(manifests.services.map(\.metadata.namespace)) {
                let result = compile(
                    site: manifests.sites.first { $0.metadata.namespace == namespace }
                        ?? Site(metadata: ObjectMeta(name: "any")),
                    siteID: try #require(SiteID(String(repeating: "A", count: SiteID.length))),
                    links: manifests.links.filter { $0.metadata.namespace == namespace },
                    services: manifests.services.filter { $0.metadata.namespace == namespace },
                    listeners: .allocated(ListenerPorts(), now: Instant(nanoseconds: 0))
                )
                #expect(result.findings == [])
            }
        }
        #expect(count > 0)
    }
}
