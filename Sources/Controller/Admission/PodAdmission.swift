import Injection
import KubernetesAPI
import KubernetesRuntime
import NetworkAPI

/// Whether a Pod gets a sidecar, by what the Site of its namespace listens for.
struct PodAdmission: Sendable {
    enum Decision: Equatable {
        /// It asks for nothing, or has a sidecar.
        case none
        case sidecar(PodInjection.Result)
        /// It asks, and cannot have one: why, and what to do.
        case refused(String)
    }

    let image: String
    let pullPolicy: String?
    /// Whether a namespace has a Site that is ours.
    let hasSite: @Sendable (_ namespace: String) -> Bool
    let services: @Sendable (_ namespace: String) -> [OfferedService]

    func decide(_ pod: JSONValue, in namespace: String) -> Decision {
        let wish = InjectionWish(pod)
        guard wish.label == InjectionName.enabled, !PodInjection.hasInjected(pod) else {
            return .none
        }
        guard hasSite(namespace) else {
            return .refused("there is no Site in namespace \(namespace)")
        }
        let settings = SidecarSettings(
            namespace: namespace,
            image: image,
            pullPolicy: pullPolicy
        )
        do throws(InjectionProblem) {
            let chosen = try PodInjection.services(wish, among: services(namespace))
            let injection = PodInjection(services: chosen, settings: settings)
            return .sidecar(try injection.inject(into: pod))
        } catch {
            return .refused(error.description)
        }
    }

    /// What the API server is answered.
    func verdict(_ question: AdmissionReview.Question) -> AdmissionReview.Verdict {
        switch decide(question.pod, in: question.namespace) {
        case .none: AdmissionReview.Verdict()
        case .refused(let reason):
            AdmissionReview.Verdict(warnings: ["no sidecar of Tieline: \(reason)"])
        case .sidecar(let result):
            AdmissionReview.Verdict(
                patch: PodPatch.operations(from: question.pod, to: result.pod),
                warnings: result.notes
            )
        }
    }
}

extension PodAdmission {
    /// By the controller's own stores.
    init(world: World, settings: ControllerSettings) {
        self.init(
            image: settings.proxyImage,
            pullPolicy: settings.proxyPullPolicy,
            hasSite: { namespace in
                chooseSite(world.sites.store.list(in: namespace)).site?.isOurs ?? false
            },
            services: { namespace in
                // One that is refused is known to no gateway: a sidecar would wait for it for ever.
                world.services.store.list(in: namespace)
                    .filter { !$0.metadata.isTerminating && !$0.isRefused }
                    .compactMap(OfferedService.init)
                    .sorted { $0.name < $1.name }
            }
        )
    }
}

extension Site {
    fileprivate var isOurs: Bool {
        (spec.controllerName ?? Site.controllerName) == Site.controllerName
    }
}

extension Service {
    fileprivate var isRefused: Bool {
        status.conditions[type: ConditionType.accepted.rawValue]?.status == .no
    }
}
