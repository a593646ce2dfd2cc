package main

import (
	"context"
	"fmt"
	"math/rand"
	"net/netip"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericreq "k8s.io/apiserver/pkg/endpoints/request"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
)

// serviceRanges has one range for each family of the cluster, its first one first.
type serviceRanges []netip.Prefix

func (r *serviceRanges) String() string {
	texts := []string{}
	for _, p := range *r {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, ",")
}

func (r *serviceRanges) Set(text string) error {
	*r = nil
	for _, part := range strings.Split(text, ",") {
		p, err := netip.ParsePrefix(part)
		if err != nil {
			return err
		}
		if p.Addr().BitLen()-p.Bits() < 12 {
			return fmt.Errorf("%s: less than 4096 addresses", p)
		}
		*r = append(*r, p.Masked())
	}
	if len(*r) > 2 || len(*r) == 2 && familyOf((*r)[0].Addr()) == familyOf((*r)[1].Addr()) {
		return fmt.Errorf("give one range, or one of each family")
	}
	return nil
}

// of gives the range of a family; false when the cluster does not have it.
func (r serviceRanges) of(family corev1.IPFamily) (netip.Prefix, bool) {
	for _, p := range r {
		if familyOf(p.Addr()) == family {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

func (r serviceRanges) families() (families []corev1.IPFamily) {
	for _, p := range r {
		families = append(families, familyOf(p.Addr()))
	}
	return families
}

// apiAddresses are those of the Service default/kubernetes: the first of each range.
func (r serviceRanges) apiAddresses() (addresses []netip.Addr) {
	for _, p := range r {
		addresses = append(addresses, p.Addr().Next())
	}
	return addresses
}

func familyOf(a netip.Addr) corev1.IPFamily {
	if a.Is6() {
		return corev1.IPv6Protocol
	}
	return corev1.IPv4Protocol
}

const firstNodePort, lastNodePort = 30000, 32767

// allocator gives Services their cluster IPs and node ports; each belongs to one Service at a time.
type allocator struct {
	store  *genericregistry.Store
	lock   sync.Mutex
	loaded bool
	owners map[string]string // IP address or "port/N" -> NAMESPACE/NAME of the Service
}

func newAllocator(store *genericregistry.Store) *allocator {
	return &allocator{store: store, owners: map[string]string{}}
}

// attach makes the store ask before it writes a Service, and tell when one is gone.
func (a *allocator) attach() {
	a.store.BeginCreate = func(ctx context.Context, obj runtime.Object, o *metav1.CreateOptions) (genericregistry.FinishFunc, error) {
		return a.begin(ctx, obj.(*corev1.Service), nil, len(o.DryRun) > 0)
	}
	a.store.BeginUpdate = func(ctx context.Context, obj, old runtime.Object, o *metav1.UpdateOptions) (genericregistry.FinishFunc, error) {
		return a.begin(ctx, obj.(*corev1.Service), old.(*corev1.Service), len(o.DryRun) > 0)
	}
	a.store.AfterDelete = func(obj runtime.Object, _ *metav1.DeleteOptions) {
		s := obj.(*corev1.Service)
		a.lock.Lock()
		defer a.lock.Unlock()
		a.release(ownerOf(s), held(s))
	}
}

// begin claims what the Service needs. The returned function keeps the claim, or takes it back if the write failed.
func (a *allocator) begin(ctx context.Context, s, old *corev1.Service, dryRun bool) (genericregistry.FinishFunc, error) {
	a.lock.Lock()
	defer a.lock.Unlock()
	if err := a.load(ctx); err != nil {
		return nil, err
	}
	if old != nil {
		keepAllocated(s, old)
	}
	owner, claimed := ownerOf(s), []string{}
	errs := settleFamilies(s, old)
	if len(errs) == 0 {
		errs = a.claim(s, owner, &claimed)
	}
	if len(errs) > 0 {
		a.release(owner, claimed)
		return nil, apierrors.NewInvalid(coreV1.WithKind("Service").GroupKind(), s.Name, errs)
	}
	return func(_ context.Context, success bool) {
		a.lock.Lock()
		defer a.lock.Unlock()
		if !success || dryRun {
			a.release(owner, claimed)
		} else if old != nil {
			kept := map[string]bool{}
			for _, key := range held(s) {
				kept[key] = true
			}
			for _, key := range held(old) {
				if !kept[key] {
					a.release(owner, []string{key})
				}
			}
		}
	}, nil
}

// load reads the Services that a restart finds.
func (a *allocator) load(ctx context.Context) error {
	if a.loaded {
		return nil
	}
	list, err := a.store.List(genericreq.WithNamespace(ctx, metav1.NamespaceAll), nil)
	if err != nil {
		return err
	}
	for _, s := range list.(*corev1.ServiceList).Items {
		for _, key := range held(&s) {
			a.owners[key] = ownerOf(&s)
		}
	}
	a.loaded = true
	return nil
}

func (a *allocator) claim(s *corev1.Service, owner string, claimed *[]string) (errs field.ErrorList) {
	take := func(key string) bool {
		if have, ok := a.owners[key]; ok {
			return have == owner
		}
		a.owners[key] = owner
		*claimed = append(*claimed, key)
		return true
	}
	spec := field.NewPath("spec")
	if s.Spec.Type != corev1.ServiceTypeExternalName {
		errs = append(errs, claimIPs(s, spec.Child("clusterIPs"), take)...)
	}
	if !hasNodePorts(s) {
		return errs
	}
	for i := range s.Spec.Ports {
		p, at := &s.Spec.Ports[i], spec.Child("ports").Index(i).Child("nodePort")
		switch {
		case p.NodePort == 0:
			for p.NodePort = randomPort(); !take(portKey(p.NodePort)); p.NodePort = randomPort() {
			}
		case p.NodePort < firstNodePort || p.NodePort > lastNodePort:
			errs = append(errs, field.Invalid(at, p.NodePort, fmt.Sprintf("provided port is not in the valid range. The range of valid ports is %d-%d", firstNodePort, lastNodePort)))
		case !take(portKey(p.NodePort)):
			errs = append(errs, field.Invalid(at, p.NodePort, "provided port is already allocated"))
		}
	}
	return errs
}

// claimIPs takes an address for each family of a Service that is not headless.
func claimIPs(s *corev1.Service, at *field.Path, take func(string) bool) (errs field.ErrorList) {
	if s.Spec.ClusterIP == corev1.ClusterIPNone {
		return nil
	}
	for i, family := range s.Spec.IPFamilies {
		within, _ := ranges.of(family)
		if i == len(s.Spec.ClusterIPs) {
			ip := randomIP(within)
			for ; !take(ip); ip = randomIP(within) {
			}
			s.Spec.ClusterIPs = append(s.Spec.ClusterIPs, ip)
		} else if ip := s.Spec.ClusterIPs[i]; !within.Contains(parsed(ip)) {
			errs = append(errs, field.Invalid(at, []string{ip}, fmt.Sprintf(
				"failed to allocate IP %s: the provided network does not match the current range %s", ip, within)))
		} else if !take(ip) {
			errs = append(errs, field.Invalid(at, []string{ip}, fmt.Sprintf("failed to allocate IP %s: provided IP is already allocated", ip)))
		}
	}
	if len(s.Spec.ClusterIPs) > 0 {
		setDefault(&s.Spec.ClusterIP, s.Spec.ClusterIPs[0])
	}
	return errs
}

// settleFamilies says which families the Service has, in the order of its addresses, and by which policy.
func settleFamilies(s, old *corev1.Service) (errs field.ErrorList) {
	n, at := &s.Spec, field.NewPath("spec")
	if n.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	if len(n.ClusterIPs) == 0 && n.ClusterIP != "" {
		n.ClusterIPs = []string{n.ClusterIP}
	}
	for i, family := range n.IPFamilies {
		if _, ok := ranges.of(family); !ok {
			errs = append(errs, field.Invalid(at.Child("ipFamilies").Index(i), family, "not configured on this cluster"))
		}
	}
	if len(n.IPFamilies) > 1 || len(n.ClusterIPs) > 1 {
		pointDefault(&n.IPFamilyPolicy, corev1.IPFamilyPolicyRequireDualStack)
	}
	pointDefault(&n.IPFamilyPolicy, corev1.IPFamilyPolicySingleStack)
	if *n.IPFamilyPolicy == corev1.IPFamilyPolicyRequireDualStack && len(ranges) < 2 {
		errs = append(errs, field.Invalid(at.Child("ipFamilyPolicy"), *n.IPFamilyPolicy, "this cluster is not configured for dual-stack services"))
	}
	if len(n.IPFamilies) == 0 {
		n.IPFamilies = ranges.families()[:1]
		if len(n.ClusterIPs) > 0 && n.ClusterIPs[0] != corev1.ClusterIPNone {
			n.IPFamilies = []corev1.IPFamily{familyOf(parsed(n.ClusterIPs[0]))}
		}
	}
	if *n.IPFamilyPolicy != corev1.IPFamilyPolicySingleStack {
		for _, family := range ranges.families() {
			if len(n.IPFamilies) == 1 && n.IPFamilies[0] != family {
				n.IPFamilies = append(n.IPFamilies, family)
			}
		}
	} else if old != nil && len(old.Spec.IPFamilies) == 2 {
		n.IPFamilies = n.IPFamilies[:1] // the second family is given up, with its address
		n.ClusterIPs = n.ClusterIPs[:1]
	} else if len(n.IPFamilies) > 1 || len(n.ClusterIPs) > 1 {
		errs = append(errs, field.Invalid(at.Child("ipFamilyPolicy"), *n.IPFamilyPolicy, "must be RequireDualStack or PreferDualStack when multiple IP families are specified"))
	}
	return errs
}

func parsed(ip string) netip.Addr {
	address, _ := netip.ParseAddr(ip)
	return address
}

func (a *allocator) release(owner string, keys []string) {
	for _, key := range keys {
		if a.owners[key] == owner {
			delete(a.owners, key)
		}
	}
}

// keepAllocated fills in what an update leaves out, and drops node ports that a change of the type makes pointless.
func keepAllocated(s, old *corev1.Service) {
	if s.Spec.Type == corev1.ServiceTypeExternalName || old.Spec.Type == corev1.ServiceTypeExternalName {
		return
	}
	if s.Spec.ClusterIP == "" {
		s.Spec.ClusterIP, s.Spec.ClusterIPs = old.Spec.ClusterIP, old.Spec.ClusterIPs
	}
	if len(s.Spec.IPFamilies) == 0 {
		s.Spec.IPFamilies = old.Spec.IPFamilies
	}
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		for _, o := range old.Spec.Ports {
			if o.Port != p.Port || o.Protocol != p.Protocol || o.NodePort == 0 {
				continue
			}
			if p.NodePort == 0 && hasNodePorts(s) {
				p.NodePort = o.NodePort
			} else if p.NodePort == o.NodePort && !hasNodePorts(s) {
				p.NodePort = 0
			}
		}
	}
	if !hasNodePorts(s) && hasNodePorts(old) {
		s.Spec.ExternalTrafficPolicy = ""
	}
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer && old.Spec.Type == corev1.ServiceTypeLoadBalancer {
		s.Spec.AllocateLoadBalancerNodePorts = nil
	}
}

func hasNodePorts(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeNodePort || s.Spec.Type == corev1.ServiceTypeLoadBalancer
}

// held lists what a stored Service has.
func held(s *corev1.Service) (keys []string) {
	for _, ip := range s.Spec.ClusterIPs {
		if ip != corev1.ClusterIPNone {
			keys = append(keys, ip)
		}
	}
	for _, p := range s.Spec.Ports {
		if p.NodePort != 0 {
			keys = append(keys, portKey(p.NodePort))
		}
	}
	return keys
}

func ownerOf(s *corev1.Service) string { return s.Namespace + "/" + s.Name }
func portKey(port int32) string        { return fmt.Sprintf("port/%d", port) }
func randomPort() int32                { return int32(firstNodePort + rand.Intn(lastNodePort-firstNodePort+1)) }

// randomIP leaves the first 256 addresses to Services that ask for one, as kubernetes does.
func randomIP(within netip.Prefix) string {
	bytes := within.Addr().AsSlice()
	n := 256 + rand.Intn(1<<min(20, len(bytes)*8-within.Bits())-512)
	for i := len(bytes) - 1; n > 0; i, n = i-1, n>>8 {
		bytes[i] |= byte(n)
	}
	address, _ := netip.AddrFromSlice(bytes)
	return address.String()
}
