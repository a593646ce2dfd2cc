import FoundationEssentials
package import KubernetesAPI

// Typed calls.
extension KubernetesClient {
    package func get<Object: KubernetesObject>(
        _ type: Object.Type,
        _ key: ObjectKey
    ) async throws(APIError) -> Object {
        try decode(await send(.get(Object.resource, key)))
    }

    /// Nil when there is no such object.
    package func find<Object: KubernetesObject>(
        _ type: Object.Type,
        _ key: ObjectKey
    ) async throws(APIError) -> Object? {
        do {
            return try await get(type, key)
        } catch {
            guard error.isAbsence else { throw error }
            return nil
        }
    }

    /// One page; see `listAll` for all of them.
    package func list<Object: KubernetesObject>(
        _ type: Object.Type = Object.self,
        in scope: Scope = Scope(),
        options: ListOptions = ListOptions()
    ) async throws(APIError) -> ObjectList<Object> {
        var request = Request.list(Object.resource, in: scope, options: options)
        if Object.self is any MetadataOnly.Type { request = request.ofMetadata() }
        return try decode(await send(request, timeout: max(timeout, .seconds(60))))
    }

    /// All objects, fetched in pages; those that do not decode are left out.
    package func listAll<Object: KubernetesObject>(
        _ type: Object.Type = Object.self,
        in scope: Scope = Scope()
    ) async throws(APIError) -> [Object] {
        try await listWhole(type, in: scope).items
    }

    /// All objects, fetched in pages, and those that do not decode.
    package func listWhole<Object: KubernetesObject>(
        _ type: Object.Type = Object.self,
        in scope: Scope = Scope()
    ) async throws(APIError) -> (items: [Object], undecodable: [Undecodable]) {
        var items: [Object] = []
        var undecodable: [Undecodable] = []
        var options = ListOptions(limit: 500)
        while true {
            let page = try await list(type, in: scope, options: options)
            items += page.items
            undecodable += page.undecodable
            guard let token = page.continueToken else { return (items, undecodable) }
            options.continueToken = token
        }
    }

    package func create<Object: KubernetesObject>(
        _ object: Object,
        fieldManager: String? = nil
    ) async throws(APIError) -> Object {
        try decode(
            await send(encode { try .create(object, fieldManager: fieldManager) })
        )
    }

    /// Replaces the object; its `resourceVersion`, when set, must still be the stored one.
    package func update<Object: KubernetesObject>(
        _ object: Object,
        subresource: String? = nil,
        fieldManager: String? = nil
    ) async throws(APIError) -> Object {
        try decode(
            await send(
                encode {
                    try .update(object, subresource: subresource, fieldManager: fieldManager)
                }
            )
        )
    }

    package func updateStatus<Object: KubernetesObject>(
        _ object: Object,
        fieldManager: String? = nil
    ) async throws(APIError) -> Object {
        try await update(object, subresource: "status", fieldManager: fieldManager)
    }

    /// Server-side apply; what `object` leaves out and this manager set before is removed.
    ///
    /// `uid` and `resourceVersion` in the metadata are preconditions; leave `managedFields`, status
    /// and what others own out.
    package func apply<Object: KubernetesObject>(
        _ object: Object,
        fieldManager: String,
        force: Bool = false
    ) async throws(APIError) -> Object {
        try decode(
            await send(
                encode { try .apply(object, fieldManager: fieldManager, force: force) }
            )
        )
    }

    /// Server-side apply that makes the object, and fails with a conflict when there is one of that name, whoever's it is.
    package func applyNew<Object: KubernetesObject>(
        _ object: Object,
        fieldManager: String
    ) async throws(APIError) -> Object {
        var object = object
        // No object has the first version: it is asked for only where there is something to compare it with.
        object.metadata.resourceVersion = "1"
        return try await apply(object, fieldManager: fieldManager)
    }

    package func patch<Object: KubernetesObject>(
        _ type: Object.Type,
        _ key: ObjectKey,
        _ patch: Patch,
        subresource: String? = nil,
        fieldManager: String? = nil
    ) async throws(APIError) -> Object {
        try decode(
            await send(
                encode {
                    try .patch(
                        Object.resource,
                        key,
                        patch,
                        subresource: subresource,
                        fieldManager: fieldManager
                    )
                }
            )
        )
    }

    /// Asks for deletion; finalizers may keep the object for a while.
    package func delete<Object: KubernetesObject>(
        _ type: Object.Type,
        _ key: ObjectKey,
        options: DeleteOptions = DeleteOptions()
    ) async throws(APIError) {
        _ = try await send(encode { try .delete(Object.resource, key, options: options) })
    }

    /// Makes a token for a service account, bound to a pod when one is given.
    package func createToken(
        serviceAccount key: ObjectKey,
        _ request: Authentication.TokenRequest
    ) async throws(APIError) -> Authentication.TokenRequest {
        let message = try encode {
            var message = try Request.create(request)
            message.path = Core.ServiceAccount.resource.path(
                namespace: key.namespace,
                name: key.name,
                subresource: "token"
            )
            return message
        }
        return try decode(await send(message))
    }

    func decode<Value: Decodable>(_ data: Data) throws(APIError) -> Value {
        do {
            return try JSONDecoder().decode(Value.self, from: data)
        } catch {
            throw .decoding(describe(error))
        }
    }

    private func encode(_ make: () throws -> Request) throws(APIError) -> Request {
        do {
            return try make()
        } catch {
            throw .request("the object does not encode: \(error)")
        }
    }
}
