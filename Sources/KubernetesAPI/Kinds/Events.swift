/// The events.k8s.io group.
package enum Events {}

extension Events {
    package struct Event: KubernetesObject, Schema {
        package static let resource = Resource(
            group: "events.k8s.io",
            version: "v1",
            kind: "Event",
            plural: "events"
        )
        package var metadata = ObjectMeta()
        package var eventTime: MicroTimestamp?
        package var series: EventSeries?
        package var reportingController: String?
        package var reportingInstance: String?
        package var action: String?
        /// PascalCase, at most 128 bytes.
        package var reason: String?
        package var regarding: ObjectReference?
        package var related: ObjectReference?
        /// For people, at most 1024 bytes.
        package var note: String?
        /// Normal or Warning.
        package var type: String?
        package init() {}
    }

    package struct EventSeries: Schema {
        package var count: Int32 = 0
        package var lastObservedTime: MicroTimestamp?
        package init() {}
    }
}
