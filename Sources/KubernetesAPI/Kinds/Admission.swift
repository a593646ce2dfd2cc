/// The group `admissionregistration.k8s.io`.
package enum Admission {}

extension Admission {
    package struct MutatingWebhookConfiguration: KubernetesObject, Schema {
        package static let resource = Resource(
            group: "admissionregistration.k8s.io",
            version: "v1",
            kind: "MutatingWebhookConfiguration",
            plural: "mutatingwebhookconfigurations",
            isNamespaced: false
        )
        package var metadata = ObjectMeta()
        /// As they are written: nobody here looks into all of it.
        @OmitEmpty package var webhooks: [JSONValue] = []
        package init() {}
    }
}
