package main

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apiext "k8s.io/apiextensions-apiserver/pkg/apiserver"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	webhookinit "k8s.io/apiserver/pkg/admission/plugin/webhook/initializer"
	mutatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/mutating"
	validatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/validating"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/options"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/apiserver/pkg/util/openapi"
	"k8s.io/apiserver/pkg/util/proxy"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	admissionlisters "k8s.io/client-go/listers/admissionregistration/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/restmapper"

	nooptrace "go.opentelemetry.io/otel/trace/noop"
	generatedopenapi "tieline.dev/openapi"
)

// configureAdmission switches on what refuses objects in namespaces that are not there, and what people add:
// webhooks and validating policies, for the built-in kinds and for custom resources alike.
func configureAdmission(cfg *genericapiserver.RecommendedConfig, kube kubernetes.Interface, dyn dynamic.Interface) {
	admission := options.NewAdmissionOptions()
	admission.RecommendedPluginOrder = []string{lifecycle.PluginName, mutatingwebhook.PluginName,
		validating.PluginName, validatingwebhook.PluginName}
	services := serviceAddresses{cfg.SharedInformerFactory.Core().V1().Services().Lister()}
	var transport *http.Transport
	if *serviceNetwork != "" {
		transport = &http.Transport{DialContext: dialInside(*serviceNetwork)}
	}
	webhooks := webhookinit.NewPluginInitializer(webhook.NewDefaultAuthenticationInfoResolverWrapper(transport, nil,
		cfg.LoopbackClientConfig, nooptrace.NewTracerProvider()), services)
	check(admission.ApplyTo(&cfg.Config, cfg.SharedInformerFactory, kube, dyn, utilfeature.DefaultFeatureGate,
		cfg.EffectiveVersion, webhooks))
	check(options.NewAPIEnablementOptions().ApplyTo(&cfg.Config, apiext.DefaultAPIResourceConfigSource(), apiext.Scheme))
}

// serviceAddresses finds webhooks that are named by their Service.
type serviceAddresses struct{ services corelisters.ServiceLister }

func (s serviceAddresses) ResolveEndpoint(namespace, name string, port int32) (*url.URL, error) {
	return proxy.ResolveCluster(s.services, namespace, name, port)
}

// dialInside connects from inside the network namespace whose path stands in a file: there the addresses of Services lead
// somewhere.
func dialInside(file string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		path, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		there, err := os.Open(string(path))
		if err != nil {
			return nil, err
		}
		defer there.Close()
		// Never unlocked: the thread ends with the goroutine, and takes the namespace with it.
		type result struct {
			conn net.Conn
			err  error
		}
		dialed := make(chan result, 1)
		go func() {
			runtime.LockOSThread()
			if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
				dialed <- result{nil, err}
				return
			}
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			dialed <- result{conn, err}
		}()
		r := <-dialed
		return r.conn, r.err
	}
}

// policyChecker compares the expressions of policies with the schemas of what they match, and writes what does not
// fit into their status, as upstream's controller manager does.
type policyChecker struct {
	kube     kubernetes.Interface
	policies admissionlisters.ValidatingAdmissionPolicyLister
	checker  *validating.TypeChecker
	checked  map[string]string // by name: UID and generation
}

func newPolicyChecker(kube kubernetes.Interface, policies admissionlisters.ValidatingAdmissionPolicyLister) *policyChecker {
	definitions := openapi.GetOpenAPIDefinitionsWithoutDisabledFeatures(generatedopenapi.GetOpenAPIDefinitions)
	schemas := resolver.NewDefinitionsSchemaResolver(definitions, clientscheme.Scheme, apiext.Scheme).
		Combine(&resolver.ClientDiscoveryResolver{Discovery: kube.Discovery()})
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(kube.Discovery()))
	return &policyChecker{kube, policies, &validating.TypeChecker{SchemaResolver: schemas, RestMapper: mapper}, map[string]string{}}
}

func (c *policyChecker) run(ctx context.Context) {
	wait.UntilWithContext(ctx, c.checkAll, 250*time.Millisecond)
}

func (c *policyChecker) checkAll(ctx context.Context) {
	policies, _ := c.policies.List(labels.Everything())
	for _, p := range policies {
		version := string(p.UID) + "/" + strconv.FormatInt(p.Generation, 10)
		if c.checked[p.Name] == version {
			continue
		}
		status := admissionv1.ValidatingAdmissionPolicyStatus{ObservedGeneration: p.Generation,
			TypeChecking: &admissionv1.TypeChecking{ExpressionWarnings: c.checker.Check(p)}}
		if !apiequality.Semantic.DeepEqual(p.Status, status) {
			changed := p.DeepCopy()
			changed.Status = status
			if _, err := c.kube.AdmissionregistrationV1().ValidatingAdmissionPolicies().UpdateStatus(ctx, changed, metav1.UpdateOptions{}); err != nil {
				continue // met again in 250 ms
			}
		}
		c.checked[p.Name] = version
	}
}
