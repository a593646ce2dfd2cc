package main

import (
	"context"
	"fmt"
	"net/netip"

	appsv1 "k8s.io/api/apps/v1"
	coordv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericreq "k8s.io/apiserver/pkg/endpoints/request"
)

// Upstream's checks, as far as a wrong object of ours could meet them. The other files have those of Services,
// endpoints and Pods.

// problems turns what a predicate says of a value into errors.
func problems(at *field.Path, value any, messages []string) (errs field.ErrorList) {
	for _, m := range messages {
		errs = append(errs, field.Invalid(at, value, m))
	}
	return errs
}

func unchangeable(at *field.Path, n, o any) field.ErrorList {
	if apiequality.Semantic.DeepEqual(n, o) {
		return nil
	}
	return field.ErrorList{field.Invalid(at, n, "field is immutable")}
}

func oneOf[T ~string](at *field.Path, value T, allowed ...T) field.ErrorList {
	for _, a := range allowed {
		if value == a {
			return nil
		}
	}
	if value == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	return field.ErrorList{field.NotSupported(at, value, allowed)}
}

func required(at *field.Path, value string) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	return nil
}

func validateKeys[V any](at *field.Path, data map[string]V, size func(V) int) (errs field.ErrorList) {
	total := 0
	for k, v := range data {
		total += size(v)
		errs = append(errs, problems(at.Key(k), k, validation.IsConfigMapKey(k))...)
	}
	if total > corev1.MaxSecretSize {
		errs = append(errs, field.TooLong(at, "", corev1.MaxSecretSize))
	}
	return errs
}

func validateConfigMap(_ context.Context, obj, old runtime.Object) field.ErrorList {
	n := obj.(*corev1.ConfigMap)
	errs := validateKeys(field.NewPath("data"), n.Data, func(v string) int { return len(v) })
	errs = append(errs, validateKeys(field.NewPath("binaryData"), n.BinaryData, func(v []byte) int { return len(v) })...)
	if old == nil {
		return errs
	}
	if o := old.(*corev1.ConfigMap); o.Immutable != nil && *o.Immutable {
		errs = append(errs, unchangeable(field.NewPath("immutable"), n.Immutable, o.Immutable)...)
		errs = append(errs, unchangeable(field.NewPath("data"), n.Data, o.Data)...)
		errs = append(errs, unchangeable(field.NewPath("binaryData"), n.BinaryData, o.BinaryData)...)
	}
	return errs
}

func validateSecret(_ context.Context, obj, old runtime.Object) field.ErrorList {
	n, data := obj.(*corev1.Secret), field.NewPath("data")
	errs := validateKeys(data, n.Data, func(v []byte) int { return len(v) })
	if n.Type == corev1.SecretTypeTLS {
		for _, k := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
			if _, ok := n.Data[k]; !ok {
				errs = append(errs, field.Required(data.Key(k), ""))
			}
		}
	}
	if old == nil {
		return errs
	}
	o := old.(*corev1.Secret)
	errs = append(errs, unchangeable(field.NewPath("type"), n.Type, o.Type)...)
	if o.Immutable != nil && *o.Immutable {
		errs = append(errs, unchangeable(field.NewPath("immutable"), n.Immutable, o.Immutable)...)
		errs = append(errs, unchangeable(data, n.Data, o.Data)...)
	}
	return errs
}

func validateLease(_ context.Context, obj, _ runtime.Object) (errs field.ErrorList) {
	s, at := obj.(*coordv1.Lease).Spec, field.NewPath("spec")
	if s.LeaseDurationSeconds != nil && *s.LeaseDurationSeconds <= 0 {
		errs = append(errs, field.Invalid(at.Child("leaseDurationSeconds"), *s.LeaseDurationSeconds, "must be greater than 0"))
	}
	if s.LeaseTransitions != nil && *s.LeaseTransitions < 0 {
		errs = append(errs, field.Invalid(at.Child("leaseTransitions"), *s.LeaseTransitions, "must be greater than or equal to 0"))
	}
	return errs
}

// validateEvent is strict with events.k8s.io only, as upstream is.
func validateEvent(ctx context.Context, obj, old runtime.Object) (errs field.ErrorList) {
	e := obj.(*corev1.Event)
	if namespace := e.InvolvedObject.Namespace; namespace != e.Namespace && (namespace != "" || e.Namespace != metav1.NamespaceDefault && e.Namespace != metav1.NamespaceSystem) {
		errs = append(errs, field.Invalid(field.NewPath("involvedObject", "namespace"), namespace, "does not match event.namespace"))
	}
	request, ok := genericreq.RequestInfoFrom(ctx)
	if !ok || request.APIGroup != eventsv1.GroupName {
		return errs
	}
	if old != nil { // only the series and the annotations may change
		o := old.(*corev1.Event)
		errs = append(errs, unchangeable(field.NewPath("reason"), e.Reason, o.Reason)...)
		errs = append(errs, unchangeable(field.NewPath("note"), e.Message, o.Message)...)
		errs = append(errs, unchangeable(field.NewPath("regarding"), e.InvolvedObject, o.InvolvedObject)...)
		return append(errs, unchangeable(field.NewPath("eventTime"), e.EventTime, o.EventTime)...)
	}
	if e.EventTime.IsZero() {
		errs = append(errs, field.Required(field.NewPath("eventTime"), ""))
	}
	errs = append(errs, problems(field.NewPath("reportingController"), e.ReportingController, validation.IsQualifiedName(e.ReportingController))...)
	for name, value := range map[string]string{"reportingInstance": e.ReportingInstance, "action": e.Action, "reason": e.Reason} {
		errs = append(errs, required(field.NewPath(name), value)...)
		if len(value) > 128 {
			errs = append(errs, field.Invalid(field.NewPath(name), value, "can have at most 128 characters"))
		}
	}
	if len(e.Message) > 1024 {
		errs = append(errs, field.Invalid(field.NewPath("note"), "", "can have at most 1024 characters"))
	}
	return append(errs, oneOf(field.NewPath("type"), e.Type, corev1.EventTypeNormal, corev1.EventTypeWarning)...)
}

func validateRole(_ context.Context, obj, _ runtime.Object) (errs field.ErrorList) {
	_, clusterWide := obj.(*rbacv1.ClusterRole)
	for i, r := range fieldOf(obj, "Rules").Interface().([]rbacv1.PolicyRule) {
		at := field.NewPath("rules").Index(i)
		if len(r.Verbs) == 0 {
			errs = append(errs, field.Required(at.Child("verbs"), "verbs must contain at least one value"))
		}
		switch {
		case len(r.NonResourceURLs) > 0 && !clusterWide:
			errs = append(errs, field.Invalid(at.Child("nonResourceURLs"), r.NonResourceURLs, "namespaced rules cannot apply to non-resource URLs"))
		case len(r.NonResourceURLs) > 0 && (len(r.APIGroups) > 0 || len(r.Resources) > 0 || len(r.ResourceNames) > 0):
			errs = append(errs, field.Invalid(at.Child("nonResourceURLs"), r.NonResourceURLs, "rules cannot apply to both regular resources and non-resource URLs"))
		case len(r.NonResourceURLs) == 0 && len(r.APIGroups) == 0:
			errs = append(errs, field.Required(at.Child("apiGroups"), "resource rules must supply at least one api group"))
		case len(r.NonResourceURLs) == 0 && len(r.Resources) == 0:
			errs = append(errs, field.Required(at.Child("resources"), "resource rules must supply at least one resource"))
		}
	}
	return errs
}

func validateBinding(_ context.Context, obj, old runtime.Object) (errs field.ErrorList) {
	ref, at := fieldOf(obj, "RoleRef").Interface().(rbacv1.RoleRef), field.NewPath("roleRef")
	if old != nil && ref != fieldOf(old, "RoleRef").Interface().(rbacv1.RoleRef) {
		errs = append(errs, field.Invalid(at, ref, "cannot change roleRef"))
	}
	errs = append(errs, oneOf(at.Child("apiGroup"), ref.APIGroup, rbacv1.GroupName)...)
	if _, clusterWide := obj.(*rbacv1.ClusterRoleBinding); clusterWide {
		errs = append(errs, oneOf(at.Child("kind"), ref.Kind, "ClusterRole")...)
	} else {
		errs = append(errs, oneOf(at.Child("kind"), ref.Kind, "Role", "ClusterRole")...)
	}
	errs = append(errs, required(at.Child("name"), ref.Name)...)
	for i, s := range fieldOf(obj, "Subjects").Interface().([]rbacv1.Subject) {
		at := field.NewPath("subjects").Index(i)
		errs = append(errs, required(at.Child("name"), s.Name)...)
		switch s.Kind {
		case rbacv1.ServiceAccountKind:
			errs = append(errs, required(at.Child("namespace"), s.Namespace)...)
			errs = append(errs, problems(at.Child("name"), s.Name, validation.IsDNS1123Subdomain(s.Name))...)
			if s.APIGroup != "" {
				errs = append(errs, field.NotSupported(at.Child("apiGroup"), s.APIGroup, []string{""}))
			}
		case rbacv1.UserKind, rbacv1.GroupKind:
			errs = append(errs, oneOf(at.Child("apiGroup"), s.APIGroup, rbacv1.GroupName)...)
		default:
			errs = append(errs, oneOf(at.Child("kind"), s.Kind, rbacv1.ServiceAccountKind, rbacv1.UserKind, rbacv1.GroupKind)...)
		}
	}
	return errs
}

func validateDeployment(_ context.Context, obj, old runtime.Object) field.ErrorList {
	s, at := obj.(*appsv1.Deployment).Spec, field.NewPath("spec")
	errs := validateWorkload(at, s.Replicas, s.Selector, &s.Template)
	strategy := at.Child("strategy")
	errs = append(errs, oneOf(strategy.Child("type"), s.Strategy.Type, appsv1.RecreateDeploymentStrategyType, appsv1.RollingUpdateDeploymentStrategyType)...)
	if r := s.Strategy.RollingUpdate; r != nil {
		if s.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
			errs = append(errs, field.Forbidden(strategy.Child("rollingUpdate"), "may not be specified when strategy `type` is 'Recreate'"))
		} else if isNone(r.MaxSurge) && isNone(r.MaxUnavailable) {
			errs = append(errs, field.Invalid(strategy.Child("rollingUpdate", "maxUnavailable"), r.MaxUnavailable, "may not be 0 when `maxSurge` is 0"))
		}
	}
	if old != nil {
		errs = append(errs, unchangeable(at.Child("selector"), s.Selector, old.(*appsv1.Deployment).Spec.Selector)...)
	}
	return errs
}

func isNone(v *intstr.IntOrString) bool {
	return v != nil && (*v == intstr.FromInt32(0) || *v == intstr.FromString("0%"))
}

func validateReplicaSet(_ context.Context, obj, old runtime.Object) field.ErrorList {
	s, at := obj.(*appsv1.ReplicaSet).Spec, field.NewPath("spec")
	errs := validateWorkload(at, s.Replicas, s.Selector, &s.Template)
	if old != nil {
		errs = append(errs, unchangeable(at.Child("selector"), s.Selector, old.(*appsv1.ReplicaSet).Spec.Selector)...)
	}
	return errs
}

func validateWorkload(at *field.Path, replicas *int32, selector *metav1.LabelSelector, template *corev1.PodTemplateSpec) (errs field.ErrorList) {
	if replicas != nil && *replicas < 0 {
		errs = append(errs, field.Invalid(at.Child("replicas"), *replicas, "must be greater than or equal to 0"))
	}
	if selector == nil {
		errs = append(errs, field.Required(at.Child("selector"), ""))
	} else {
		errs = append(errs, metavalidation.ValidateLabelSelector(selector, metavalidation.LabelSelectorValidationOptions{}, at.Child("selector"))...)
		if len(selector.MatchLabels)+len(selector.MatchExpressions) == 0 {
			errs = append(errs, field.Invalid(at.Child("selector"), selector, "empty selector is invalid for deployment"))
		}
		if s, err := metav1.LabelSelectorAsSelector(selector); err == nil && !s.Matches(labels.Set(template.Labels)) {
			errs = append(errs, field.Invalid(at.Child("template", "metadata", "labels"), template.Labels, "`selector` does not match template `labels`"))
		}
	}
	errs = append(errs, metavalidation.ValidateLabels(template.Labels, at.Child("template", "metadata", "labels"))...)
	spec := at.Child("template", "spec")
	if template.Spec.RestartPolicy != corev1.RestartPolicyAlways {
		errs = append(errs, field.NotSupported(spec.Child("restartPolicy"), template.Spec.RestartPolicy, []corev1.RestartPolicy{corev1.RestartPolicyAlways}))
	}
	return append(errs, validatePodSpec(spec, &template.Spec)...)
}

// validateAddress refuses addresses at which no other host can be.
func validateAddress(at *field.Path, text string) field.ErrorList {
	ip, err := netip.ParseAddr(text)
	reason := ""
	switch {
	case err != nil:
		reason = "must be a valid IP address"
	case ip.IsUnspecified():
		reason = fmt.Sprintf("may not be unspecified (%s)", text)
	case ip.IsLoopback():
		reason = "may not be in the loopback range (127.0.0.0/8, ::1/128)"
	case ip.IsLinkLocalUnicast():
		reason = "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
	case ip.IsMulticast():
		reason = "may not be a multicast address (224.0.0.0/4, ff00::/8)"
	default:
		return nil
	}
	return field.ErrorList{field.Invalid(at, text, reason)}
}
