import NetworkModel

// Flooding: what neighbors say, and what they still have to be told.

extension RoutingInstance {
    /// False for one that comes too soon, which is not acknowledged.
    mutating func receive(
        _ signed: SignedLSA,
        from neighbor: ProxyID,
        at now: Instant,
        wall: Int64
    ) -> Bool {
        let header = signed.lsa.header
        guard database.isNews(header) else {
            if header.key.origin != origin { receiveKnown(header, from: neighbor) }
            return true
        }
        // Ours comes back: a newer one than we made must be overtaken.
        guard header.key.origin != origin else {
            origination.overtake(header.sequence, at: now)
            return true
        }
        guard pace.take(header.key, isHeld: database[header.key] != nil, at: now) else {
            return false
        }
        accept(signed, from: neighbor, at: now, wall: wall)
        return true
    }

    mutating func receiveKnown(_ header: LSAHeader, from neighbor: ProxyID) {
        let held = database.sequence(header.key)
        withQueue(to: neighbor) { $0.acknowledge(header, newest: held) }
        // The neighbor lives in the past: send what is newer.
        if let held, held > header.sequence { offer(header.key, to: neighbor) }
    }

    mutating func accept(
        _ signed: SignedLSA,
        from neighbor: ProxyID?,
        at now: Instant,
        wall: Int64
    ) {
        let old = database[signed.lsa.key]?.lsa
        switch database.insert(signed, at: now, wall: wall) {
        case .accepted: break
        case .outdated:
            outdated += 1
            return
        case .known, .refused: return
        }
        for other in adjacencies.keys where other != neighbor {
            withQueue(to: other) { $0.enqueue(signed.lsa.key) }
        }
        guard let neighbor else { return }
        withQueue(to: neighbor) {
            $0.acknowledge(signed.lsa.header, newest: signed.lsa.sequence)
        }
        learn(signed.lsa, old)
    }

    /// Notes what a new LSA changes, compared with the one that it replaces.
    mutating func learn(_ lsa: LSA, _ old: LSA?) {
        if lsa.fragment == 0, lsa.fragmentCount != old?.fragmentCount {
            reindex(lsa.origin)
        } else if lsa.fragment < database.first(of: lsa.origin)?.fragmentCount ?? 0 {
            markStale(index.set(lsa.key, lsa.services), at: lsa.origin.site)
        }
        noteLoads(lsa.loads, old?.loads ?? [])
        reindexGone()
        if lsa.fragment == 0 && lsa.fragmentCount != old?.fragmentCount
            || lsa.edges != old?.edges || lsa.overload != old?.overload
            || lsa.displayName != old?.displayName || lsa.agreementKey != old?.agreementKey
            || lsa.predecessors != old?.predecessors ?? []
            || lsa.serviceCosts != old?.serviceCosts ?? []
        {
            staleOrigins.insert(lsa.origin)
            requestPaths()
        } else if !staleTargets.isEmpty {
            schedule.request()
        }
    }

    private mutating func noteLoads(_ new: [LSALoad], _ old: [LSALoad]) {
        guard new != old else { return }
        for load in Set(new).symmetricDifference(old) where index.interest.includes(load.service) {
            changedLoads.insert(load.service)
        }
    }

    mutating func reindex(_ origin: ProxyID) {
        guard origin != self.origin else { return }
        markStale(index.set(origin, database.advertisements(of: origin)), at: origin.site)
    }

    mutating func reindexGone() {
        for origin in database.takeGone() {
            reindex(origin)
            staleOrigins.insert(origin)
            arePathsStale = true
        }
    }

    mutating func acknowledge(_ headers: [LSAHeader], from neighbor: ProxyID) {
        for header in headers {
            let newest = database.sequence(header.key)
            withQueue(to: neighbor) { $0.acknowledge(header, newest: newest) }
        }
    }

    /// Queues what the neighbor lacks in the summary's range, and gives what it has and we lack.
    mutating func compare(_ summary: LSASummary, with neighbor: ProxyID) -> [LSAKey] {
        var theirs: [LSAKey: UInt64] = [:]
        var wanted: [LSAKey] = []
        for header in summary.headers where summary.covers(header.key) {
            theirs[header.key] = header.sequence
            if header.key.origin != origin, database.isNews(header) { wanted.append(header.key) }
        }
        for header in database.headers(of: connected) where summary.covers(header.key) {
            if header.sequence > theirs[header.key] ?? 0 { offer(header.key, to: neighbor) }
        }
        return wanted.sorted()
    }

    /// Queues what the neighbor says that it lacks, unless that is on its way: whoever asks again and again is not sent more.
    mutating func offer(_ key: LSAKey, to neighbor: ProxyID) {
        guard let newest = database.sequence(key) else { return }
        withQueue(to: neighbor) { queue in
            if !queue.isOnItsWay(key, newest) { queue.enqueue(key) }
        }
    }

    /// The database in pieces; origins out of reach are left out of `headers`, so that they can be forgotten everywhere.
    mutating func summaries(_ headers: [LSAHeader]) -> [LSASummary] {
        var pieces: [LSASummary] = []
        var after: LSAKey?
        var start = 0
        repeat {
            let end = min(start + RoutingLimits.headersPerMessage, headers.count)
            let isLast = end == headers.count
            let through = isLast ? nil : headers[end - 1].key
            summaryNumber &+= 1
            pieces.append(
                LSASummary(
                    number: summaryNumber,
                    after: after,
                    through: through,
                    headers: Array(headers[start..<end])
                )
            )
            after = through
            start = end
        } while start < headers.count
        return pieces
    }
}
