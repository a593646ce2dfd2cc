import DevnodeCore
import KubernetesAPI
import KubernetesClient
import KubernetesRuntime
import Synchronization

/// Keeps the EndpointSlices of Services with a selector.
struct EndpointReconciler: Reconciler {
    let client: KubernetesClient
    let services: Store<Core.Service>
    let slices: Store<Discovery.EndpointSlice>
    let pods: Store<Core.Pod>

    private static let index = "service"

    /// By which the slices of a Service are found.
    static var slicesByService: StoreIndex<Discovery.EndpointSlice> {
        StoreIndex(index) { $0.serviceKey.map { ["\($0)"] } ?? [] }
    }

    func reconcile(_ key: ObjectKey) async throws(ReconcileError) -> ReconcileResult {
        let present = slices.list(Self.index, "\(key)").filter {
            $0.metadata.labels[Discovery.EndpointSlice.managedByLabel] == EndpointPlan.manager
        }
        var wanted: [Discovery.EndpointSlice] = []
        if let service = services.get(key), !service.metadata.isTerminating {
            wanted =
                EndpointPlan.slices(for: service, pods: pods.list(in: key.namespace ?? "")) ?? []
        }
        do throws(APIError) {
            for slice in wanted {
                try await write(slice, over: present.first { $0.key == slice.key })
            }
            for slice in present where !wanted.contains(where: { $0.key == slice.key }) {
                try await delete(slice)
            }
            return .done
        } catch {
            throw .retry("EndpointSlices of \(key): \(error)")
        }
    }

    private func write(
        _ slice: Discovery.EndpointSlice,
        over present: Discovery.EndpointSlice?
    ) async throws(APIError) {
        guard let present else {
            _ = try await client.create(slice)
            return
        }
        let isSame =
            present.endpoints == slice.endpoints && present.ports == slice.ports
            && present.metadata.labels == slice.metadata.labels
            && present.metadata.ownerReferences == slice.metadata.ownerReferences
        guard !isSame else { return }
        var slice = slice
        slice.metadata.resourceVersion = present.metadata.resourceVersion
        _ = try await client.update(slice)
    }

    private func delete(_ slice: Discovery.EndpointSlice) async throws(APIError) {
        do throws(APIError) {
            try await client.delete(Discovery.EndpointSlice.self, slice.key)
        } catch {
            guard error.isNotFound else { throw error }
        }
    }
}

/// Gives Services of type LoadBalancer an address, and takes it back.
struct LoadBalancerReconciler: Reconciler {
    let client: KubernetesClient
    let services: Store<Core.Service>
    let addresses = LoadBalancerAddresses()

    func reconcile(_ key: ObjectKey) async throws(ReconcileError) -> ReconcileResult {
        guard let service = services.get(key), !service.metadata.isTerminating else {
            addresses.free(key)
            return .done
        }
        let present = service.status.loadBalancer.ingress.compactMap(\.ip)
        var wanted: [String] = []
        if service.spec.type == "LoadBalancer" {
            guard
                let found = addresses.addresses(
                    of: key,
                    families: service.spec.ipFamilies,
                    present: present
                )
            else {
                throw .retry("\(key): no load balancer address is free")
            }
            wanted = found
        } else {
            addresses.free(key)
        }
        guard wanted != present else { return .done }
        let ingress: JSONValue = .array(wanted.map { ["ip": .string($0), "ipMode": "VIP"] })
        do throws(APIError) {
            _ = try await client.patch(
                Core.Service.self,
                key,
                .merge(["status": ["loadBalancer": ["ingress": ingress]]]),
                subresource: "status"
            )
            return .done
        } catch {
            throw .retry("\(key): \(error)")
        }
    }
}

/// Which Service has which load balancer addresses.
final class LoadBalancerAddresses: Sendable {
    private struct Family {
        let name: String
        var pool: AddressPool?
        var given: [ObjectKey: String] = [:]

        init(_ family: ClusterFamily) {
            name = family.name
            pool = AddressPool(
                base: family.balancerRange.base,
                prefix: family.balancerRange.prefix
            )
        }

        mutating func address(of key: ObjectKey, present: [String]) -> String? {
            if given[key] == nil {
                given[key] = present.first { pool?.claim($0) == true } ?? pool?.take()
            }
            return given[key]
        }

        mutating func free(_ key: ObjectKey) {
            if let address = given.removeValue(forKey: key) { pool?.free(address) }
        }
    }

    private let state = Mutex([Family(.ipv4), Family(.ipv6)])

    /// One for each family of a Service; nil when a family has none left.
    func addresses(of key: ObjectKey, families: [String], present: [String]) -> [String]? {
        state.withLock { state in
            var addresses: [String] = []
            for index in state.indices {
                guard families.contains(state[index].name) else {
                    state[index].free(key)
                    continue
                }
                guard let address = state[index].address(of: key, present: present) else {
                    return nil
                }
                addresses.append(address)
            }
            return addresses
        }
    }

    func free(_ key: ObjectKey) {
        state.withLock { state in
            for index in state.indices { state[index].free(key) }
        }
    }
}

/// Gives every namespace its default service account and the authority of the API server.
struct NamespaceReconciler: Reconciler {
    static let authorityName = "kube-root-ca.crt"

    let client: KubernetesClient
    let namespaces: Store<Core.Namespace>
    let authority: String

    func reconcile(_ key: ObjectKey) async throws(ReconcileError) -> ReconcileResult {
        guard let namespace = namespaces.get(key), !namespace.metadata.isTerminating else {
            return .done
        }
        let account = Core.ServiceAccount {
            $0.metadata = ObjectMeta(name: "default", namespace: key.name)
        }
        let map = Core.ConfigMap {
            $0.metadata = ObjectMeta(name: Self.authorityName, namespace: key.name)
            $0.data = ["ca.crt": authority]
        }
        do throws(APIError) {
            try await create(account)
            try await create(map)
            return .done
        } catch {
            throw .retry("namespace \(key): \(error)")
        }
    }

    private func create(_ object: some KubernetesObject) async throws(APIError) {
        do throws(APIError) {
            _ = try await client.create(object)
        } catch {
            guard error.isAlreadyExists else { throw error }
        }
    }
}
