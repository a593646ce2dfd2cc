import KubernetesAPI
import KubernetesClient
import Logging
import NetworkTestSupport
import Synchronization
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

    @Test("K2: a Secret is heard of only while its watch is open, and nothing waits for that")
    func refused() async throws {
        let isAllowed = Atomic(false)
        let server = try CannedServer { request, client in
            guard isAllowed.load(ordering: .relaxed) else {
                let body = #"{"kind":"Status","code":403,"reason":"Forbidden"}"#
                _ = client.write(answer("403 Forbidden", body))
                return
            }
            _ = client.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            let line =
                #"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"4","#
                + #""annotations":{"k8s.io/initial-events-end":"true"}}}}"# + "\n"
            let size = String(line.utf8.count, radix: 16)
            _ = client.write("\(size)\r\n\(line)\r\n")
        }
        defer { server.stop() }
        let inputs = Inputs(logger: silent)
        let watches = SecretWatches(
            client: KubernetesClient(configuration: ClientConfiguration(server: server.url)),
            inputs: inputs,
            logger: silent
        ) { _ in }
        let task = Task { await watches.run() }
        let key = ObjectKey(namespace: "shop", name: "tieline-site-ca")
        watches.follow([key.name], in: "shop")
        #expect(await eventually(within: .seconds(40)) { server.requests.count >= 2 })
        #expect(!watches.hears(of: key) && watches.follows(key))
        isAllowed.store(true, ordering: .relaxed)
        #expect(await eventually(within: .seconds(40)) { watches.hears(of: key) })
        watches.forget("shop")
        #expect(!watches.hears(of: key) && !watches.follows(key))
        task.cancel()
        await task.value
    }

    private var silent: Logger { Logger(label: "silent") { _ in SwiftLogNoOpLogHandler() } }
}
