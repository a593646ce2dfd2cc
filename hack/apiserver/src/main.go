//go:debug default=go1.26

// A Kubernetes API server for tests: the k8s.io/apiserver and k8s.io/apiextensions-apiserver libraries as they are,
// with the built-in kinds that Tieline meets served from the k8s.io/api types by the generic registry.
//
// What a cluster's other processes do (kubelet, kube-proxy, DNS, most controllers) is devnode's part.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiext "k8s.io/apiextensions-apiserver/pkg/apiserver"
	apiextoptions "k8s.io/apiextensions-apiserver/pkg/cmd/server/options"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/util/openapi"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"

	generatedopenapi "tieline.dev/openapi"
)

var (
	stateDir          = flag.String("dir", "", "state directory: certificates, kubeconfigs, etcd's data (required)")
	port              = flag.Int("port", 0, "HTTPS port on 127.0.0.1; 0: the one of the last start, or a free one")
	etcdProgram       = flag.String("etcd", "etcd", "the etcd program to start")
	compaction        = flag.Duration("etcd-compaction-interval", 5*time.Minute, "a short one makes watches meet 410 Gone")
	ranges            = serviceRanges{netip.MustParsePrefix("10.96.0.0/12")}
	serviceNetwork    = flag.String("service-network", "", "a file with the path of the network namespace from which the Services of webhooks, and Pods (pods/proxy), are reached; default: this one")
	minRequestTimeout = flag.Int("min-request-timeout", 1800, "seconds: watches end at random between this and its double")
)

func main() {
	klog.InitFlags(nil)
	flag.Var(&ranges, "service-cluster-ip-range", "where Services have their addresses; two, with a comma, for two families")
	check(flag.Set("v", "0"))
	flag.Parse()
	if *stateDir == "" {
		check(fmt.Errorf("--dir is required"))
	}
	*stateDir = must(filepath.Abs(*stateDir))
	check(os.MkdirAll(*stateDir, 0o755))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	etcd := startEtcd(ctx)
	defer etcd.stop()
	keys := loadKeys(inState("pki"))

	cfg := genericapiserver.NewRecommendedConfig(apiext.Codecs)
	storage := configureStorage(cfg, etcd.url)
	port := configureServing(cfg, keys)
	kube := must(kubernetes.NewForConfig(cfg.LoopbackClientConfig))
	dyn := must(dynamic.NewForConfig(cfg.LoopbackClientConfig))
	cfg.ClientConfig = cfg.LoopbackClientConfig
	cfg.SharedInformerFactory = informers.NewSharedInformerFactory(kube, 0)

	tokens := &serviceAccountTokens{key: keys.tokenKey}
	adminToken := configureAuthentication(cfg, keys, tokens)
	rbac := configureAuthorization(cfg)
	configureAdmission(cfg, kube, dyn)
	configureOpenAPI(cfg)
	controllers := newControllers(kube, dyn, cfg.SharedInformerFactory)

	crds := must((&apiext.Config{
		GenericConfig: cfg,
		ExtraConfig: apiext.ExtraConfig{
			CRDRESTOptionsGetter: apiextoptions.NewCRDRESTOptionsGetter(*storage, nil, cfg.StorageObjectCountTracker),
			MasterCount:          1,
		},
	}).Complete().New(genericapiserver.NewEmptyDelegate()))
	server := crds.GenericAPIServer
	// Upstream lets watches live on for the request time-out, a minute: here a stop is a stop.
	server.ShutdownTimeout = time.Second

	builtin := &builtins{authorizer: cfg.Authorization.Authorizer, authenticator: cfg.Authentication.Authenticator,
		rbac: rbac, tokens: tokens}
	check(builtin.install(server, storage, cfg.StorageObjectCountTracker))
	serveDiscovery(server, crds.Informers.Apiextensions().V1().CustomResourceDefinitions().Informer())

	server.AddPostStartHookOrDie("cluster", func(h genericapiserver.PostStartHookContext) error {
		if err := bootstrap(h, kube, port); err != nil {
			return err
		}
		controllers.run(h)
		return nil
	})
	prepared := server.PrepareRun()
	keys.writeKubeconfigs(*stateDir, fmt.Sprintf("https://127.0.0.1:%d", port), adminToken)
	check(os.WriteFile(inState("pid"), fmt.Append(nil, os.Getpid()), 0o644))
	check(prepared.RunWithContext(ctx))
}

func configureStorage(cfg *genericapiserver.RecommendedConfig, url string) *options.EtcdOptions {
	run := options.NewServerRunOptions()
	run.MinRequestTimeout = *minRequestTimeout
	check(run.Complete())
	check(run.ApplyTo(&cfg.Config))
	etcd := options.NewEtcdOptions(storagebackend.NewDefaultConfig("/registry",
		apiext.Codecs.LegacyCodec(apiextv1.SchemeGroupVersion)))
	etcd.StorageConfig.Transport.ServerList = []string{url}
	etcd.StorageConfig.CompactionInterval = *compaction
	check(etcd.ApplyTo(&cfg.Config))
	return etcd
}

// configureServing opens the listener on loopback and returns its port; a restart keeps the port.
func configureServing(cfg *genericapiserver.RecommendedConfig, keys *keys) int {
	if b, err := os.ReadFile(inState("port")); err == nil && *port == 0 {
		fmt.Sscan(string(b), port)
	}
	serving := options.NewSecureServingOptions()
	serving.BindAddress = net.IPv4(127, 0, 0, 1)
	var err error
	serving.Listener, serving.BindPort, err = options.CreateListener("tcp", fmt.Sprintf("127.0.0.1:%d", *port), net.ListenConfig{})
	check(err)
	check(os.WriteFile(inState("port"), fmt.Append(nil, serving.BindPort), 0o644))
	serving.ServerCert.CertKey = options.CertKey{CertFile: keys.path("server.crt"), KeyFile: keys.path("server.key")}
	check(serving.WithLoopback().ApplyTo(&cfg.SecureServing, &cfg.LoopbackClientConfig))
	cfg.LoopbackClientConfig.QPS, cfg.LoopbackClientConfig.Burst = 500, 1000
	cfg.ExternalAddress = fmt.Sprintf("127.0.0.1:%d", serving.BindPort)
	return serving.BindPort
}

func configureOpenAPI(cfg *genericapiserver.RecommendedConfig) {
	definitions := openapi.GetOpenAPIDefinitionsWithoutDisabledFeatures(generatedopenapi.GetOpenAPIDefinitions)
	namer := openapinamer.NewDefinitionNamer(clientscheme.Scheme, apiext.Scheme)
	cfg.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(definitions, namer)
	cfg.OpenAPIConfig.Info.Title = "Kubernetes"
	cfg.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(definitions, namer)
	cfg.OpenAPIV3Config.Info.Title = "Kubernetes"
}

func inState(name string) string { return filepath.Join(*stateDir, name) }

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "apiserver:", err)
		os.Exit(1)
	}
}
