import FoundationEssentials
import KubernetesAPI
import Testing

@Suite("Requests")
struct RequestTests {
    private let key = ObjectKey(namespace: "n", name: "a")

    @Test("paths are those of the API, percent encoded")
    func paths() {
        #expect(Request.get(Core.Pod.resource, key).target == "/api/v1/namespaces/n/pods/a")
        #expect(
            Request.get(Apps.Deployment.resource, key, subresource: "status").target
                == "/apis/apps/v1/namespaces/n/deployments/a/status"
        )
        #expect(
            Request.get(Core.Node.resource, ObjectKey(namespace: "ignored", name: "x/../y")).target
                == "/api/v1/nodes/x%2F..%2Fy"
        )
        #expect(Request.list(Core.Pod.resource, in: Scope()).target == "/api/v1/pods")
    }

    @Test("a list says what it wants, and a continued one no version")
    func lists() {
        let scope = Scope(namespace: "n", labelSelector: "a=b,c")
        let options = ListOptions(limit: 500, resourceVersion: "7")
        #expect(
            Request.list(Core.Pod.resource, in: scope, options: options).target
                == "/api/v1/namespaces/n/pods?labelSelector=a%3Db%2Cc&limit=500&resourceVersion=7"
                + "&resourceVersionMatch=NotOlderThan"
        )
        let next = ListOptions(limit: 500, continueToken: "t", resourceVersion: "7")
        #expect(
            Request.list(Core.Pod.resource, in: Scope(), options: next).target
                == "/api/v1/pods?limit=500&continue=t"
        )
    }

    @Test("a watch of one object names it in the field selector")
    func watches() {
        let options = WatchOptions(resourceVersion: "7", timeoutSeconds: 300)
        #expect(
            Request.watch(Core.Secret.resource, in: .object(key), options: options).target
                == "/api/v1/namespaces/n/secrets?fieldSelector=metadata.name%3Da&watch=1"
                + "&allowWatchBookmarks=true&resourceVersion=7&timeoutSeconds=300"
        )
    }

    @Test("an apply carries its manager, a forced one says so")
    func apply() throws {
        let map = Core.ConfigMap { $0.metadata = ObjectMeta(name: "a", namespace: "n") }
        let gentle = try Request.apply(map, fieldManager: "m", force: false)
        #expect(gentle.target == "/api/v1/namespaces/n/configmaps/a?fieldManager=m")
        #expect(gentle.method == .patch && gentle.contentType == "application/apply-patch+yaml")
        let forced = try Request.apply(map, subresource: "status", fieldManager: "m", force: true)
        #expect(
            forced.target == "/api/v1/namespaces/n/configmaps/a/status?fieldManager=m&force=true"
        )
        #expect(
            gentle.body.map { String(decoding: $0, as: UTF8.self) } == """
                {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"n"}}
                """
        )
    }

    @Test("a delete carries its preconditions")
    func delete() throws {
        let options = DeleteOptions(
            preconditions: Preconditions(uid: "u"),
            propagation: .background,
            gracePeriodSeconds: 0
        )
        let request = try Request.delete(Core.Pod.resource, key, options: options)
        let body = try JSONDecoder().decode(JSONValue.self, from: try #require(request.body))
        #expect(body["preconditions"]?["uid"] == "u")
        #expect(body["propagationPolicy"] == "Background")
        #expect(body["gracePeriodSeconds"] == 0)
    }

    @Test("statuses are told apart")
    func statuses() {
        #expect(APIStatus(code: 409, reason: "AlreadyExists").isAlreadyExists)
        #expect(!APIStatus(code: 409, reason: "AlreadyExists").isConflict)
        #expect(APIStatus(code: 409, reason: "Conflict").isConflict)
        #expect(APIStatus(code: 410, reason: "Expired").isExpired)
        #expect(APIStatus(code: 429).isTransient && APIStatus(code: 503).isTransient)
        #expect(!APIStatus(code: 500).isTransient && !APIStatus(code: 422).isTransient)
    }
}
