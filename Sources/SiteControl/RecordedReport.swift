import Balancing
import NetworkModel
import ProxyContract

// How a service stands, as it is written down.

extension ServiceReport: Recorded {
    struct Form: Codable {
        var service: ServicePort
        var targets: [Target.Form]
        var states: [TargetState.Form]
        var hasTarget: Bool
        var usableServers: UInt32
        var load: UInt64?
        var hasDoubt: Bool
        var ownServers: [Endpoint.Form]
        var isIdle: Bool
        var ownCounts: [String: UInt64]
        var counters: ServiceCounters
        var records: [FailoverRecord.Form]
    }

    var form: Form {
        Form(
            service: service,
            targets: targets.map(\.form),
            states: states.map(\.form),
            hasTarget: hasTarget,
            usableServers: usableServers,
            load: load == 0 ? nil : load,
            hasDoubt: hasDoubt,
            ownServers: ownServers.map(\.form),
            isIdle: isIdle,
            ownCounts: Dictionary(uniqueKeysWithValues: ownCounts.map { ($0.text, $1) }),
            counters: counters,
            records: records.map(\.form)
        )
    }

    init(form: Form) throws {
        self.init(form.service)
        targets = try form.targets.map(Target.init(form:))
        states = try form.states.map(TargetState.init(form:))
        hasTarget = form.hasTarget
        usableServers = form.usableServers
        load = form.load ?? 0
        hasDoubt = form.hasDoubt
        ownServers = try form.ownServers.map(Endpoint.init(form:))
        isIdle = form.isIdle
        for (site, count) in form.ownCounts {
            ownCounts[try SiteID(site).needed("site")] = count
        }
        counters = form.counters
        records = try form.records.map(FailoverRecord.init(form:))
    }
}

extension Target: Recorded {
    struct Form: Codable {
        var site: SiteID
        var reach: String
        var cost: PathCost?
        var endpoints: UInt32?
        /// The doubt of a last resort, or why the target is absent.
        var reason: String?
    }

    var form: Form {
        switch reach {
        case .usable(let cost, let endpoints):
            Form(site: site, reach: "usable", cost: cost, endpoints: endpoints)
        case .lastResort(let cost, let endpoints, let doubt):
            Form(
                site: site,
                reach: "lastResort",
                cost: cost,
                endpoints: endpoints,
                reason: doubt?.rawValue
            )
        case .absent(let reason): Form(site: site, reach: "absent", reason: reason.rawValue)
        }
    }

    init(form: Form) throws {
        let reason = form.reason.flatMap { FailoverReason(written: $0) }
        let reach: Reach
        switch form.reach {
        case "usable":
            reach = .usable(
                cost: try form.cost.needed("cost"),
                endpoints: try form.endpoints.needed("endpoints")
            )
        case "lastResort":
            reach = .lastResort(
                cost: try form.cost.needed("cost"),
                endpoints: try form.endpoints.needed("endpoints"),
                doubt: reason
            )
        default: reach = .absent(try reason.needed("reason"))
        }
        self.init(site: form.site, reach: reach)
    }
}

extension TargetState: Recorded {
    struct Form: Codable {
        var target: Target.Form
        var condition: String
        var reason: String?
        var until: UInt64?
        var givenCost: PathCost?
        var tier: Int?
        var own: UInt64
        var others: UInt64
    }

    var form: Form {
        var form = Form(target: target.form, condition: "usable", own: own, others: others)
        (form.givenCost, form.tier) = (givenCost, tier == 0 ? nil : tier)
        switch condition {
        case .usable: break
        case .ejected(let reason, let until):
            (form.condition, form.reason) = ("ejected", reason.rawValue)
            form.until = until.nanoseconds
        case .doubtful(let reason):
            (form.condition, form.reason) = ("doubtful", reason.rawValue)
        case .excluded(let exclusion):
            (form.condition, form.reason) = ("excluded", exclusion.rawValue)
        case .absent(let reason): (form.condition, form.reason) = ("absent", reason.rawValue)
        }
        return form
    }

    init(form: Form) throws {
        func reason() throws -> FailoverReason {
            try FailoverReason(written: form.reason.needed("reason")).needed("reason")
        }
        let condition: Condition
        switch form.condition {
        case "usable": condition = .usable
        case "ejected":
            let until = Instant(nanoseconds: try form.until.needed("time"))
            condition = .ejected(try reason(), until: until)
        case "doubtful": condition = .doubtful(try reason())
        case "excluded":
            let exclusion = PolicyExclusion(rawValue: try form.reason.needed("reason"))
            condition = .excluded(try exclusion.needed("reason"))
        default: condition = .absent(try reason())
        }
        self.init(
            target: try Target(form: form.target),
            condition: condition,
            givenCost: form.givenCost,
            tier: form.tier ?? 0,
            own: form.own,
            others: form.others
        )
    }
}

extension FailoverRecord: Recorded {
    struct Form: Codable {
        var sequence: UInt64
        var service: ServicePort
        var from: SiteID
        var to: SiteID
        var reason: String
        var at: UInt64
        var lost: UInt32
        var resumed: UInt32
        var nanoseconds: Int64
    }

    var form: Form {
        Form(
            sequence: sequence,
            service: service,
            from: from,
            to: to,
            reason: reason.rawValue,
            at: at.nanoseconds,
            lost: lost,
            resumed: resumed,
            nanoseconds: duration.wholeNanoseconds
        )
    }

    init(form: Form) throws {
        self.init(
            sequence: form.sequence,
            service: form.service,
            from: form.from,
            to: form.to,
            reason: try FailoverReason(written: form.reason).needed("reason"),
            at: Instant(nanoseconds: form.at),
            lost: form.lost,
            resumed: form.resumed,
            duration: .nanoseconds(form.nanoseconds)
        )
    }
}
