import DevnodeCore
import Glibc
import KubernetesAPI

extension PodWorker {
    /// Starts a container, again and again as its restart policy says.
    func supervise(_ container: Core.Container) async {
        var backoff = RestartBackoff(
            initial: context.options.restartDelay,
            limit: context.options.restartLimit
        )
        while !isStopping {
            let began = ContinuousClock.now
            var code: Int32 = 128
            if let pid = await start(container) {
                code = await context.processes.exitCode(of: pid)
                await ended(container, code)
            }
            guard !isStopping, restarts(container, after: code) else { break }
            let wait = backoff.next(afterRunning: began.duration(to: .now))
            if let terminated = record(container.name)?.state.terminated {
                update(container.name) {
                    $0.lastState = Core.ContainerState { $0.terminated = terminated }
                    $0.state = .waiting("CrashLoopBackOff", "back-off \(wait) restarting")
                    $0.restarts += 1
                }
            }
            let end = ContinuousClock.now + wait
            while !isStopping, ContinuousClock.now < end {
                await pause(ContinuousClock.now.duration(to: end))
            }
        }
        update(container.name) { $0.hasEnded = true }
    }

    private func restarts(_ container: Core.Container, after code: Int32) -> Bool {
        if container.isSidecar { return true }
        let isInit = pod.spec.initContainers.contains { $0.name == container.name }
        switch pod.spec.restartPolicy {
        case "Never": return false
        case "OnFailure": return code != 0
        default: return isInit ? code != 0 : true
        }
    }

    private func start(_ container: Core.Container) async -> pid_t? {
        while !isStopping {
            do {
                return try launch(container)
            } catch let problem as ConfigurationProblem {
                update(container.name) {
                    $0.state = .waiting("CreateContainerConfigError", problem.description)
                }
                await pause(.seconds(60))
            } catch let unknown as ContainerCommand.UnknownImage {
                update(container.name) { $0.state = .waiting("ErrImagePull", unknown.message) }
                return nil
            } catch {
                update(container.name) { $0.state = .waiting("RunContainerError", "\(error)") }
                return nil
            }
        }
        return nil
    }

    private func launch(_ container: Core.Container) throws -> pid_t {
        guard let attachment else { throw ConfigurationProblem("no network") }
        let number = record(container.name)?.restarts ?? 0
        let command = ContainerCommand(
            options: context.options,
            pod: pod,
            container: container,
            volumes: volumes,
            references: context.references,
            base: base,
            number: number
        )
        let logs = "\(context.options.state)/logs/\(pod.key)"
        try Files.makeDirectory(logs)
        let output = try Files.appending("\(logs)/\(container.name).log")
        defer { close(output) }
        let pid = try context.processes.spawn(
            command.make(network: attachment.network, output: output)
        )
        let now = Timestamp.now
        instances[container.name] = Instance(
            pid: pid,
            number: number,
            startedAt: now,
            began: .now
        )
        try? Files.write("\(pid)\n", to: "\(folder)/\(container.name).pid")
        update(container.name) {
            $0.state = .running(since: Timestamp(seconds: now.seconds))
            $0.id = "\(pid)"
        }
        let probes = Task { await self.probe(container, number: number) }
        instances[container.name]?.probes = probes
        return pid
    }

    private func ended(_ container: Core.Container, _ code: Int32) async {
        let instance = instances.removeValue(forKey: container.name)
        instance?.probes?.cancel()
        unsafe unlink("\(folder)/\(container.name).pid")
        let now = Timestamp(seconds: Timestamp.now.seconds)
        let began = instance?.startedAt ?? now
        update(container.name) {
            $0.ready = false
            $0.started = false
            $0.state = .terminated(
                exitCode: code,
                startedAt: Timestamp(seconds: began.seconds),
                finishedAt: now
            )
        }
    }
}
