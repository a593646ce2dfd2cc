import DevnodeCore
import Glibc
import KubernetesAPI
import Logging

extension PodWorker {
    private enum Purpose {
        case startup, readiness, liveness
    }

    /// Probes one start of a container until it ends.
    func probe(_ container: Core.Container, number: Int32) async {
        if let startup = container.startupProbe {
            await ask(startup, .startup, of: container, number: number)
            guard isCurrent(container, number), record(container.name)?.started == true else {
                return
            }
        } else {
            update(container.name) { $0.started = true }
        }
        if container.readinessProbe == nil { update(container.name) { $0.ready = true } }
        await withDiscardingTaskGroup { group in
            if let readiness = container.readinessProbe {
                group.addTask {
                    await self.ask(readiness, .readiness, of: container, number: number)
                }
            }
            if let liveness = container.livenessProbe {
                group.addTask { await self.ask(liveness, .liveness, of: container, number: number) }
            }
        }
    }

    private func isCurrent(_ container: Core.Container, _ number: Int32) -> Bool {
        !Task.isCancelled && instances[container.name]?.number == number
    }

    private func ask(
        _ probe: Core.Probe,
        _ purpose: Purpose,
        of container: Core.Container,
        number: Int32
    ) async {
        guard let address = summary.podIPs.first else { return }
        var machine = ProbeMachine(probe)
        // A first liveness probe in the very moment of the start would find nothing alive yet.
        let extra = purpose == .liveness ? machine.period : .zero
        try? await Task.sleep(for: machine.initialDelay + extra)
        var last = ContinuousClock.now
        while isCurrent(container, number) {
            let success = await context.prober.check(probe, of: container, at: address)
            guard isCurrent(container, number) else { return }
            let now = ContinuousClock.now
            let verdict = machine.record(success: success, after: last.duration(to: now))
            last = now
            if act(on: verdict, purpose, probe, container, number) { return }
            try? await Task.sleep(for: machine.interval)
        }
    }

    /// Draws the consequence of a verdict; true when there is nothing more to ask.
    private func act(
        on verdict: ProbeMachine.Verdict,
        _ purpose: Purpose,
        _ probe: Core.Probe,
        _ container: Core.Container,
        _ number: Int32
    ) -> Bool {
        switch (purpose, verdict) {
        case (_, .undecided):
            return false
        case (.startup, .passing):
            update(container.name) { $0.started = true }
            return true
        case (.readiness, _):
            update(container.name) { $0.ready = verdict == .passing }
            return false
        case (.liveness, .passing):
            return false
        case (.startup, .failing), (.liveness, .failing):
            // A pod that is ending is not restarted; its grace is its own.
            guard !isStopping else { return true }
            restart(container, number, grace: probe.terminationGracePeriodSeconds)
            return true
        }
    }

    private func restart(_ container: Core.Container, _ number: Int32, grace seconds: Int64?) {
        context.logger.info("\(pod.key): \(container.name) fails its probe and is restarted")
        signal(container.name, SIGTERM)
        let wait = seconds.map { Duration.seconds($0) } ?? grace
        Task {
            try? await Task.sleep(for: wait)
            if self.instances[container.name]?.number == number {
                self.signal(container.name, SIGKILL)
            }
        }
    }
}
