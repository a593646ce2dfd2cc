import NetworkModel

/// What a configuration has to hold beyond its types, checked whenever one is decoded.
///
/// The compile step makes no other; but a Secret or a file may have been edited, or be of another version, and a proxy keeps
/// what it applied for its next start. So nothing is applied that a part of the proxy could stumble over.
package struct ConfigurationProblem: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

extension SiteConfiguration {
    package static let loopsRange = 0...64
    /// Below it a proxy could hardly carry a connection.
    package static let memoryBudgetMinimum: UInt64 = 16 << 20

    func validate() throws(ConfigurationProblem) {
        guard Self.loopsRange.contains(loops) else {
            throw ConfigurationProblem("loops is \(loops), not \(Self.loopsRange.inWords)")
        }
        if let memoryBudget, memoryBudget < Self.memoryBudgetMinimum {
            throw ConfigurationProblem("memoryBudget is \(memoryBudget) bytes, not at least 16 MiB")
        }
        try health.validate("health")
        try checkDuration(drain.delay, "drain.delay")
        try checkDuration(drain.grace, "drain.grace")
        try checkUnique(links.map(\.name.text), "links")
        for link in links { try link.validate() }
        try checkUnique(services.map(\.name), "services")
        try checkUnique(services.map(\.address.text), "addresses of services")
        for service in services { try service.validate() }
    }
}

extension HealthParameters {
    func validate(_ place: String) throws(ConfigurationProblem) {
        guard HeartbeatLimits.interval.contains(heartbeat) else {
            throw ConfigurationProblem("\(place).heartbeat is \(heartbeat), not 10 ms to 60 s")
        }
        guard HeartbeatLimits.misses.contains(misses) else {
            throw ConfigurationProblem(
                "\(place).misses is \(misses), not \(HeartbeatLimits.misses.inWords)"
            )
        }
    }
}

extension LinkConfiguration {
    func validate() throws(ConfigurationProblem) {
        let place = "link \(name)"
        guard !endpoints.isEmpty else { throw ConfigurationProblem("\(place) has no endpoint") }
        for endpoint in endpoints {
            guard !endpoint.host.isEmpty else {
                throw ConfigurationProblem("\(place) has an endpoint without a host")
            }
            try checkPort(endpoint.port, "an endpoint of \(place)")
        }
        try health.validate("\(place): health")
        if let resumeGrace, !ResumeGrace.range.contains(resumeGrace) {
            throw ConfigurationProblem("\(place): resumeGrace is \(resumeGrace), not 1 s to 5 min")
        }
    }
}

extension ServiceConfiguration {
    func validate() throws(ConfigurationProblem) {
        let place = "service \(name)"
        try checkUnique(ports.map(\.name.text), "ports of \(place)")
        for port in ports {
            try checkPort(port.port, "port \(port.name) of \(place)")
            try checkPort(port.targetPort, "the target of port \(port.name) of \(place)")
            guard let listen = port.listen else { continue }
            try checkPort(listen.port, "the listener of port \(port.name) of \(place)")
            if let host = listen.host, IPAddress(host) == nil {
                throw ConfigurationProblem(
                    "the listener of port \(port.name) of \(place) has \"\(host)\", which is not an IP address"
                )
            }
        }
        if case .hosts(let hosts)? = provider, hosts.contains("") {
            throw ConfigurationProblem("\(place) has an empty host")
        }
        guard timeouts.connect > .zero else {
            throw ConfigurationProblem("timeouts.connect of \(place) is zero")
        }
        try checkDuration(timeouts.connect, "timeouts.connect of \(place)")
        try checkDuration(timeouts.idle, "timeouts.idle of \(place)")
        try checkDuration(timeouts.halfClosed, "timeouts.halfClosed of \(place)")
        if let slowStart = balancing?.slowStart {
            try checkDuration(slowStart, "balancing.slowStart of \(place)")
        }
    }
}

/// The loops' timers hold ten years with ease.
private func checkDuration(_ value: Duration, _ what: String) throws(ConfigurationProblem) {
    let limit = Duration.seconds(10 * 366 * 24 * 3600)
    guard (.zero...limit).contains(value) else {
        throw ConfigurationProblem("\(what) is \(value), not between zero and ten years")
    }
}

private func checkPort(_ port: UInt16, _ what: String) throws(ConfigurationProblem) {
    if port == 0 { throw ConfigurationProblem("\(what) has the port 0") }
}

func checkUnique(_ names: [String], _ what: String) throws(ConfigurationProblem) {
    var seen: Set<String> = []
    for name in names where !seen.insert(name).inserted {
        throw ConfigurationProblem("two \(what) have the name \"\(name)\"")
    }
}

extension ClosedRange<Int> {
    fileprivate var inWords: String { "\(lowerBound) to \(upperBound)" }
}
