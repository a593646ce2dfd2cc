import FoundationEssentials
import KubernetesAPI
import NetworkModel
import Testing

private func json(_ value: some Encodable) throws -> String {
    String(decoding: try JSONEncoder.api.encode(value), as: UTF8.self)
}

@Suite("Objects")
struct ObjectTests {
    @Test("an object is written with its kind and without its empty fields")
    func envelope() throws {
        let service = Core.Service {
            $0.metadata = ObjectMeta(name: "a", namespace: "n")
            $0.spec.clusterIP = "None"
            $0.spec.ports = [Core.ServicePort(name: "tcp", port: 80, targetPort: .string("web"))]
        }
        #expect(
            try json(Envelope(service)) == """
                {"apiVersion":"v1","kind":"Service","metadata":{"name":"a","namespace":"n"},"spec":\
                {"clusterIP":"None","ports":[{"name":"tcp","port":80,"protocol":"TCP","targetPort":"web"}]}}
                """
        )
    }

    @Test("absent and null fields are read as empty ones")
    func nulls() throws {
        let text = """
            {"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"a"},
             "addressType":"IPv4","endpoints":null,"ports":null}
            """
        let slice = try JSONDecoder().decode(Discovery.EndpointSlice.self, from: Data(text.utf8))
        #expect(slice.endpoints.isEmpty && slice.ports.isEmpty && slice.metadata.labels.isEmpty)
        #expect(try json(slice).contains("\"endpoints\":[],"))
    }

    @Test("a pod with a native sidecar, probes, projected volumes and environment is kept")
    func pod() throws {
        let pod = try JSONDecoder().decode(Core.Pod.self, from: Data(podText.utf8))
        #expect(pod.spec.initContainers[0].restartPolicy == "Always")
        #expect(pod.spec.containers[0].env[1].valueFrom?.fieldRef?.fieldPath == "status.podIP")
        #expect(pod.spec.containers[0].readinessProbe?.httpGet?.port == .string("admin"))
        #expect(pod.spec.containers[0].livenessProbe?.tcpSocket?.port == .int(5673))
        #expect(pod.spec.volumes[0].emptyDir?.medium == "Memory")
        #expect(pod.spec.volumes[1].emptyDir != nil)
        #expect(pod.spec.volumes[2].projected?.sources[0].serviceAccountToken?.path == "token")
        #expect(pod.spec.containers[0].resources.requests["cpu"]?.milli == 100)
        #expect(pod.status.isReady)
        let again = try JSONDecoder().decode(Core.Pod.self, from: try JSONEncoder.api.encode(pod))
        #expect(again == pod)
        #expect(try json(pod).contains("\"emptyDir\":{}"))
    }

    @Test("a secret's bytes are base64 on the wire")
    func secrets() throws {
        let secret = Core.Secret { $0.data = ["key": Data([0, 255])] }
        #expect(try json(secret).contains("\"data\":{\"key\":\"AP8=\"}"))
    }

    @Test("a list tells which objects do not decode")
    func lists() throws {
        let text = """
            {"metadata":{"resourceVersion":"12","continue":"more"},"items":[
             {"metadata":{"name":"good","resourceVersion":"3"}},
             {"metadata":{"name":"bad","resourceVersion":"4"},"data":{"x":[]}}]}
            """
        let list = try JSONDecoder().decode(ObjectList<Core.ConfigMap>.self, from: Data(text.utf8))
        #expect(list.items.map(\.metadata.name) == ["good"])
        #expect(list.undecodable.map(\.key.name) == ["bad"])
        #expect(list.resourceVersion == "12" && list.continueToken == "more")
        let empty = #"{"metadata":{"resourceVersion":"1","continue":""},"items":null}"#
        let none = try JSONDecoder().decode(ObjectList<Core.ConfigMap>.self, from: Data(empty.utf8))
        #expect(none.items.isEmpty && none.continueToken == nil)
    }

    @Test("an owner reference names the stored object only")
    func owners() {
        var pod = Core.Pod { $0.metadata = ObjectMeta(name: "p", namespace: "n") }
        #expect(OwnerReference(controlledBy: pod) == nil)
        pod.metadata.uid = "u"
        let owner = OwnerReference(controlledBy: pod)
        #expect(owner?.kind == "Pod" && owner?.apiVersion == "v1" && owner?.controller == true)
    }

    @Test("a label selector matches as the API says")
    func selectors() {
        var selector = LabelSelector(matchLabels: ["app": "web"])
        selector.matchExpressions = [
            LabelSelectorRequirement {
                $0.key = "tier"
                $0.operator = "NotIn"
                $0.values = ["test"]
            }
        ]
        #expect(selector.matches(["app": "web"]))
        #expect(selector.matches(["app": "web", "tier": "prod", "x": "y"]))
        #expect(!selector.matches(["app": "web", "tier": "test"]))
        #expect(!selector.matches(["tier": "prod"]))
        #expect(LabelSelector().matches([:]))
    }
}

@Suite("Conditions")
struct ConditionTests {
    @Test("the transition time moves with the status and with nothing else")
    func transitions() {
        let (early, late) = (Timestamp(seconds: 100), Timestamp(microseconds: 200_500_000))
        var conditions: [Condition] = []
        conditions.set(
            "Ready",
            .no,
            reason: "Waiting",
            message: "a",
            observedGeneration: 1,
            at: early
        )
        conditions.set(
            "Ready",
            .no,
            reason: "Failing",
            message: "b",
            observedGeneration: 2,
            at: late
        )
        #expect(conditions.count == 1)
        #expect(conditions[type: "Ready"]?.lastTransitionTime == early)
        #expect(conditions[type: "Ready"]?.reason == "Failing")
        conditions.set("Ready", .yes, reason: "Ready", at: late)
        // Whole seconds, as the server stores them: a comparison with what it gives back holds.
        #expect(conditions[type: "Ready"]?.lastTransitionTime == Timestamp(seconds: 200))
        #expect(conditions.isTrue("Ready") && !conditions.isTrue("Accepted"))
    }
}

@Suite("Amounts")
struct ScalarTests {
    @Test(
        "amounts are read",
        arguments: [
            ("1", 1000), ("250m", 250), ("64Mi", 67_108_864_000), ("1.5", 1500), ("2k", 2_000_000),
        ]
    )
    func amounts(text: String, milli: Int64) { #expect(Quantity(text).milli == milli) }

    @Test("a port is a number or a name")
    func ports() throws {
        let ports = try JSONDecoder().decode([IntOrString].self, from: Data("[80,\"web\"]".utf8))
        #expect(ports == [.int(80), .string("web")])
        #expect(try json(ports) == "[80,\"web\"]")
    }

    @Test("JSON of any shape is kept")
    func values() throws {
        let text = #"{"a":[1,2.5,true,null,"x"],"b":{"c":9007199254740993}}"#
        #expect(try json(try JSONDecoder().decode(JSONValue.self, from: Data(text.utf8))) == text)
    }
}

private let podText = """
    {"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"n","uid":"u",
      "creationTimestamp":"2026-11-22T22:17:00Z","labels":{"a":"b"}},
     "spec":{"initContainers":[{"name":"tieline","image":"i","restartPolicy":"Always",
        "startupProbe":{"httpGet":{"path":"/readyz","port":5673},"periodSeconds":1}}],
      "containers":[{"name":"c","image":"i","args":["run"],
        "env":[{"name":"A","value":"b"},
               {"name":"POD_IP","valueFrom":{"fieldRef":{"fieldPath":"status.podIP"}}},
               {"name":"S","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}],
        "ports":[{"name":"admin","containerPort":5673}],
        "resources":{"requests":{"cpu":"100m"}},
        "readinessProbe":{"httpGet":{"path":"/readyz","port":"admin"}},
        "livenessProbe":{"tcpSocket":{"port":5673}},
        "volumeMounts":[{"name":"state","mountPath":"/var/lib/tieline"}]}],
      "volumes":[{"name":"state","emptyDir":{"medium":"Memory"}},{"name":"tmp","emptyDir":{}},
        {"name":"token","projected":{"sources":[{"serviceAccountToken":{"path":"token",
          "expirationSeconds":3607}},{"configMap":{"name":"kube-root-ca.crt"}},
          {"downwardAPI":{"items":[{"path":"ns","fieldRef":{"fieldPath":"metadata.namespace"}}]}}]}}]},
     "status":{"phase":"Running","podIP":"10.244.0.3",
       "conditions":[{"type":"Ready","status":"True"}],
       "containerStatuses":[{"name":"c","ready":true,"restartCount":1,"image":"i","imageID":"",
         "state":{"running":{"startedAt":"2026-11-22T22:17:01Z"}}}]}}
    """
