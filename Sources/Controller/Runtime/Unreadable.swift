import FoundationEssentials
import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import NetworkAPI
import NetworkModel
import StatusSummaries
import Telemetry

/// An object that does not decode: what can be said of it all the same.
///
/// The schema lets no such object in; it may have been stored under an older or a newer one.
struct Unreadable<Kind: NetworkObject>: NetworkObject {
    static var resource: Resource { Kind.resource }

    var metadata: ObjectMeta
    var status: Kind.Status

    init(_ found: Undecodable) {
        metadata = found.metadata
        status = found.status()
    }
}

extension Undecodable {
    /// Its status, as far as that decodes: field by field.
    fileprivate func status<Status: NetworkStatus>(as _: Status.Type = Status.self) -> Status {
        Status(soundFieldsOf: content["status"]?.object ?? [:])
    }
}

extension Site {
    /// What is known of a Site that does not decode: whose it is, and how old.
    init(standingInFor found: Undecodable) {
        self.init(metadata: found.metadata, status: found.status())
        spec.controllerName = found.content["spec"]?["controllerName"]?.string
    }
}

/// Builds the status of an object that does not decode, from its metadata and what it said before.
enum UnreadableSummary {
    static func make<Kind: NetworkObject>(
        _ object: Unreadable<Kind>,
        problem: String,
        at now: Timestamp
    ) -> Kind.Status {
        var status = object.status
        var writer = ConditionWriter(of: object, at: now)
        status.observedGeneration = object.metadata.generation
        writer.set(
            .accepted,
            .no,
            .invalid,
            "this version of Tieline does not understand the object: \(problem); what was last understood of it "
                + "stays in force: correct the field"
        )
        writer.summarize([.accepted], stalls: [.invalid])
        status.take(writer.conditions)
        return status
    }
}

extension Shared {
    /// Tells an object that it is not understood.
    func report<Kind: NetworkObject>(
        _ found: Undecodable,
        as _: Kind.Type
    ) async throws(APIError) -> ReconcileResult where Kind.Status: CountingStatus {
        guard !found.metadata.isTerminating else { return .done }
        let object = Unreadable<Kind>(found)
        let status = UnreadableSummary.make(object, problem: found.problem, at: .now())
        do {
            if case .wait(let time) = try await statuses.write(status, to: object).outcome {
                return .again(after: time)
            }
        } catch .decoding {
            // It is written; what does not decode may stand in the status itself.
        }
        return .done
    }
}
