package main

import (
	"context"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var protocols = []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}

// validateService leaves cluster IPs and node ports to the allocator.
func validateService(_ context.Context, obj, old runtime.Object) (errs field.ErrorList) {
	n, at := obj.(*corev1.Service), field.NewPath("spec")
	s := &n.Spec
	errs = append(errs, oneOf(at.Child("type"), s.Type, corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeExternalName)...)
	errs = append(errs, oneOf(at.Child("sessionAffinity"), s.SessionAffinity, corev1.ServiceAffinityNone, corev1.ServiceAffinityClientIP)...)
	if s.IPFamilyPolicy != nil {
		errs = append(errs, oneOf(at.Child("ipFamilyPolicy"), *s.IPFamilyPolicy, corev1.IPFamilyPolicySingleStack, corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack)...)
	}
	errs = append(errs, metavalidation.ValidateLabels(s.Selector, at.Child("selector"))...)
	headless := s.ClusterIP == corev1.ClusterIPNone
	switch {
	case s.Type == corev1.ServiceTypeExternalName:
		errs = append(errs, problems(at.Child("externalName"), s.ExternalName, validation.IsDNS1123Subdomain(s.ExternalName))...)
		if s.ClusterIP != "" {
			errs = append(errs, field.Forbidden(at.Child("clusterIPs"), "may not be set for ExternalName services"))
		}
	case len(s.Ports) == 0 && !headless:
		errs = append(errs, field.Required(at.Child("ports"), ""))
	case headless && hasNodePorts(n):
		errs = append(errs, field.Invalid(at.Child("clusterIPs").Index(0), s.ClusterIP, fmt.Sprintf("may not be set to 'None' for %s services", s.Type)))
	}
	if len(s.ClusterIPs) > 0 && s.ClusterIPs[0] != s.ClusterIP {
		errs = append(errs, field.Invalid(at.Child("clusterIPs"), s.ClusterIPs, "first value must match `clusterIP`"))
	}
	if s.ExternalTrafficPolicy != "" && !hasNodePorts(n) && len(s.ExternalIPs) == 0 {
		errs = append(errs, field.Invalid(at.Child("externalTrafficPolicy"), s.ExternalTrafficPolicy, "may only be set for externally-accessible services"))
	}
	errs = append(errs, validateServicePorts(at.Child("ports"), n)...)
	if old == nil {
		return errs
	}
	if o := old.(*corev1.Service); s.Type != corev1.ServiceTypeExternalName && o.Spec.Type != corev1.ServiceTypeExternalName {
		errs = append(errs, unchangeable(at.Child("clusterIPs").Index(0), s.ClusterIP, o.Spec.ClusterIP)...)
		errs = append(errs, unchangeable(at.Child("ipFamilies").Index(0), s.IPFamilies[0], o.Spec.IPFamilies[0])...)
	}
	return errs
}

func validateServicePorts(at *field.Path, s *corev1.Service) (errs field.ErrorList) {
	names, numbers := map[string]bool{}, map[string]bool{}
	for i, p := range s.Spec.Ports {
		at := at.Index(i)
		errs = append(errs, validatePortNumber(at.Child("port"), p.Port)...)
		errs = append(errs, oneOf(at.Child("protocol"), p.Protocol, protocols...)...)
		errs = append(errs, validateTargetPort(at.Child("targetPort"), p.TargetPort)...)
		switch {
		case p.Name == "" && len(s.Spec.Ports) > 1:
			errs = append(errs, field.Required(at.Child("name"), ""))
		case p.Name != "":
			errs = append(errs, problems(at.Child("name"), p.Name, validation.IsDNS1123Label(p.Name))...)
		}
		if names[p.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), p.Name))
		}
		names[p.Name] = true
		number := fmt.Sprint(p.Port, "/", p.Protocol)
		if numbers[number] {
			errs = append(errs, field.Duplicate(at, number))
		}
		numbers[number] = true
		if p.NodePort != 0 && !hasNodePorts(s) {
			errs = append(errs, field.Forbidden(at.Child("nodePort"), fmt.Sprintf("may not be used when `type` is '%s'", s.Spec.Type)))
		}
	}
	return errs
}

func validatePortNumber(at *field.Path, port int32) field.ErrorList {
	return problems(at, port, validation.IsValidPortNum(int(port)))
}

func validateTargetPort(at *field.Path, port intstr.IntOrString) field.ErrorList {
	if port.Type == intstr.Int {
		return validatePortNumber(at, port.IntVal)
	}
	return problems(at, port.StrVal, validation.IsValidPortName(port.StrVal))
}

func validateEndpoints(_ context.Context, obj, _ runtime.Object) (errs field.ErrorList) {
	for i, subset := range obj.(*corev1.Endpoints).Subsets {
		at := field.NewPath("subsets").Index(i)
		if len(subset.Addresses)+len(subset.NotReadyAddresses) == 0 {
			errs = append(errs, field.Required(at, "must specify `addresses` or `notReadyAddresses`"))
		}
		for j, a := range subset.Addresses {
			errs = append(errs, validateAddress(at.Child("addresses").Index(j).Child("ip"), a.IP)...)
		}
		for j, a := range subset.NotReadyAddresses {
			errs = append(errs, validateAddress(at.Child("notReadyAddresses").Index(j).Child("ip"), a.IP)...)
		}
		for j, p := range subset.Ports {
			at := at.Child("ports").Index(j)
			if p.Name == "" && len(subset.Ports) > 1 {
				errs = append(errs, field.Required(at.Child("name"), ""))
			} else if p.Name != "" {
				errs = append(errs, problems(at.Child("name"), p.Name, validation.IsDNS1123Label(p.Name))...)
			}
			errs = append(errs, validatePortNumber(at.Child("port"), p.Port)...)
			errs = append(errs, oneOf(at.Child("protocol"), p.Protocol, protocols...)...)
		}
	}
	return errs
}

func validateEndpointSlice(_ context.Context, obj, old runtime.Object) field.ErrorList {
	s := obj.(*discoveryv1.EndpointSlice)
	errs := oneOf(field.NewPath("addressType"), s.AddressType, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeFQDN)
	if old != nil {
		errs = append(errs, unchangeable(field.NewPath("addressType"), s.AddressType, old.(*discoveryv1.EndpointSlice).AddressType)...)
	}
	if len(s.Endpoints) > 1000 {
		errs = append(errs, field.TooMany(field.NewPath("endpoints"), len(s.Endpoints), 1000))
	}
	for i, e := range s.Endpoints {
		at := field.NewPath("endpoints").Index(i).Child("addresses")
		if len(e.Addresses) == 0 {
			errs = append(errs, field.Required(at, "must contain at least 1 address"))
		} else if len(e.Addresses) > 100 {
			errs = append(errs, field.TooMany(at, len(e.Addresses), 100))
		}
		for j, a := range e.Addresses {
			errs = append(errs, validateSliceAddress(at.Index(j), s.AddressType, a)...)
		}
	}
	if len(s.Ports) > 20000 {
		errs = append(errs, field.TooMany(field.NewPath("ports"), len(s.Ports), 20000))
	}
	names := map[string]bool{}
	for i, p := range s.Ports {
		at := field.NewPath("ports").Index(i)
		if *p.Name != "" {
			errs = append(errs, problems(at.Child("name"), *p.Name, validation.IsDNS1123Label(*p.Name))...)
		}
		if names[*p.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), *p.Name))
		}
		names[*p.Name] = true
		errs = append(errs, oneOf(at.Child("protocol"), *p.Protocol, protocols...)...)
		if p.Port != nil {
			errs = append(errs, validatePortNumber(at.Child("port"), *p.Port)...)
		}
	}
	return errs
}

func validateSliceAddress(at *field.Path, family discoveryv1.AddressType, address string) field.ErrorList {
	switch family {
	case discoveryv1.AddressTypeIPv4:
		return append(problems(at, address, versionProblems(address, false)), validateAddress(at, address)...)
	case discoveryv1.AddressTypeIPv6:
		return append(problems(at, address, versionProblems(address, true)), validateAddress(at, address)...)
	}
	return validation.IsFullyQualifiedDomainName(at, address)
}

func versionProblems(address string, six bool) []string {
	if ip, err := netip.ParseAddr(address); err == nil && ip.Is6() != six {
		if six {
			return []string{"must be a valid IPv6 address"}
		}
		return []string{"must be a valid IPv4 address"}
	}
	return nil
}
