package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	genericreq "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// proxyREST serves pods/NAME:PORT/proxy/PATH: what comes there goes on to the Pod, over plain HTTP, from where webhooks are called.
type proxyREST struct {
	pods      *registry
	transport *http.Transport
}

func newProxyREST(pods *registry) *proxyREST {
	// A connection for each request: the address may be another Pod's by the next one.
	transport := &http.Transport{DisableKeepAlives: true}
	if *serviceNetwork != "" {
		transport.DialContext = dialInside(*serviceNetwork)
	}
	return &proxyREST{pods, transport}
}

func (p *proxyREST) New() runtime.Object { return &corev1.PodProxyOptions{} }
func (p *proxyREST) Destroy()            {}
func (p *proxyREST) ConnectMethods() []string {
	return []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}
}

// NewConnectOptions: upstream's hold the path alone, which Connect's handler finds in the request.
func (p *proxyREST) NewConnectOptions() (runtime.Object, bool, string) { return nil, true, "" }

func (p *proxyREST) Connect(ctx context.Context, id string, _ runtime.Object, responder rest.Responder) (http.Handler, error) {
	scheme, name, port, valid := utilnet.SplitSchemeNamePort(id)
	if !valid || scheme == "https" {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("invalid pod request %q", id))
	}
	obj, err := p.pods.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	pod := obj.(*corev1.Pod)
	if pod.Status.PodIP == "" {
		return nil, apierrors.NewBadRequest("address not allowed")
	}
	if port == "" {
		port = firstPort(pod)
	}
	own := fmt.Sprintf("/api/v1/namespaces/%s/pods/%s/proxy", genericreq.NamespaceValue(ctx), id)
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL = &url.URL{Scheme: "http", Host: net.JoinHostPort(pod.Status.PodIP, port),
				Path: strings.TrimPrefix(r.In.URL.Path, own), RawQuery: r.In.URL.RawQuery}
			r.Out.Host = ""
		},
		Transport: p.transport,
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) {
			responder.Error(apierrors.NewServiceUnavailable(fmt.Sprintf("error trying to reach service: %v", err)))
		},
	}, nil
}

// firstPort is the first one that a container names, as upstream chooses.
func firstPort(pod *corev1.Pod) string {
	for _, c := range pod.Spec.Containers {
		if len(c.Ports) > 0 {
			return strconv.Itoa(int(c.Ports[0].ContainerPort))
		}
	}
	return "80"
}
