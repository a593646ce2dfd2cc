import ArgumentParser
import NetworkModel
import Proxy
import SiteControl
import Testing

@testable import ProxyProcess

@Suite("Command line")
struct CommandTests {
    private func options(_ arguments: [String]) throws -> RunOptions {
        let command = try ProxyCommand.Run.parse(arguments)
        return try command.options(environment: ["POD_NAMESPACE": "shop"])
    }

    @Test("a gateway, a plain site and a sidecar")
    func modes() throws {
        let gateway = try options([
            "--configuration", "/c", "--credentials", "/k", "--state", "/s", "--loops", "2",
            "--record", "/tmp/fault.jsonl",
        ])
        guard case .gateway(let parsed) = gateway.mode else {
            Issue.record("not a gateway")
            return
        }
        #expect(parsed.namespace == "shop")
        #expect(parsed.state == "/s")
        #expect(gateway.loops == 2)
        #expect(gateway.record == "/tmp/fault.jsonl")
        #expect("\(gateway.admin)" == "[::]:5673")

        let site = try options(["--site-dir", "/d", "--bind", "127.0.0.2", "--admin", "[::1]:80"])
        #expect(site.bind?.description == "127.0.0.2")
        #expect("\(site.admin)" == "[::1]:80")

        let sidecar = try options([
            "--sidecar", "--gateways", "tieline-proxy.shop.svc:5672", "--credentials", "/k",
            "--listen", "backend/http=127.0.0.1:8080", "--listen", "db/tcp=127.0.0.1:5432",
        ])
        guard case .sidecar(let told) = sidecar.mode else {
            Issue.record("not a sidecar")
            return
        }
        #expect("\(told.gateways)" == "tieline-proxy.shop.svc:5672" && !told.endsLast)
        #expect(
            told.listeners.map { "\($0.service)=\($0.endpoint)" }
                == ["backend/http=127.0.0.1:8080", "db/tcp=127.0.0.1:5432"]
        )
    }

    @Test(
        "wrong arguments are refused with what to write",
        arguments: [
            ([], "--site-dir"), (["--sidecar"], "--gateways"),
            (["--site-dir", "/d", "--sidecar"], "--bind"),
            (["--site-dir", "/d", "--bind", "here"], "not an IP address"),
            (["--site-dir", "/d", "--admin", "5673"], "HOST:PORT"),
            (["--site-dir", "/d", "--loops", "9"], "0 to 8"),
            (["--site-dir", "/d", "--log-level", "loud"], "loud"),
            (
                [
                    "--sidecar", "--gateways", "g:1", "--credentials", "/k", "--listen",
                    "a=127.0.0.1:1",
                ],
                "ADDRESS/PORTNAME"
            ),
            (
                [
                    "--sidecar", "--gateways", "g:1", "--credentials", "/k", "--listen",
                    "a/b=host:1",
                ],
                "not an IP address"
            ),
        ]
    )
    func wrong(arguments: [String], part: String) {
        do {
            _ = try options(arguments)
            Issue.record("accepted: \(arguments)")
        } catch {
            #expect(ProxyCommand.Run.message(for: error).contains(part))
        }
    }
}
