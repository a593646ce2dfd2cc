package main

import (
	"fmt"

	authnv1 "k8s.io/api/authentication/v1"
	authzv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/options"
	flowcontrol "k8s.io/apiserver/pkg/util/flowcontrol/request"
)

// builtins serves the built-in groups.
type builtins struct {
	authorizer    authorizer.Authorizer
	authenticator authenticator.Request
	rbac          *rbac
	tokens        *serviceAccountTokens

	groups map[string]*genericapiserver.APIGroupInfo
	order  []string
}

func (b *builtins) install(server *genericapiserver.GenericAPIServer, storage *options.EtcdOptions, counts flowcontrol.StorageObjectCountTracker) error {
	config := storage.StorageConfig
	config.Codec = codecs.LegacyCodec(storageVersions()...)
	config.StorageObjectCountTracker = counts
	getter := storage.CreateRESTOptionsGetter(&options.SimpleStorageFactory{StorageConfig: config}, nil)
	b.groups = map[string]*genericapiserver.APIGroupInfo{}
	registries := map[string]*registry{}
	for i := range kinds {
		k := &kinds[i]
		if k.object == nil { // another version of a kind that is stored already
			b.add(k.version, k.resource, registries[k.name])
			continue
		}
		r, err := newRegistry(k, getter)
		if err != nil {
			return fmt.Errorf("%s: %w", k.resource, err)
		}
		registries[k.name] = r
		b.add(k.version, k.resource, b.serving(r))
		if k.status {
			b.add(k.version, k.resource+"/status", newPartREST(r, statusStrategy{newStrategy(k)}))
		}
		if k.scale {
			b.add(k.version, k.resource+"/scale", &scaleREST{r})
		}
	}
	b.tokens.accounts = registries["ServiceAccount"]
	b.add(coreV1, "namespaces/finalize", newPartREST(registries["Namespace"], finalizeStrategy{newStrategy(registries["Namespace"].kind)}))
	b.add(coreV1, "pods/binding", &bindingREST{registries["Pod"]})
	b.add(coreV1, "pods/proxy", newProxyREST(registries["Pod"]))
	b.add(coreV1, "serviceaccounts/token", &tokenREST{b.tokens})
	b.add(authnv1.SchemeGroupVersion, "tokenreviews", newTokenReviews(b.authenticator))
	b.add(authnv1.SchemeGroupVersion, "selfsubjectreviews", newSelfReviews())
	b.add(authzv1.SchemeGroupVersion, "subjectaccessreviews", newAccessReviews(b.authorizer))
	b.add(authzv1.SchemeGroupVersion, "selfsubjectaccessreviews", newSelfAccessReviews(b.authorizer))
	b.add(authzv1.SchemeGroupVersion, "selfsubjectrulesreviews", newSelfRulesReviews(b.rbac))
	for _, name := range b.order {
		install := server.InstallAPIGroup
		if name == "" {
			install = func(g *genericapiserver.APIGroupInfo) error {
				return server.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, g)
			}
		}
		if err := install(b.groups[name]); err != nil {
			return err
		}
	}
	return nil
}

// serving wraps the registries of kinds that have rules of their own.
func (b *builtins) serving(r *registry) rest.Storage {
	switch {
	case r.kind.name == "Namespace":
		return &namespaceRegistry{r}
	case r.kind.version == rbacV1:
		return &guarded{r, b.rbac, b.authorizer}
	case r.kind.name == "Pod":
		return &podRegistry{r, b.tokens}
	}
	return r
}

func (b *builtins) add(version schema.GroupVersion, path string, storage rest.Storage) {
	group, ok := b.groups[version.Group]
	if !ok {
		info := genericapiserver.NewDefaultAPIGroupInfo(version.Group, scheme, metav1.ParameterCodec, codecs)
		info.PrioritizedVersions = []schema.GroupVersion{version}
		info.VersionedResourcesStorageMap[version.Version] = map[string]rest.Storage{}
		group = &info
		b.groups[version.Group] = group
		b.order = append(b.order, version.Group)
	}
	group.VersionedResourcesStorageMap[version.Version][path] = storage
}
