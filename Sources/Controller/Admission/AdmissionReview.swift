import FoundationEssentials
import KubernetesAPI
import Telemetry

/// Questions of the API server about Pods that are about to be made (`admission.k8s.io/v1`), and their answers.
///
/// A Pod is never refused: what is not understood stays as it is. Pure.
enum AdmissionReview {
    /// An object has 1.5 MiB at the most in etcd.
    static let limit = 2 * 1024 * 1024
    /// Lists and maps within each other: decoding is recursive.
    private static let depth = 64

    struct Question: Equatable {
        var namespace: String
        var pod: JSONValue
    }

    struct Verdict: Equatable {
        /// RFC 6902; empty: the Pod stays as it is.
        var patch: [JSONValue] = []
        /// Shown to whoever makes the Pod.
        var warnings: [String] = []
    }

    static func answer(_ body: [UInt8], _ decide: (Question) -> Verdict) -> AdminResponse {
        guard isShallow(body),
            let review = try? JSONDecoder().decode(JSONValue.self, from: Data(body)),
            let uid = review["request"]?["uid"]?.string
        else { return .text("this is not an AdmissionReview\n", status: 400) }
        let verdict = question(review["request"] ?? [:]).map(decide) ?? Verdict()
        var response: [String: JSONValue] = ["uid": .string(uid), "allowed": true]
        if !verdict.patch.isEmpty, let patch = try? JSONEncoder().encode(verdict.patch) {
            response["patchType"] = "JSONPatch"
            response["patch"] = .string(patch.base64EncodedString())
        }
        if !verdict.warnings.isEmpty {
            response["warnings"] = .array(verdict.warnings.map(JSONValue.string))
        }
        let answer: JSONValue = [
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "response": .object(response),
        ]
        guard let data = try? JSONEncoder().encode(answer) else {
            return .text("the answer does not encode\n", status: 500)
        }
        return .json(data)
    }

    private static func question(_ request: JSONValue) -> Question? {
        guard request["kind"]?["kind"]?.string == "Pod", request["kind"]?["group"]?.string == "",
            request["operation"]?.string == "CREATE",
            let namespace = request["namespace"]?.string, let pod = request["object"],
            pod.object != nil
        else { return nil }
        return Question(namespace: namespace, pod: pod)
    }

    private static func isShallow(_ body: [UInt8]) -> Bool {
        var open = 0
        var isText = false
        var isEscaped = false
        for byte in body {
            if isText {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    isText = false
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): isText = true
            case UInt8(ascii: "["), UInt8(ascii: "{"): open += 1
            case UInt8(ascii: "]"), UInt8(ascii: "}"): open -= 1
            default: break
            }
            if open > depth { return false }
        }
        return true
    }
}

/// The operations that make one Pod of another (RFC 6902): whole members of its metadata and its spec.
enum PodPatch {
    static func operations(from old: JSONValue, to new: JSONValue) -> [JSONValue] {
        ["metadata", "spec"].flatMap { part in
            let (before, after) = (old[part]?.object ?? [:], new[part]?.object ?? [:])
            let names = Set(before.keys).union(after.keys).sorted()
            return names.compactMap { name -> JSONValue? in
                guard before[name] != after[name] else { return nil }
                let path = JSONValue.string("/\(part)/\(name)")
                guard let value = after[name] else { return ["op": "remove", "path": path] }
                // Replaces what is there.
                return ["op": "add", "path": path, "value": value]
            }
        }
    }
}
