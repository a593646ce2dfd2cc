package main

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// setDefault sets *p when it has the zero value.
func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// pointDefault lets *p point to v when it is nil.
func pointDefault[T any](p **T, v T) {
	if *p == nil {
		*p = &v
	}
}

func defaults[T runtime.Object](s *runtime.Scheme, example T, f func(T)) {
	s.AddTypeDefaultingFunc(example, func(o any) { f(o.(T)) })
}

// addDefaults gives objects the defaults of upstream's API server.
func addDefaults(s *runtime.Scheme) {
	defaults(s, &corev1.Namespace{}, func(n *corev1.Namespace) {
		if n.Name != "" {
			if n.Labels == nil {
				n.Labels = map[string]string{}
			}
			n.Labels[corev1.LabelMetadataName] = n.Name
		}
		setDefault(&n.Status.Phase, corev1.NamespaceActive)
	})
	defaults(s, &corev1.Secret{}, func(x *corev1.Secret) { setDefault(&x.Type, corev1.SecretTypeOpaque) })
	defaults(s, &corev1.Pod{}, func(p *corev1.Pod) {
		pointDefault(&p.Spec.EnableServiceLinks, true)
		defaultPodSpec(&p.Spec)
		for i := range p.Spec.InitContainers {
			defaultRequests(&p.Spec.InitContainers[i].Resources)
		}
		for i := range p.Spec.Containers {
			defaultRequests(&p.Spec.Containers[i].Resources)
		}
	})
	defaults(s, &corev1.Service{}, defaultService)
	defaults(s, &corev1.Endpoints{}, func(x *corev1.Endpoints) {
		for i := range x.Subsets {
			for j := range x.Subsets[i].Ports {
				setDefault(&x.Subsets[i].Ports[j].Protocol, corev1.ProtocolTCP)
			}
		}
	})
	defaults(s, &discoveryv1.EndpointSlice{}, func(x *discoveryv1.EndpointSlice) {
		for i := range x.Ports {
			pointDefault(&x.Ports[i].Name, "")
			pointDefault(&x.Ports[i].Protocol, corev1.ProtocolTCP)
		}
	})
	defaults(s, &appsv1.Deployment{}, defaultDeployment)
	defaults(s, &appsv1.ReplicaSet{}, func(x *appsv1.ReplicaSet) {
		pointDefault(&x.Spec.Replicas, 1)
		defaultPodSpec(&x.Spec.Template.Spec)
	})
	defaults(s, &batchv1.Job{}, defaultJob)
	defaults(s, &networkingv1.NetworkPolicy{}, defaultNetworkPolicy)
	defaults(s, &rbacv1.RoleBinding{}, func(x *rbacv1.RoleBinding) { defaultBinding(x.Subjects, &x.RoleRef) })
	defaults(s, &rbacv1.ClusterRoleBinding{}, func(x *rbacv1.ClusterRoleBinding) { defaultBinding(x.Subjects, &x.RoleRef) })
	addAdmissionDefaults(s)
}

func defaultService(x *corev1.Service) {
	spec := &x.Spec
	setDefault(&spec.SessionAffinity, corev1.ServiceAffinityNone)
	setDefault(&spec.Type, corev1.ServiceTypeClusterIP)
	for i := range spec.Ports {
		p := &spec.Ports[i]
		setDefault(&p.Protocol, corev1.ProtocolTCP)
		if p.TargetPort == intstr.FromInt32(0) || p.TargetPort == intstr.FromString("") {
			p.TargetPort = intstr.FromInt32(p.Port)
		}
	}
	if hasNodePorts(x) {
		setDefault(&spec.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster)
	}
	if spec.Type == corev1.ServiceTypeLoadBalancer {
		pointDefault(&spec.AllocateLoadBalancerNodePorts, true)
	}
	if spec.Type != corev1.ServiceTypeExternalName {
		pointDefault(&spec.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyCluster)
	}
}

func defaultDeployment(x *appsv1.Deployment) {
	pointDefault(&x.Spec.Replicas, 1)
	strategy := &x.Spec.Strategy
	setDefault(&strategy.Type, appsv1.RollingUpdateDeploymentStrategyType)
	if strategy.Type == appsv1.RollingUpdateDeploymentStrategyType {
		pointDefault(&strategy.RollingUpdate, appsv1.RollingUpdateDeployment{})
		pointDefault(&strategy.RollingUpdate.MaxUnavailable, intstr.FromString("25%"))
		pointDefault(&strategy.RollingUpdate.MaxSurge, intstr.FromString("25%"))
	}
	pointDefault(&x.Spec.RevisionHistoryLimit, 10)
	pointDefault(&x.Spec.ProgressDeadlineSeconds, 600)
	defaultPodSpec(&x.Spec.Template.Spec)
}

func defaultNetworkPolicy(x *networkingv1.NetworkPolicy) {
	if len(x.Spec.PolicyTypes) == 0 {
		x.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		if len(x.Spec.Egress) > 0 {
			x.Spec.PolicyTypes = append(x.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		}
	}
	ports := func(ports []networkingv1.NetworkPolicyPort) {
		for i := range ports {
			pointDefault(&ports[i].Protocol, corev1.ProtocolTCP)
		}
	}
	for _, rule := range x.Spec.Ingress {
		ports(rule.Ports)
	}
	for _, rule := range x.Spec.Egress {
		ports(rule.Ports)
	}
}

func defaultBinding(subjects []rbacv1.Subject, ref *rbacv1.RoleRef) {
	setDefault(&ref.APIGroup, rbacv1.GroupName)
	for i := range subjects {
		if subjects[i].Kind != rbacv1.ServiceAccountKind {
			setDefault(&subjects[i].APIGroup, rbacv1.GroupName)
		}
	}
}

func defaultPodSpec(s *corev1.PodSpec) {
	setDefault(&s.DNSPolicy, corev1.DNSClusterFirst)
	setDefault(&s.RestartPolicy, corev1.RestartPolicyAlways)
	pointDefault(&s.SecurityContext, corev1.PodSecurityContext{})
	pointDefault(&s.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
	setDefault(&s.SchedulerName, corev1.DefaultSchedulerName)
	setDefault(&s.ServiceAccountName, s.DeprecatedServiceAccount)
	s.DeprecatedServiceAccount = s.ServiceAccountName
	for i := range s.InitContainers {
		defaultContainer(&s.InitContainers[i], s.HostNetwork)
	}
	for i := range s.Containers {
		defaultContainer(&s.Containers[i], s.HostNetwork)
	}
	for i := range s.Volumes {
		defaultVolume(&s.Volumes[i].VolumeSource)
	}
}

func defaultContainer(c *corev1.Container, hostNetwork bool) {
	setDefault(&c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	setDefault(&c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	if image := c.Image[strings.LastIndex(c.Image, "/")+1:]; strings.Contains(image, "@") || strings.Contains(image, ":") && !strings.HasSuffix(image, ":latest") {
		setDefault(&c.ImagePullPolicy, corev1.PullIfNotPresent)
	} else {
		setDefault(&c.ImagePullPolicy, corev1.PullAlways)
	}
	for i := range c.Ports {
		setDefault(&c.Ports[i].Protocol, corev1.ProtocolTCP)
		if hostNetwork {
			setDefault(&c.Ports[i].HostPort, c.Ports[i].ContainerPort)
		}
	}
	for i := range c.Env {
		if from := c.Env[i].ValueFrom; from != nil && from.FieldRef != nil {
			setDefault(&from.FieldRef.APIVersion, "v1")
		}
	}
	for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if p != nil {
			setDefault(&p.TimeoutSeconds, 1)
			setDefault(&p.PeriodSeconds, 10)
			setDefault(&p.SuccessThreshold, 1)
			setDefault(&p.FailureThreshold, 3)
			defaultHTTPGet(p.HTTPGet)
		}
	}
	if c.Lifecycle != nil {
		for _, h := range []*corev1.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
			if h != nil {
				defaultHTTPGet(h.HTTPGet)
			}
		}
	}
}

// defaultRequests requests what is limited.
func defaultRequests(r *corev1.ResourceRequirements) {
	for name, limit := range r.Limits {
		if _, ok := r.Requests[name]; !ok {
			if r.Requests == nil {
				r.Requests = corev1.ResourceList{}
			}
			r.Requests[name] = limit.DeepCopy()
		}
	}
}

func defaultHTTPGet(h *corev1.HTTPGetAction) {
	if h != nil {
		setDefault(&h.Path, "/")
		setDefault(&h.Scheme, corev1.URISchemeHTTP)
	}
}

func defaultVolume(v *corev1.VolumeSource) {
	const mode = int32(0o644)
	switch {
	case *v == (corev1.VolumeSource{}):
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
	case v.Secret != nil:
		pointDefault(&v.Secret.DefaultMode, mode)
	case v.ConfigMap != nil:
		pointDefault(&v.ConfigMap.DefaultMode, mode)
	case v.HostPath != nil:
		pointDefault(&v.HostPath.Type, corev1.HostPathUnset)
	case v.DownwardAPI != nil:
		pointDefault(&v.DownwardAPI.DefaultMode, mode)
		defaultFieldRefs(v.DownwardAPI.Items)
	case v.Projected != nil:
		pointDefault(&v.Projected.DefaultMode, mode)
		for _, source := range v.Projected.Sources {
			if source.ServiceAccountToken != nil {
				pointDefault(&source.ServiceAccountToken.ExpirationSeconds, 3600)
			}
			if source.DownwardAPI != nil {
				defaultFieldRefs(source.DownwardAPI.Items)
			}
		}
	}
}

func defaultFieldRefs(items []corev1.DownwardAPIVolumeFile) {
	for _, item := range items {
		if item.FieldRef != nil {
			setDefault(&item.FieldRef.APIVersion, "v1")
		}
	}
}
