import Injection
import KubernetesAPI
import NetworkAPI
import NetworkModel

let settings = SidecarSettings(namespace: "shop", image: "tieline-proxy:1", pullPolicy: nil)

func port(_ name: String, _ number: UInt16) -> OfferedService.Port {
    guard let name = PortName(name) else { preconditionFailure("no name of a port: \(name)") }
    return OfferedService.Port(name: name, number: number)
}

func offered(
    _ name: String,
    host: String? = nil,
    address: String? = nil,
    _ ports: OfferedService.Port...
) -> OfferedService {
    guard let address = ServiceAddress(address ?? name) else {
        preconditionFailure("no address: \(name)")
    }
    return OfferedService(name: name, host: host ?? name, address: address, ports: ports)
}

/// A Pod with one container, and what else its spec has.
func pod(
    _ more: [String: JSONValue] = [:],
    ports: [Int64] = [],
    annotations: [String: JSONValue] = [:]
) -> JSONValue {
    var spec = more
    spec["containers"] = [
        [
            "name": "app", "image": "shop:1", "somethingNew": ["kept": 1.5],
            "ports": .array(ports.map { ["containerPort": .integer($0)] }),
        ]
    ]
    return ["metadata": ["annotations": .object(annotations)], "spec": .object(spec)]
}

func inject(
    _ pod: JSONValue,
    _ services: OfferedService...,
    settings: SidecarSettings = settings
) throws -> PodInjection.Result {
    try PodInjection(services: services, settings: settings).inject(into: pod)
}

/// Why a Pod gets no sidecar; nil when it gets one.
func refusal(_ pod: JSONValue, _ services: OfferedService...) -> String? {
    do {
        _ = try PodInjection(services: services, settings: settings).inject(into: pod)
        return nil
    } catch { return error.description }
}

extension JSONValue {
    var initContainers: [JSONValue] { self["spec"]?["initContainers"]?.array ?? [] }
    var sidecar: JSONValue? { initContainers.first { $0["name"] == "tieline" } }
    var listeners: [String] {
        (sidecar?["args"]?.array ?? []).compactMap(\.string).filter { $0.hasPrefix("--listen=") }
    }
    var aliases: [JSONValue] { self["spec"]?["hostAliases"]?.array ?? [] }
    /// The address that the Pod gives to a name.
    func address(of host: String) -> String? {
        aliases.first { $0["hostnames"]?.array?.contains(.string(host)) ?? false }?["ip"]?.string
    }
}
