package main

import (
	"context"
	"fmt"
	"math/rand"
	"net/netip"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericreq "k8s.io/apiserver/pkg/endpoints/request"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
)

// kubernetesServiceIP is the address of the Service default/kubernetes.
const kubernetesServiceIP = "10.96.0.1"

var serviceRange = netip.MustParsePrefix("10.96.0.0/12")

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
	if errs := a.claim(s, owner, &claimed); len(errs) > 0 {
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
		switch ip := s.Spec.ClusterIP; ip {
		case corev1.ClusterIPNone:
		case "":
			for s.Spec.ClusterIP = randomIP(); !take(s.Spec.ClusterIP); s.Spec.ClusterIP = randomIP() {
			}
		default:
			if address, err := netip.ParseAddr(ip); err != nil || !serviceRange.Contains(address) {
				errs = append(errs, field.Invalid(spec.Child("clusterIPs"), []string{ip}, fmt.Sprintf(
					"failed to allocate IP %s: the provided network does not match the current range %s", ip, serviceRange)))
			} else if !take(ip) {
				errs = append(errs, field.Invalid(spec.Child("clusterIPs"), []string{ip}, fmt.Sprintf("failed to allocate IP %s: provided IP is already allocated", ip)))
			}
		}
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
	if ip := s.Spec.ClusterIP; ip != "" && ip != corev1.ClusterIPNone {
		keys = append(keys, ip)
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
func randomIP() string {
	n := 256 + rand.Intn(1<<20-512)
	return fmt.Sprintf("10.%d.%d.%d", 96+n>>16, n>>8&255, n&255)
}
