import DevnodeCore
import Glibc
import KubernetesAPI
import NetworkModel
import Telemetry

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
            if let instance = await start(container) {
                code = await context.processes.exitCode(of: instance.pid)
                await ended(container, instance, code)
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

    private func start(_ container: Core.Container) async -> Instance? {
        while !isStopping {
            do {
                return try await launch(container)
            } catch let problem as ConfigurationProblem {
                update(container.name) {
                    $0.state = .waiting("CreateContainerConfigError", problem.description)
                }
                await pause(.seconds(60))
            } catch let unknown as UnknownImage {
                update(container.name) { $0.state = .waiting("ErrImagePull", unknown.message) }
                return nil
            } catch {
                update(container.name) { $0.state = .waiting("RunContainerError", "\(error)") }
                return nil
            }
        }
        return nil
    }

    /// An image that the node does not have.
    private struct UnknownImage: Error {
        let message: String
    }

    private func launch(_ container: Core.Container) async throws -> Instance {
        guard let attachment else { throw ConfigurationProblem("no network") }
        let name = container.image ?? ""
        guard let image = context.options.images.images[name] else {
            throw UnknownImage(message: "image \"\(name)\" is not on this node")
        }
        let number = record(container.name)?.restarts ?? 0
        let id = "\(pod.metadata.uid ?? pod.metadata.name)-\(container.name)-\(number)"
        let bundle = try context.runtime.makeBundle(id, of: image)
        do {
            let command = ContainerCommand(
                pod: pod,
                container: container,
                image: image,
                volumes: volumes,
                references: context.references,
                base: base
            )
            let pid = try await run(
                command.spec(in: bundle, network: attachment.network, runtime: context.runtime),
                of: container,
                in: bundle
            )
            return began(container, Instance(pid: pid, number: number, bundle: bundle))
        } catch {
            await context.runtime.remove(bundle)
            throw error
        }
    }

    private func run(
        _ spec: ContainerSpec,
        of container: Core.Container,
        in bundle: Runtime.Bundle
    ) async throws -> pid_t {
        let logs = "\(context.options.state)/logs/\(pod.key)"
        try Files.makeDirectory(logs)
        let output = try Files.appending("\(logs)/\(container.name).log")
        defer { close(output) }
        return try await context.runtime.start(bundle, spec, output: output) {
            !self.isStopping
        }
    }

    private func began(_ container: Core.Container, _ instance: Instance) -> Instance {
        var instance = instance
        update(container.name) {
            $0.state = .running(since: Timestamp(seconds: instance.startedAt.seconds))
            $0.id = instance.bundle.id
        }
        instance.probes = Task { await self.probe(container, number: instance.number) }
        instances[container.name] = instance
        try? Files.write("\(instance.pid)\n", to: "\(folder)/\(container.name).pid")
        // The pod's end came while the container began, and found nobody to tell.
        if let deadline { kill(instance.pid, deadline > .now ? SIGTERM : SIGKILL) }
        return instance
    }

    private func ended(
        _ container: Core.Container,
        _ instance: Instance,
        _ code: Int32
    ) async {
        instances[container.name] = nil
        instance.probes?.cancel()
        unsafe unlink("\(folder)/\(container.name).pid")
        let isShortOfMemory = context.runtime.wasShortOfMemory(instance.bundle)
        await context.runtime.remove(instance.bundle)
        update(container.name) {
            $0.ready = false
            $0.started = false
            $0.state = .terminated(
                exitCode: code,
                isShortOfMemory: isShortOfMemory,
                startedAt: Timestamp(seconds: instance.startedAt.seconds),
                finishedAt: Timestamp(seconds: Timestamp.now().seconds)
            )
        }
    }
}
