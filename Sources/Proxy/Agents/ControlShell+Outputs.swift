import Logging
import NetworkModel
import Routing
import SiteControl
import Synchronization
import TLS
import Telemetry
import Wire

// What the control says has to be done.

extension ControlShell {
    func carryOut(_ output: ControlOutput) {
        switch output {
        case .dial, .admit, .refuse, .close, .retire, .retime, .send: carryOutOnLane(output)
        case .listenForLanes(let ports): core.tellAgents { $0.setLanePorts(ports) }
        case .listenForClients(let listeners):
            core.tellAgents { $0.setClientListeners(listeners) }
        case .resolve, .sign, .verify, .report, .measure: answer(output)
        case .updateService(let key, let update): services.update(key, update)
        case .setOthers(let key, let counts): services.setOthers(key, counts)
        case .setElsewhere(let key, let counts): services.setElsewhere(key, counts)
        case .forgetService(let key): services.forget(key)
        case .publishView(let number, let refusesStreams, let listeners):
            self.refusesStreams = refusesStreams
            publishView(with: listeners) { $0.feed(.viewSeen(number)) }
        case .agree(let gateways):
            guard keys.update(gateways, pause: { [loop] in loop.breathe() }) else { return }
            publishView(with: nil) { _ in }
        case .reset(let ports):
            let ended = Set(ports)
            core.tellAgents { $0.engine.reset(ended) }
        case .grants(let grants): core.grants.set(grants)
        case .revoked(let sites): core.tellAgents { $0.engine.endStreams(of: sites) }
        case .ended(let proxies): core.tellAgents { $0.engine.proxiesEnded(proxies) }
        case .snapshot(let snapshot): snapshots.offer(snapshot)
        case .ready(let isReady): snapshots.setReady(isReady)
        case .health(let health): core.setHealth(health)
        case .memoryBudget(let bytes): memory.set(configured: bytes)
        case .account(let site, let change): account(site, change)
        case .log(let text): logger.warning("\(text)")
        case .note(let text): logger.info("\(text)")
        }
    }

    private func carryOutOnLane(_ output: ControlOutput) {
        switch output {
        case .dial(let order): core.tellAgent(order.loop) { $0.dial(order) }
        case .admit(let id, let loop, let destination, let hello):
            core.tellAgent(loop) { $0.decide(id, .admitted(loop: destination, hello)) }
        case .refuse(let id, let loop, let closing):
            core.tellAgent(loop) { $0.decide(id, .refused(closing)) }
        case .close(let id, let loop?, let closing):
            core.tellAgent(loop) { $0.close(id, closing) }
        case .close(let id, nil, let closing): core.tellAgents { $0.close(id, closing) }
        case .retire(let id, let loop): core.tellAgent(loop) { $0.retire(id) }
        case .retime(let id, let hello): core.tellAgents { $0.retime(id, hello) }
        case .send(let type, let payload, let id, let loop):
            core.tellAgent(loop) { $0.send(type, payload, on: id) }
        default: break
        }
    }

    /// What is answered with an input.
    private func answer(_ output: ControlOutput) {
        switch output {
        case .resolve(let question):
            resolver.resolve(question.host, replyTo: loop.mailbox) { loop, result in
                loop.local(ControlShell.self)?.feed(.resolved(question, Answer(result)))
            }
        case .sign(let lsa):
            do {
                let credentials = core.current.context.credentials
                feed(.signed(try authority.sign(lsa, with: credentials)))
            } catch {
                logger.warning("cannot sign an LSA: \(error)")
            }
        case .verify(let bytes):
            do {
                feed(.verified(try authority.verify(bytes, at: Timestamp.now().seconds)))
            } catch {
                feed(.disbelieved("\(error)"))
            }
        case .report: services.markChanged()
        case .measure: measure()
        default: break
        }
    }

    /// Gives every loop all that it needs for streams, and with it other listeners if there are any; `seen` is called once every loop
    /// has it.
    private func publishView(
        with listeners: [ClientListener]?,
        _ seen: @escaping @Sendable (ControlShell) -> Void
    ) {
        let view = DataPlaneView(
            proxy: core.id,
            isSidecar: core.isSidecar,
            services: services.entries,
            keys: keys.ring,
            // Whoever has not heard of the drain yet is still served.
            isDraining: refusesStreams
        )
        let rest = Atomic(core.loops)
        let core = core
        core.tellAgents { agent in
            // Clients that wait where a listener ends are for services of the view before.
            if let listeners { agent.setClientListeners(listeners) }
            agent.engine.update(view)
            guard rest.wrappingSubtract(1, ordering: .relaxed).newValue == 0 else { return }
            core.tellControl(seen)
        }
    }

    private func account(_ site: SiteID, _ change: AccountChange) {
        switch change {
        case .lanes(let count): core.accounts.account(of: site).set(.lanes, to: count)
        case .proxies(let count): core.accounts.account(of: site).set(.instances, to: count)
        case .deniedLane: core.accounts.account(of: site).deny(.lanes)
        case .deniedProxy: core.accounts.account(of: site).deny(.instances)
        case .services(let count): core.accounts.known(site)?.set(.services, to: count)
        case .deniedServices: core.accounts.known(site)?.deny(.services)
        }
    }
}
