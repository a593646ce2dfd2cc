import FoundationEssentials
import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import Logging
import NetworkAPI
import NetworkModel
import Telemetry

/// Carries out planned writes.
///
/// The client is fenced: a write by a process that does not lead any more fails before it is sent.
struct Writer: Sendable {
    let client: KubernetesClient
    let recorder: EventRecorder
    let logger: Logger

    /// Carries all of them out, deletions first: what is in the way goes before what takes its place.
    ///
    /// One that fails keeps none of the others from happening. Then the error is thrown that a further attempt may cure,
    /// or else the first.
    func carryOut(_ writes: [Write]) async throws(APIError) {
        var failure: APIError?
        for write in writes.filter(\.isDeletion) + writes.filter({ !$0.isDeletion }) {
            do {
                try await carryOut(write)
            } catch {
                // We do not lead any more, or are told to end: nothing else would get through either.
                if case .fenced = error { throw error }
                if error.isCancelled { throw error }
                if failure.map({ $0.isRefusal && !error.isRefusal }) ?? true { failure = error }
            }
        }
        if let failure { throw failure }
    }

    /// Carries out what a plan says for the children of `owner`; of what has gone nothing is made again for an owner that is gone too.
    ///
    /// The garbage collector may take a child before the watch tells of its owner's end. So where there were children before
    /// (`hadChildren`) the server is asked for the owner; while it cannot be read the last copy holds.
    func carryOut<Owner: KubernetesObject>(
        _ writes: [Write],
        of owner: Owner,
        hadChildren: Bool
    ) async throws(APIError) {
        guard hadChildren, writes.contains(where: \.makes), await isGone(owner) else {
            return try await carryOut(writes)
        }
        try await carryOut(writes.filter { !$0.makes })
    }

    private func isGone<Owner: KubernetesObject>(_ owner: Owner) async -> Bool {
        do {
            let found = try await client.find(Owner.self, owner.metadata.key)
            return found?.metadata.uid != owner.metadata.uid
                || found?.metadata.isTerminating == true
        } catch {
            return false
        }
    }

    private func carryOut(_ write: Write) async throws(APIError) {
        logger.debug("write", metadata: ["what": "\(write.summary)"])
        switch write {
        case .apply(let child): try await apply(child)
        case .replacePorts(let key, let uid, let ports):
            let patch = Patch.merge([
                "metadata": ["uid": .string(uid)], "spec": ["ports": .array(ports.map(json))],
            ])
            try await self.patch(Core.Service.self, key, patch)
        case .removeResources(let key, let uid, let extra):
            try await self.patch(Apps.Deployment.self, key, Self.removal(of: extra, uid))
        case .delete(let resource, let key, let uid): try await delete(resource, key, uid)
        case .setFinalizers(let key, let version, let finalizers):
            let patch = Patch.merge([
                "metadata": [
                    "resourceVersion": .string(version),
                    "finalizers": .array(finalizers.map { .string($0) }),
                ]
            ])
            try await self.patch(Service.self, key, patch)
        }
    }

    private func patch<Object: KubernetesObject>(
        _ kind: Object.Type,
        _ key: ObjectKey,
        _ patch: Patch
    ) async throws(APIError) {
        _ = try await client.patch(kind, key, patch, fieldManager: Names.fieldManager)
    }

    private static func removal(of extra: [ContainerResources], _ uid: String) -> Patch {
        func removal(_ names: [String]) -> JSONValue {
            .object(Dictionary(uniqueKeysWithValues: names.map { ($0, .null) }))
        }
        let containers = extra.map { extra -> JSONValue in
            [
                "name": .string(extra.container),
                "resources": [
                    "requests": removal(extra.requests), "limits": removal(extra.limits),
                ],
            ]
        }
        return .strategicMerge([
            "metadata": ["uid": .string(uid)],
            "spec": ["template": ["spec": ["containers": .array(containers)]]],
        ])
    }

    private func delete(
        _ resource: Resource,
        _ key: ObjectKey,
        _ uid: String
    ) async throws(APIError) {
        let options = DeleteOptions(
            preconditions: Preconditions(uid: uid),
            propagation: .background
        )
        do {
            _ = try await client.send(try Request.delete(resource, key, options: options))
        } catch let error as APIError {
            // It is gone, or another object has its name: either way this one is not there.
            guard error.isNotFound || error.isConflict else { throw error }
        } catch {
            throw .request("\(error)")
        }
    }

    private func apply(_ child: Child) async throws(APIError) {
        switch child {
        case .serviceAccount(let object): try await apply(object)
        case .roleBinding(let object): try await apply(object)
        case .deployment(let object): try await apply(object)
        case .service(let object): try await apply(object)
        case .endpointSlice(let object): try await apply(object)
        case .disruptionBudget(let object): try await apply(object)
        }
    }

    /// Without a UID it is the first apply and must not take over what somebody else has made.
    private func apply<Object: KubernetesObject>(_ object: Object) async throws(APIError) {
        if object.metadata.uid == nil {
            _ = try await client.applyNew(object, fieldManager: Names.fieldManager)
        } else {
            _ = try await client.apply(object, fieldManager: Names.fieldManager, force: true)
        }
    }

    /// Writes Secrets that do not depend on each other, a few at a time.
    ///
    /// Returns them as stored when all are; after a failure some may be.
    func write<Key: Hashable & Sendable>(
        _ writes: [(key: Key, write: SecretWrite)]
    ) async throws(APIError) -> [Key: Core.Secret] {
        typealias Outcome = Result<(Key, Core.Secret), APIError>
        let outcomes = await withTaskGroup(of: Outcome.self) { group in
            var outcomes: [Outcome] = []
            for (number, entry) in writes.enumerated() {
                if number >= Self.atOnce, let outcome = await group.next() {
                    outcomes.append(outcome)
                }
                group.addTask {
                    do throws(APIError) {
                        return .success((entry.key, try await write(entry.write)))
                    } catch {
                        return .failure(error)
                    }
                }
            }
            for await outcome in group { outcomes.append(outcome) }
            return outcomes
        }
        var stored: [Key: Core.Secret] = [:]
        for outcome in outcomes {
            let (key, secret) = try outcome.get()
            stored[key] = secret
        }
        return stored
    }

    private static let atOnce = 4

    /// Writes a Secret and returns it as stored.
    func write(_ write: SecretWrite) async throws(APIError) -> Core.Secret {
        logger.info("write a Secret", metadata: ["secret": "\(write.secret.key)"])
        switch write.mode {
        case .create:
            return try await client.create(write.secret, fieldManager: Names.fieldManager)
        case .apply:
            return try await client.apply(
                write.secret,
                fieldManager: Names.fieldManager,
                force: true
            )
        }
    }

    /// Makes an Event, unless it is there, before what it tells of is written.
    func tell(_ event: EventPlan) async { await recorder.tell(event.note(at: .now())) }

    /// Changes some of what a Secret holds (nil: takes it out), all at once, and returns it as stored.
    ///
    /// Fails with a conflict when it is not the one any more that was read.
    func change(_ secret: Core.Secret, _ data: [String: Data?]) async throws(APIError)
        -> Core.Secret
    {
        logger.info("change a Secret", metadata: ["secret": "\(secret.key)"])
        var metadata: [String: JSONValue] = [:]
        metadata["uid"] = secret.metadata.uid.map { .string($0) }
        metadata["resourceVersion"] = secret.metadata.resourceVersion.map { .string($0) }
        let values = data.mapValues { value -> JSONValue in
            value.map { .string($0.base64EncodedString()) } ?? .null
        }
        return try await client.patch(
            Core.Secret.self,
            secret.key,
            .merge(["metadata": .object(metadata), "data": .object(values)]),
            fieldManager: Names.fieldManager
        )
    }

    /// Makes an Event, unless it is there; never waits.
    func record(_ event: EventPlan) {
        recorder.record(event.note(at: .now()))
    }
}

extension Write {
    var isDeletion: Bool { if case .delete = self { true } else { false } }

    var summary: String {
        switch self {
        case .apply(let child): "apply \(type(of: child.object).resource.kind) \(child.key)"
        case .replacePorts(let key, _, _): "replace the ports of Service \(key)"
        case .removeResources(let key, _, _): "remove resources from Deployment \(key)"
        case .delete(let resource, let key, _): "delete \(resource.kind) \(key)"
        case .setFinalizers(let key, _, let finalizers): "set finalizers of \(key) to \(finalizers)"
        }
    }
}

private func json(_ port: Core.ServicePort) -> JSONValue {
    var members: [String: JSONValue] = ["port": .integer(Int64(port.port))]
    members["name"] = port.name.map { .string($0) }
    members["protocol"] = .string(port.protocol ?? "TCP")
    switch port.targetPort {
    case .int(let number): members["targetPort"] = .integer(Int64(number))
    case .string(let name): members["targetPort"] = .string(name)
    case nil: break
    }
    return .object(members)
}
