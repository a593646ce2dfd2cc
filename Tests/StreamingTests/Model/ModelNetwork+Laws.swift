import Balancing
import NetworkModel
import TestSupport
import Wire

@testable import Streaming

// What has to hold of every schedule, whatever it was.

extension ModelNetwork {
    /// What is wrong; nil while all laws hold.
    var broken: String? {
        if let failure { return failure }
        for owner in owners { if let broken = owner.broken { return broken } }
        for number in clients.indices { if let broken = brokenExchange(number) { return broken } }
        return nil
    }

    private func brokenExchange(_ number: Int) -> String? {
        let client = clients[number].client
        let own = servers.filter { $0.client == number }.map(\.socket)
        for server in own {
            // Laws 1 and 2, towards the server.
            if !client.words.starts(with: server.heard) { return "a server heard \(server.heard)" }
            if server.hasHeardEnd, server.heard != client.words || !client.hasGivenEnd {
                return "a server heard an end after \(server.heard.count) bytes"
            }
            if server.closedInOrder == true,
                client.heard != server.words || !client.hasHeardEnd
            {
                return "a server's exchange ended in order, and its client has \(client.heard)"
            }
        }
        // Law 3.
        if own.count(where: { !$0.heard.isEmpty }) > 1 { return "two servers heard the client" }
        // Laws 1 and 2, towards the client.
        let speakers = own.filter { $0.words.starts(with: client.heard) }
        if speakers.isEmpty, !client.heard.isEmpty { return "the client heard \(client.heard)" }
        let ended = speakers.filter { $0.words == client.heard && $0.hasGivenEnd }
        if client.hasHeardEnd, ended.isEmpty {
            return "the client heard an end after \(client.heard.count) bytes"
        }
        if client.closedInOrder == true,
            !ended.contains(where: { $0.heard == client.words && $0.hasHeardEnd })
        {
            return "the client's exchange ended in order, and no server has heard all"
        }
        return nil
    }

    /// What is left when nothing can happen any more (law 5); nil when nothing is.
    var left: String? {
        if let broken { return broken }
        if let owner = others.first { return "\(type(of: owner)) is left" }
        if let client = clients.first(where: { !$0.isGone }) {
            return "a client is left: \(client.state)"
        }
        if let side = sides.first(where: { $0.table.count > 0 }) {
            return "labels of side \(side.index)"
        }
        if pool.used > 0 { return "\(pool.used) bytes" }
        if index.count > 0 { return "\(index.count) names" }
        for (proxy, balancer) in endpoints where !balancer.openCounts.isEmpty {
            return "servers of \(proxy) are counted"
        }
        for server in servers where server.socket.closedInOrder == nil {
            return "a server's socket"
        }
        for client in clients where client.client.closedInOrder == false {
            // Whoever is cut off hears no orderly end, and whoever hears one is not cut off.
            if client.client.hasHeardEnd, client.client.hasGivenEnd, faultless {
                return "the client was reset after both ends"
            }
        }
        return nil
    }

    /// Nothing went wrong so far: no lane ended, nobody reset, and no time limit was over while something could happen.
    private var faultless: Bool {
        !wasHurried && sides.allSatisfy(\.isUp) && clients.allSatisfy { !$0.client.hasFailed }
            && servers.allSatisfy { !$0.socket.hasFailed }
    }

    /// Lets happen what can, in the order that `choose` says, until nothing can.
    ///
    /// Each time limit comes when nothing else can happen.
    func settle(_ choose: (Int) -> Int) -> String? {
        for _ in 0..<100_000 {
            let steps = steps
            if steps.isEmpty {
                guard nextDeadline != nil else { return left }
                perform(.deadline)
            } else {
                perform(steps[choose(steps.count)])
            }
            if let broken { return broken }
        }
        return "it never ends"
    }

    var fingerprint: [UInt64] {
        var words: [UInt64] = [nextDeadline == nil ? 0 : 1, UInt64(others.count)]
        for owner in owners {
            words += owner.fingerprint
            words += owner.ends.map { $0.side == nil ? 0 : UInt64($0.side?.index ?? 0) + 1 }
        }
        for (socket, _) in servers { words += socket.fingerprint }
        for side in sides {
            words += [UInt64(side.inbox.count), side.isWhole ? 1 : 0, side.isUp ? 1 : 0]
            for letter in side.inbox {
                guard case .frame(let frame) = letter else {
                    words.append(255)
                    continue
                }
                words += [UInt64(frame.type.rawValue), frame.name.number]
                words += [UInt64(frame.payload.count), UInt64(frame.payload.first ?? 0)]
                words += frame.payload.prefix(12).map { UInt64($0) }
            }
        }
        return words
    }
}
