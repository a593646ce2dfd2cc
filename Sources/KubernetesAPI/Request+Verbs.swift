package import FoundationEssentials

// The verbs of the API, each as a request value.
extension Request {
    package static func get(
        _ resource: Resource,
        _ key: ObjectKey,
        subresource: String? = nil
    ) -> Request {
        Request(method: .get, path: path(resource, key, subresource))
    }

    package static func list(
        _ resource: Resource,
        in scope: Scope,
        options: ListOptions = ListOptions()
    ) -> Request {
        var request = Request(method: .get, path: resource.path(namespace: scope.namespace))
        request.select(scope)
        request.add("limit", options.limit.map(String.init))
        request.add("continue", options.continueToken)
        // A continue token carries its own version; the server refuses both together.
        if options.continueToken == nil {
            request.add("resourceVersion", options.resourceVersion)
            if let version = options.resourceVersion, version != "0" {
                request.add("resourceVersionMatch", "NotOlderThan")
            }
        }
        return request
    }

    package static func watch(
        _ resource: Resource,
        in scope: Scope,
        options: WatchOptions
    ) -> Request {
        var request = Request(method: .get, path: resource.path(namespace: scope.namespace))
        request.select(scope)
        request.add("watch", "1")
        request.add("allowWatchBookmarks", "true")
        request.add("resourceVersion", options.resourceVersion)
        request.add("timeoutSeconds", options.timeoutSeconds.map(String.init))
        if options.sendsInitialEvents {
            request.add("sendInitialEvents", "true")
            request.add("resourceVersionMatch", "NotOlderThan")
        }
        return request
    }

    /// The same list or watch of the objects' metadata alone.
    package func ofMetadata() -> Request {
        var request = self
        let kind =
            query.contains { $0.name == "watch" }
            ? "PartialObjectMetadata" : "PartialObjectMetadataList"
        request.accept = "application/json;as=\(kind);g=meta.k8s.io;v=v1"
        return request
    }

    package static func create<Object: KubernetesObject>(
        _ object: Object,
        fieldManager: String? = nil
    ) throws -> Request {
        let path = Object.resource.path(namespace: object.metadata.namespace)
        return try write(object, .post, path, fieldManager: fieldManager)
    }

    /// Replaces the object; a `resourceVersion` in it makes the write conditional.
    package static func update<Object: KubernetesObject>(
        _ object: Object,
        subresource: String? = nil,
        fieldManager: String? = nil
    ) throws -> Request {
        let path = path(Object.resource, object.key, subresource)
        return try write(object, .put, path, fieldManager: fieldManager)
    }

    /// Server-side apply: the fields that `object` sets become `fieldManager`'s.
    ///
    /// `force` takes fields over from other managers; only for objects that we own.
    package static func apply<Object: KubernetesObject>(
        _ object: Object,
        subresource: String? = nil,
        fieldManager: String,
        force: Bool
    ) throws -> Request {
        let path = path(Object.resource, object.key, subresource)
        var request = try write(object, .patch, path, fieldManager: fieldManager)
        request.contentType = "application/apply-patch+yaml"
        request.add("force", force ? "true" : nil)
        return request
    }

    package static func patch(
        _ resource: Resource,
        _ key: ObjectKey,
        _ patch: Patch,
        subresource: String? = nil,
        fieldManager: String? = nil
    ) throws -> Request {
        var request = Request(method: .patch, path: path(resource, key, subresource))
        request.contentType = patch.contentType
        request.body = try JSONEncoder.api.encode(patch.document)
        request.add("fieldManager", fieldManager)
        return request
    }

    package static func delete(
        _ resource: Resource,
        _ key: ObjectKey,
        options: DeleteOptions = DeleteOptions()
    ) throws -> Request {
        var request = Request(method: .delete, path: path(resource, key, nil))
        request.contentType = "application/json"
        request.body = try JSONEncoder.api.encode(DeleteBody(options))
        return request
    }

    private static func write<Object: KubernetesObject>(
        _ object: Object,
        _ method: Method,
        _ path: String,
        fieldManager: String?
    ) throws -> Request {
        var request = Request(method: method, path: path)
        request.contentType = "application/json"
        request.body = try JSONEncoder.api.encode(Envelope(object))
        request.add("fieldManager", fieldManager)
        return request
    }

    private static func path(
        _ resource: Resource,
        _ key: ObjectKey,
        _ subresource: String?
    ) -> String {
        resource.path(namespace: key.namespace, name: key.name, subresource: subresource)
    }

    private mutating func select(_ scope: Scope) {
        add("labelSelector", scope.labelSelector)
        add("fieldSelector", scope.fieldSelector)
    }
}

private struct DeleteBody: Encodable {
    let apiVersion = "v1"
    let kind = "DeleteOptions"
    let preconditions: Preconditions?
    let propagationPolicy: DeleteOptions.Propagation?
    let gracePeriodSeconds: Int64?

    init(_ options: DeleteOptions) {
        preconditions = options.preconditions
        propagationPolicy = options.propagation
        gracePeriodSeconds = options.gracePeriodSeconds
    }
}

extension JSONEncoder {
    /// Writes members in a fixed order, so that equal values give equal bytes.
    package static var api: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }
}
