import DevnodeCore
import Glibc
import KubernetesAPI

/// Asks containers over the network, from the node, as the kubelet does.
struct Prober: Sendable {
    let node: NetworkNamespace

    /// Whether the probe's question is answered well within its time.
    func check(_ probe: Core.Probe, of container: Core.Container, at address: String) async -> Bool
    {
        let timeout = Duration.seconds(max(1, Int(probe.timeoutSeconds ?? 1)))
        if let action = probe.httpGet, let port = number(action.port, container) {
            let host = action.host ?? address
            let request = Self.request(action, host: host, port: port)
            return await attempt { Self.get(request, host: host, port: port, timeout: timeout) }
        }
        if let action = probe.tcpSocket, let port = number(action.port, container) {
            let host = action.host ?? address
            return await attempt {
                guard
                    let socket = try? Sockets.connect(address: host, port: port, timeout: timeout)
                else { return false }
                close(socket)
                return true
            }
        }
        return false
    }

    private func attempt(_ body: @escaping @Sendable () -> Bool) async -> Bool {
        (try? await node.perform(body)) ?? false
    }

    private func number(_ port: IntOrString, _ container: Core.Container) -> UInt16? {
        switch port {
        case .int(let number): UInt16(exactly: number)
        case .string(let name):
            container.ports.first { $0.name == name }.flatMap { UInt16(exactly: $0.containerPort) }
        }
    }

    private static func request(_ action: Core.HTTPGetAction, host: String, port: UInt16) -> String
    {
        var lines = ["GET \(action.path ?? "/") HTTP/1.1"]
        if !action.httpHeaders.contains(where: { $0.name.lowercased() == "host" }) {
            lines.append("Host: \(host.contains(":") ? "[\(host)]" : host):\(port)")
        }
        lines += ["User-Agent: kube-probe/devnode", "Accept: */*", "Connection: close"]
        lines += action.httpHeaders.map { "\($0.name): \($0.value)" }
        return lines.joined(separator: "\r\n") + "\r\n\r\n"
    }

    /// A status of 200...399 is success.
    private static func get(
        _ request: String,
        host: String,
        port: UInt16,
        timeout: Duration
    ) -> Bool {
        guard let socket = try? Sockets.connect(address: host, port: port, timeout: timeout) else {
            return false
        }
        defer { close(socket) }
        guard Sockets.send(Array(request.utf8), to: socket),
            let head = Sockets.receive(exactly: 12, from: socket)
        else { return false }
        // Taken in to the end: closing with unread bytes would be a reset at the server.
        var taken = head.count
        while taken < 64 * 1024, let more = Sockets.receive(from: socket, limit: 16 * 1024),
            !more.isEmpty
        {
            taken += more.count
        }
        let text = String(decoding: head, as: UTF8.self)
        guard text.hasPrefix("HTTP/1."), let status = Int(text.suffix(3)) else { return false }
        return (200..<400).contains(status)
    }
}
