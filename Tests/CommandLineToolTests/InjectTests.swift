import KubernetesAPI
import ManifestReading
import Testing

@testable import CommandLineTool

@Suite("Injecting into manifests")
struct InjectTests {
    private func inject(
        _ text: String,
        services: String? = nil,
        namespace: String? = nil
    ) throws -> (text: String, notes: [String]) {
        var injector = ManifestInjector(services: services, namespace: namespace, image: "proxy:1")
        let stream = try ManifestStream(text, file: "app.yaml")
        return (try injector.inject(into: [stream]), injector.notes)
    }

    private func problem(_ text: String, services: String? = nil) -> String? {
        do {
            _ = try inject(text, services: services)
            return nil
        } catch { return "\(error)" }
    }

    private let settings = """
        # Comments of what is not changed stay.
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: settings, namespace: shop}   # as they are
        data: {version: "010", on: 'yes'}

        """
    private let service = """
        apiVersion: tieline.dev/v1alpha1
        kind: Service
        metadata: {name: backend, namespace: shop}
        spec:
          ports: [{name: http, port: 8080}]

        """
    private let deployment = """
        apiVersion: apps/v1
        kind: Deployment
        metadata:
          name: app
          namespace: shop
        spec:
          replicas: 010
          template:
            metadata:
              labels: {app: "yes", build: '1.0'}
            spec:
              terminationGracePeriodSeconds: 1e1
              containers:
              - image: app:1
                name: app   # the order of fields stays
                env:
                - {name: PORT, value: "8080"}
                - name: SCRIPT
                  value: |
                    one
                    two: 2

        """

    private func json(_ text: String) throws -> [JSONValue] {
        var objects: [JSONValue] = []
        var stream = try ManifestStream(text, file: "")
        try stream.change {
            objects.append($0.json)
            return nil
        }
        return objects
    }

    @Test func otherDocumentsStayToTheByteAndWorkloadsKeepTheirValues() throws {
        let input = settings + "---\n" + service + "---\n" + deployment
        let output = try inject(input).text
        #expect(output.hasPrefix(settings + "---\n" + service + "---\n"))
        let before = try json(deployment)[0]
        let after = try json(output)[2]
        #expect(after["spec"]?["replicas"] == 8)
        #expect(
            after["spec"]?["template"]?["metadata"]?["labels"] == ["app": "yes", "build": "1.0"]
        )
        #expect(
            after["spec"]?["template"]?["spec"]?["containers"]
                == before["spec"]?["template"]?["spec"]?["containers"]
        )
        #expect(output.contains("- image: app:1\n        name: app\n"))
        let sidecar = after["spec"]?["template"]?["spec"]?["initContainers"]?[0]
        #expect(sidecar?["name"] == "tieline")
        #expect(sidecar?["image"] == "proxy:1")
        let arguments = (sidecar?["args"]?.array ?? []).compactMap(\.string)
        #expect(arguments.contains { $0.hasPrefix("--listen=backend/http=127.") })
    }

    @Test func doingItAgainGivesTheSameBytes() throws {
        let once = try inject(settings + "---\n" + service + "---\n" + deployment).text
        #expect(try inject(once).text == once)
    }

    @Test(arguments: ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"])
    func everyKindOfWorkload(kind: String) throws {
        let text = deployment.replacing("kind: Deployment", with: "kind: \(kind)")
        let output = try inject(text, services: "backend/http:8080")
        #expect(output.text.contains("tieline-sidecar"))
        #expect(output.text.contains("tieline.dev/services: backend/http:8080"))
        // The annotation makes the output complete: nothing has to be told again.
        #expect(try inject(output.text).text == output.text)
    }

    @Test func jobsAndPodsToo() throws {
        let pod = "{containers: [{name: a}]}"
        let input = """
            {apiVersion: batch/v1, kind: Job, metadata: {name: a, namespace: shop}, spec: {template: {spec: \(pod)}}}
            ---
            {apiVersion: batch/v1, kind: CronJob, metadata: {name: b, namespace: shop}, spec: {jobTemplate: {spec: {template: {spec: \(pod)}}}}}
            ---
            {apiVersion: v1, kind: Pod, metadata: {name: c, namespace: shop}, spec: \(pod)}
            """
        let output = try inject(input, services: "backend/http:8080").text
        #expect(try inject(output).text == output)
        let objects = try json(output)
        let specs = [
            objects[0]["spec"]?["template"],
            objects[1]["spec"]?["jobTemplate"]?["spec"]?["template"],
            objects[2],
        ]
        for template in specs {
            #expect(template?["spec"]?["initContainers"]?[0]?["name"] == "tieline")
        }
    }

    @Test func objectsOfListsAndOfJSONAreFound() throws {
        let list = #"""
            {"apiVersion": "v1", "kind": "List", "items": [
              {"apiVersion": "tieline.dev/v1alpha1", "kind": "Service", "metadata": {"name": "backend", "namespace": "shop"},
               "spec": {"ports": [{"name": "http", "port": 8080}]}},
              {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "c", "namespace": "shop", "labels": {"n": "1"}},
               "spec": {"containers": [{"name": "a", "args": ["no", "0x10", ""]}]}}]}
            """#
        let output = try inject(list).text
        let pod = try #require(try json(output)[0]["items"]?[1] ?? json(output).last)
        #expect(pod["spec"]?["initContainers"]?.array?.count == 1)
        #expect(pod["spec"]?["containers"]?[0]?["args"] == ["no", "0x10", ""])
        #expect(pod["metadata"]?["labels"] == ["n": "1"])
        #expect(try inject(output).text == output)
    }

    @Test func whatStandsForOtherThingsIsWrittenOut() throws {
        let input = """
            apiVersion: v1
            kind: Pod
            metadata: {name: c, namespace: shop, labels: &labels {n: !!str 1, on: "true"}}
            spec:
              nodeSelector: {<<: *labels, more: "x"}
              containers: [{name: a}]
            """
        let pod = try json(try inject(input, services: "backend/http:8080").text)[0]
        #expect(pod["spec"]?["nodeSelector"] == ["n": "1", "on": "true", "more": "x"])
        #expect(pod["metadata"]?["labels"] == ["n": "1", "on": "true"])
    }

    @Test func servicesAreThoseOfTheNamespace() throws {
        let other = service.replacing("namespace: shop", with: "namespace: other")
            .replacing("8080", with: "9090")
        let output = try inject(other + "---\n" + service + "---\n" + deployment).text
        #expect(output.contains(":8080\n"))
        #expect(!output.contains(":9090\n"))
    }

    @Test func whatIsMissingIsSaidWithFileLineObjectAndRemedy() throws {
        let nothing = try #require(problem(deployment))
        #expect(nothing.hasPrefix("app.yaml:"))
        #expect(nothing.contains("Deployment \"app\""))
        #expect(nothing.contains("make a Service of tieline.dev"))
        let unknown = try #require(problem(service + "---\n" + deployment, services: "bakend"))
        #expect(unknown.contains("it listens for backend"))
        let nowhere = deployment.replacing("  namespace: shop\n", with: "")
        #expect(problem(nowhere, services: "backend/http:8080")?.contains("--namespace") == true)
        #expect(try inject(nowhere, services: "backend/http:8080", namespace: "shop").notes == [])
        let wrong = service.replacing("8080", with: "80800")
        #expect(problem(wrong + "---\n" + deployment)?.contains("spec.ports[0].port") == true)
        #expect(problem("a: [")?.contains("not YAML") == true)
    }

    @Test func whatIsLeftAloneIsSaid() throws {
        let out = deployment.replacing("app: \"yes\"", with: "tieline.dev/inject: disabled")
        #expect(try inject(out).text == out)
        #expect(try inject(out).notes.count == 1)
        let onNode = deployment.replacing(
            "      containers:",
            with: "      hostNetwork: true\n      containers:"
        )
        let result = try inject(onNode, services: "backend/http:8080")
        #expect(result.text == onNode)
        #expect(result.notes.first?.contains("Deployment shop/app: not injected: ") == true)
    }

    @Test(arguments: [
        "", "# nothing\n", "---\n", "just text\n", "- 1\n- 2\n", "---\n...\n---\na: 1\n",
    ])
    func whatIsNoWorkloadPassesThrough(text: String) throws {
        #expect(try inject(text).text == text)
    }
}
