import FoundationEssentials
import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import NetworkAPI
import NetworkModel
import ProxyContract
import Synchronization

/// Reads the parts of a configuration that a head names and the gateway does not have.
///
/// Only those are asked for, each by its name. Until all are there the gateway keeps what it has.
struct PartSource: Sendable {
    let keeper: ConfigurationKeeper
    /// Where to ask; nil when there is only a mounted head.
    let server: (client: KubernetesClient, namespace: String)?

    /// A part that is not there as named is mostly one that was replaced: the next head is on its way.
    static let backoff = Backoff(base: .milliseconds(200), maximum: .seconds(5), jitter: 0.5)
    /// How many failures in a row are silent.
    private static let patience = 2

    /// Follows the keeper's heads until the task is canceled.
    func run() async {
        let retries = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        await withDiscardingTaskGroup { group in
            group.addTask {
                for await _ in keeper.partNews { retries.continuation.yield() }
            }
            var attempts = Attempts()
            for await _ in retries.stream {
                guard let wait = await read(&attempts) else { continue }
                group.addTask {
                    guard (try? await Task.sleep(for: wait)) != nil else { return }
                    retries.continuation.yield()
                }
            }
            group.cancelAll()
        }
    }

    private struct Attempts {
        var generation: UInt64?
        var backoff = PartSource.backoff
    }

    /// Reads what is missing now; how long to wait before the next attempt, or nil when nothing is missing.
    private func read(_ attempts: inout Attempts) async -> Duration? {
        let missing = keeper.missing
        guard let first = missing.first else { return nil }
        if attempts.generation != first.generation {
            attempts = Attempts(generation: first.generation)
        }
        var problem: String?
        for part in missing {
            do {
                keeper.take(try await bytes(of: part), for: part)
            } catch {
                problem = "\(error)"
            }
        }
        // Another head may be the newest by now; its news are waiting.
        guard keeper.missing.first?.generation == first.generation else { return nil }
        if attempts.backoff.failures >= Self.patience, let problem { keeper.report(problem) }
        return attempts.backoff.next()
    }

    private func bytes(of part: ConfigurationKeeper.MissingPart) async throws -> Data {
        let name = ChildName.configurationPart(part.index)
        let what = "the Secret \(name), which holds a part of the configuration \(part.generation),"
        guard let server else {
            throw ConfigurationProblem("\(what) cannot be read: there is no API server to ask")
        }
        let secret: Core.Secret?
        do {
            secret = try await server.client.find(
                Core.Secret.self,
                ObjectKey(namespace: server.namespace, name: name)
            )
        } catch {
            throw ConfigurationProblem("\(what) cannot be read: \(error)")
        }
        guard let secret else { throw ConfigurationProblem("\(what) is not there") }
        guard let bytes = secret.data[ConfigurationPart.fileName(part.digest)] else {
            throw ConfigurationProblem("\(what) holds another content than the configuration names")
        }
        return bytes
    }
}
