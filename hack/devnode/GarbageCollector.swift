import DevnodeCore
import FoundationEssentials
import HTTPTransport
import KubernetesAPI
import KubernetesClient
import Logging

/// Deletes objects whose owners are all gone, over all kinds that the API server has.
///
/// What is known comes from watches; before anything is deleted each missing owner is looked up.
actor GarbageCollector {
    /// Kinds that come and go often and own nothing.
    private static let ignored: Set<String> = ["events", "leases"]

    private let client: KubernetesClient
    private let logger: Logger
    private var graph = OwnershipGraph()
    private var watches: [Resource: Task<Void, Never>] = [:]
    private var resources: [String: Resource] = [:]
    private var pending: Set<String> = []
    private var worker: Task<Void, Never>?

    init(client: KubernetesClient, logger: Logger) {
        self.client = client
        self.logger = logger
    }

    /// Follows all kinds; asks again whenever CustomResourceDefinitions change.
    func run() async {
        while !Task.isCancelled {
            let known = definitionChanges
            await discover()
            // A definition is served a moment after it was written, so a few looks follow each change.
            for attempt in 0..<3 where attempt > 0 {
                try? await Task.sleep(for: .seconds(1))
                await discover()
            }
            if known == definitionChanges {
                await withCheckedContinuation { definitionWaiter = $0 }
            }
        }
    }

    private var definitionChanges = 0
    private var definitionWaiter: CheckedContinuation<Void, Never>?

    // MARK: Kinds

    private struct GroupList: Decodable {
        struct Group: Decodable {
            struct Version: Decodable { var groupVersion: String }
            var preferredVersion: Version?
        }
        var groups: [Group]
    }

    private struct ResourceList: Decodable {
        struct Entry: Decodable {
            var name: String
            var kind: String
            var namespaced: Bool
            var verbs: [String]
        }
        var resources: [Entry]
    }

    private func discover() async {
        do {
            var versions = ["v1"]
            let groups = try await read(GroupList.self, "/apis")
            versions += groups.groups.compactMap { $0.preferredVersion?.groupVersion }
            for version in versions {
                let path = version.contains("/") ? "/apis/\(version)" : "/api/\(version)"
                let list = try await read(ResourceList.self, path)
                for entry in list.resources { follow(entry, version) }
            }
        } catch {
            logger.debug("the kinds were not found out: \(error)")
        }
    }

    private func read<Value: Decodable>(_ type: Value.Type, _ path: String) async throws -> Value {
        try JSONDecoder().decode(
            type,
            from: await client.send(Request(method: .get, path: path))
        )
    }

    private func follow(_ entry: ResourceList.Entry, _ version: String) {
        let parts = version.split(separator: "/").map(String.init)
        let resource = Resource(
            group: parts.count == 2 ? parts[0] : "",
            version: parts.last ?? version,
            kind: entry.kind,
            plural: entry.name,
            isNamespaced: entry.namespaced
        )
        guard Set(["list", "watch", "delete"]).isSubset(of: entry.verbs),
            !entry.name.contains("/"), !Self.ignored.contains(entry.name),
            watches[resource] == nil
        else { return }
        resources["\(version) \(entry.kind)"] = resource
        watches[resource] = Task { await self.watch(resource) }
    }

    // MARK: Objects

    private struct Line: Decodable {
        struct Object: Decodable { var metadata: ObjectMeta? }
        var type: String
        var object: Object
    }

    private func watch(_ resource: Resource) async {
        var wait = Duration.milliseconds(200)
        while !Task.isCancelled {
            var seen: Set<String>? = []
            do {
                let options = WatchOptions(timeoutSeconds: 600, sendsInitialEvents: true)
                let request = Request.watch(resource, in: Scope(), options: options)
                try await client.withStream(request, timeout: nil, idle: .seconds(100)) { body in
                    var rest = Data()
                    for try await chunk in body {
                        rest += chunk
                        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                            let line = try JSONDecoder().decode(Line.self, from: rest[..<end])
                            rest = Data(rest[(end + 1)...])
                            self.take(line, resource, &seen)
                        }
                    }
                }
                wait = .milliseconds(200)
            } catch let error as APIError where error.isNotFound {
                // The kind is no longer served, or not yet after a start of the server: it is looked for anew.
                watches[resource] = nil
                definitionsChanged()
                return
            } catch {
                logger.trace("watch of \(resource.plural) ended: \(error)")
            }
            try? await Task.sleep(for: wait)
            wait = min(wait * 2, .seconds(5))
        }
    }

    private func take(_ line: Line, _ resource: Resource, _ seen: inout Set<String>?) {
        guard let metadata = line.object.metadata else { return }
        switch line.type {
        case "ADDED", "MODIFIED":
            if let uid = metadata.uid { seen?.insert(uid) }
            graph.set(resource, metadata)
            guard let uid = metadata.uid, let item = graph[uid] else { return }
            if item.waitsForDependents || item.leavesOrphans
                || !graph.unknownOwners(of: uid).isEmpty
            {
                suspect([uid])
            }
        case "DELETED":
            if let uid = metadata.uid { forget(uid) }
        case "BOOKMARK":
            // The first one ends the present state: what is not in it is gone.
            guard let present = seen else { return }
            seen = nil
            for uid in graph.uids(of: resource).subtracting(present) {
                forget(uid)
            }
            // Whatever was missed in a gap, and what was let be while a kind was not served.
            suspect(graph.orphans)
            if resource.plural == Self.definitions { definitionsChanged() }
            return
        default:
            return
        }
        if resource.plural == Self.definitions, seen == nil { definitionsChanged() }
    }

    private static let definitions = "customresourcedefinitions"

    private func definitionsChanged() {
        definitionChanges += 1
        definitionWaiter?.resume()
        definitionWaiter = nil
    }

    /// An object is gone: its dependents may have to follow, and owners may have waited for it.
    private func forget(_ uid: String) {
        let owners = (graph[uid]?.owners ?? []).map(\.uid)
        let waiting = owners.filter { graph[$0]?.waitsForDependents == true }
        suspect(graph.remove(uid: uid).map(\.uid) + waiting)
    }

    // MARK: Collection

    private func suspect(_ uids: [String]) {
        pending.formUnion(uids)
        guard worker == nil, !pending.isEmpty else { return }
        worker = Task {
            while let uid = self.pending.popFirst() {
                if await self.collect(uid) { continue }
                try? await Task.sleep(for: .milliseconds(500))
                self.pending.insert(uid)
            }
            self.worker = nil
        }
    }

    /// Does what is due for an object; false when that could not be found out or done.
    private func collect(_ uid: String) async -> Bool {
        guard let item = graph[uid] else { return true }
        if item.leavesOrphans { return await finish(item, Self.orphan) }
        if item.waitsForDependents { return await finish(item, Self.deleteDependent) }
        return await collectOrphan(item)
    }

    /// Deletes an object if none of its owners exists.
    private func collectOrphan(_ item: OwnershipGraph.Item) async -> Bool {
        let uid = item.uid
        guard !item.isTerminating, !item.owners.isEmpty else { return true }
        let unknown = graph.unknownOwners(of: uid)
        guard unknown.count == item.owners.count else { return true }
        do {
            for owner in unknown {
                if try await exists(owner, in: item.key.namespace) { return true }
            }
            logger.info("\(item.resource.kind) \(item.key) goes with its owner")
            let options = DeleteOptions(
                preconditions: Preconditions(uid: uid),
                propagation: .background
            )
            _ = try await client.send(.delete(item.resource, item.key, options: options))
            return true
        } catch let error as APIError {
            return error.isNotFound || error.isConflict
        } catch {
            return false
        }
    }

    /// What is asked of each dependent before its owner may go; nil when there is nothing to ask.
    private typealias Demand = (OwnershipGraph.Item, _ owner: String) throws -> Request?

    private static func deleteDependent(
        _ item: OwnershipGraph.Item,
        _ owner: String
    ) throws -> Request? {
        guard !item.isTerminating else { return nil }
        let options = DeleteOptions(
            preconditions: Preconditions(uid: item.uid),
            propagation: .foreground
        )
        return try .delete(item.resource, item.key, options: options)
    }

    private static func orphan(
        _ item: OwnershipGraph.Item,
        _ owner: String
    ) throws -> Request? {
        let rest = item.owners.filter { $0.uid != owner }
        return try change(item, ["ownerReferences": try JSONValue(encoding: rest)])
    }

    private static func change(
        _ item: OwnershipGraph.Item,
        _ fields: [String: JSONValue]
    ) throws -> Request {
        var metadata = fields
        metadata["uid"] = .string(item.uid)
        metadata["resourceVersion"] = item.resourceVersion.map(JSONValue.string)
        return try .patch(item.resource, item.key, .merge(["metadata": .object(metadata)]))
    }

    /// Takes the collector's finalizer off an object once no dependent is left.
    private func finish(_ item: OwnershipGraph.Item, _ demand: Demand) async -> Bool {
        let dependents = graph.dependents(of: item.uid)
        do {
            for dependent in dependents {
                guard let request = try demand(dependent, item.uid) else { continue }
                _ = try await client.send(request)
            }
            // Their end, or their change, brings this object here again.
            guard dependents.isEmpty else { return !item.leavesOrphans }
            let ours: Set<String> = [OwnershipGraph.foreground, OwnershipGraph.orphan]
            let rest = item.finalizers.filter { !ours.contains($0) }.map(JSONValue.string)
            _ = try await client.send(Self.change(item, ["finalizers": .array(rest)]))
            return true
        } catch let error as APIError {
            return error.isNotFound
        } catch {
            return false
        }
    }

    private func exists(_ owner: OwnerReference, in namespace: String?) async throws -> Bool {
        // A kind that is not served (any more): nothing of it can be looked up, so nothing is deleted.
        guard let resource = resources["\(owner.apiVersion) \(owner.kind)"] else { return true }
        let key = ObjectKey(
            namespace: resource.isNamespaced ? namespace : nil,
            name: owner.name
        )
        do {
            let data = try await client.send(.get(resource, key))
            let object = try JSONDecoder().decode(PartialObject.self, from: data)
            return object.metadata.uid == owner.uid
        } catch let error as APIError where error.isNotFound {
            return false
        }
    }
}
