package main

import (
	"context"
	"path"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validatePod lets only the images, tolerations and periods of a Pod change.
func validatePod(_ context.Context, obj, old runtime.Object) field.ErrorList {
	n, at := obj.(*corev1.Pod), field.NewPath("spec")
	errs := validatePodSpec(at, &n.Spec)
	if old == nil {
		return append(errs, validatePriorityClass(at.Child("priorityClassName"), n.Spec.PriorityClassName)...)
	}
	o, masked := old.(*corev1.Pod).Spec, n.Spec.DeepCopy()
	keepImages := func(masked, old []corev1.Container) {
		for i := range masked {
			if i < len(old) {
				masked[i].Image = old[i].Image
			}
		}
	}
	keepImages(masked.Containers, o.Containers)
	keepImages(masked.InitContainers, o.InitContainers)
	masked.Tolerations, masked.ActiveDeadlineSeconds, masked.TerminationGracePeriodSeconds, masked.SchedulingGates = o.Tolerations, o.ActiveDeadlineSeconds, o.TerminationGracePeriodSeconds, o.SchedulingGates
	if !apiequality.Semantic.DeepEqual(*masked, o) {
		errs = append(errs, field.Forbidden(at, "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"+
			"`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds`"))
	}
	return errs
}

// validatePriorityClass knows those that every cluster has; this one serves no others.
func validatePriorityClass(at *field.Path, name string) field.ErrorList {
	switch name {
	case "", "system-cluster-critical", "system-node-critical":
		return nil
	}
	return field.ErrorList{field.Forbidden(at, "no PriorityClass with name "+name+" was found")}
}

func validatePodSpec(at *field.Path, s *corev1.PodSpec) field.ErrorList {
	errs := oneOf(at.Child("restartPolicy"), s.RestartPolicy, corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)
	if s.ServiceAccountName != "" {
		errs = append(errs, problems(at.Child("serviceAccountName"), s.ServiceAccountName, validation.IsDNS1123Subdomain(s.ServiceAccountName))...)
	}
	if s.TerminationGracePeriodSeconds != nil && *s.TerminationGracePeriodSeconds < 0 {
		errs = append(errs, field.Invalid(at.Child("terminationGracePeriodSeconds"), *s.TerminationGracePeriodSeconds, "must be greater than or equal to 0"))
	}
	volumes := map[string]bool{}
	for i, v := range s.Volumes {
		at := at.Child("volumes").Index(i)
		errs = append(errs, problems(at.Child("name"), v.Name, validation.IsDNS1123Label(v.Name))...)
		if volumes[v.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), v.Name))
		}
		volumes[v.Name] = true
		errs = append(errs, validateVolumeSource(at, v.VolumeSource)...)
	}
	for i, t := range s.TopologySpreadConstraints {
		at := at.Child("topologySpreadConstraints").Index(i)
		if t.MaxSkew <= 0 {
			errs = append(errs, field.Invalid(at.Child("maxSkew"), t.MaxSkew, "must be greater than zero"))
		}
		errs = append(errs, required(at.Child("topologyKey"), t.TopologyKey)...)
		errs = append(errs, oneOf(at.Child("whenUnsatisfiable"), t.WhenUnsatisfiable, corev1.DoNotSchedule, corev1.ScheduleAnyway)...)
	}
	if s.SecurityContext != nil {
		errs = append(errs, validateSeccomp(at.Child("securityContext", "seccompProfile"), s.SecurityContext.SeccompProfile)...)
	}
	if len(s.Containers) == 0 {
		errs = append(errs, field.Required(at.Child("containers"), ""))
	}
	names := map[string]bool{}
	containers := func(list string, containers []corev1.Container) {
		for i := range containers {
			c, at := &containers[i], at.Child(list).Index(i)
			if names[c.Name] {
				errs = append(errs, field.Duplicate(at.Child("name"), c.Name))
			}
			names[c.Name] = true
			errs = append(errs, validateContainer(at, c, volumes)...)
			sidecar := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
			if list == "initContainers" && !sidecar && (c.ReadinessProbe != nil || c.LivenessProbe != nil || c.StartupProbe != nil || c.Lifecycle != nil) {
				errs = append(errs, field.Forbidden(at, "probes and lifecycle may not be set for init containers without restartPolicy=Always"))
			}
			if list == "containers" && sidecar {
				errs = append(errs, field.Forbidden(at.Child("restartPolicy"), "may not be set for non-init containers"))
			}
		}
	}
	containers("containers", s.Containers)
	containers("initContainers", s.InitContainers)
	return errs
}

func validateContainer(at *field.Path, c *corev1.Container, volumes map[string]bool) field.ErrorList {
	errs := problems(at.Child("name"), c.Name, validation.IsDNS1123Label(c.Name))
	errs = append(errs, required(at.Child("image"), c.Image)...)
	names := map[string]bool{}
	for i, p := range c.Ports {
		at := at.Child("ports").Index(i)
		errs = append(errs, validatePortNumber(at.Child("containerPort"), p.ContainerPort)...)
		errs = append(errs, oneOf(at.Child("protocol"), p.Protocol, protocols...)...)
		if p.Name == "" {
			continue
		}
		errs = append(errs, problems(at.Child("name"), p.Name, validation.IsValidPortName(p.Name))...)
		if names[p.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), p.Name))
		}
		names[p.Name] = true
	}
	for i, e := range c.Env {
		errs = append(errs, problems(at.Child("env").Index(i).Child("name"), e.Name, validation.IsRelaxedEnvVarName(e.Name))...)
		if e.Value != "" && e.ValueFrom != nil {
			errs = append(errs, field.Invalid(at.Child("env").Index(i).Child("valueFrom"), "", "may not be specified when `value` is not empty"))
		}
	}
	mounted := map[string]bool{}
	for i, m := range c.VolumeMounts {
		at := at.Child("volumeMounts").Index(i)
		if !volumes[m.Name] {
			errs = append(errs, field.NotFound(at.Child("name"), m.Name))
		}
		errs = append(errs, required(at.Child("mountPath"), m.MountPath)...)
		if mounted[path.Clean(m.MountPath)] {
			errs = append(errs, field.Invalid(at.Child("mountPath"), m.MountPath, "must be unique"))
		}
		mounted[path.Clean(m.MountPath)] = true
	}
	for name, p := range map[string]*corev1.Probe{"livenessProbe": c.LivenessProbe, "readinessProbe": c.ReadinessProbe, "startupProbe": c.StartupProbe} {
		errs = append(errs, validateProbe(at.Child(name), name, p)...)
	}
	for name, request := range c.Resources.Requests {
		if limit, ok := c.Resources.Limits[name]; ok && request.Cmp(limit) > 0 {
			errs = append(errs, field.Invalid(at.Child("resources", "requests"), request.String(), "must be less than or equal to "+string(name)+" limit of "+limit.String()))
		}
		if request.Cmp(resource.Quantity{}) < 0 {
			errs = append(errs, field.Invalid(at.Child("resources", "requests"), request.String(), "must be greater than or equal to 0"))
		}
	}
	if c.SecurityContext != nil {
		errs = append(errs, validateSeccomp(at.Child("securityContext", "seccompProfile"), c.SecurityContext.SeccompProfile)...)
	}
	if s := c.SecurityContext; s != nil && s.Privileged != nil && *s.Privileged && s.AllowPrivilegeEscalation != nil && !*s.AllowPrivilegeEscalation {
		errs = append(errs, field.Invalid(at.Child("securityContext"), "", "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"))
	}
	return errs
}

func validateSeccomp(at *field.Path, p *corev1.SeccompProfile) field.ErrorList {
	if p == nil {
		return nil
	}
	return oneOf(at.Child("type"), p.Type, corev1.SeccompProfileTypeRuntimeDefault, corev1.SeccompProfileTypeUnconfined, corev1.SeccompProfileTypeLocalhost)
}

// validateVolumeSource: exactly one source, which names what it refers to.
func validateVolumeSource(at *field.Path, v corev1.VolumeSource) (errs field.ErrorList) {
	sources, value := 0, reflect.ValueOf(v)
	for i := range value.NumField() {
		if !value.Field(i).IsNil() {
			sources++
		}
	}
	if sources == 0 {
		errs = append(errs, field.Required(at, "must specify a volume type"))
	} else if sources > 1 {
		errs = append(errs, field.Forbidden(at, "may not specify more than 1 volume type"))
	}
	if v.Secret != nil {
		errs = append(errs, required(at.Child("secret", "secretName"), v.Secret.SecretName)...)
	}
	if v.ConfigMap != nil {
		errs = append(errs, required(at.Child("configMap", "name"), v.ConfigMap.Name)...)
	}
	if v.EmptyDir != nil {
		errs = append(errs, validateEmptyDir(at.Child("emptyDir"), v.EmptyDir)...)
	}
	return errs
}

func validateEmptyDir(at *field.Path, v *corev1.EmptyDirVolumeSource) (errs field.ErrorList) {
	if v.Medium != "" && v.Medium != corev1.StorageMediumMemory && !strings.HasPrefix(string(v.Medium), string(corev1.StorageMediumHugePagesPrefix)) {
		errs = append(errs, field.NotSupported(at.Child("medium"), v.Medium, []corev1.StorageMedium{"", corev1.StorageMediumMemory}))
	}
	if v.SizeLimit != nil && v.SizeLimit.Sign() < 0 {
		errs = append(errs, field.Forbidden(at.Child("sizeLimit"), "SizeLimit field must be a valid resource quantity"))
	}
	return errs
}

func validateProbe(at *field.Path, name string, p *corev1.Probe) (errs field.ErrorList) {
	if p == nil {
		return nil
	}
	handlers := 0
	if h := p.HTTPGet; h != nil {
		handlers++
		errs = append(errs, validateTargetPort(at.Child("httpGet", "port"), h.Port)...)
	}
	if h := p.TCPSocket; h != nil {
		handlers++
		errs = append(errs, validateTargetPort(at.Child("tcpSocket", "port"), h.Port)...)
	}
	if p.Exec != nil {
		handlers++
	}
	if p.GRPC != nil {
		handlers++
	}
	if handlers == 0 {
		errs = append(errs, field.Required(at, "must specify a handler type"))
	} else if handlers > 1 {
		errs = append(errs, field.Forbidden(at, "may not specify more than 1 handler type"))
	}
	if name != "readinessProbe" && p.SuccessThreshold != 1 {
		errs = append(errs, field.Invalid(at.Child("successThreshold"), p.SuccessThreshold, "must be 1"))
	}
	return errs
}
