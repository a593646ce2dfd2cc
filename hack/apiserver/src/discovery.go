package main

import (
	"sort"
	"sync"

	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
	discovery "k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/tools/cache"
)

// serveDiscovery does what the aggregator does in a full cluster: apiextensions leaves /apis out, and the groups of
// custom resources out of its plain form.
func serveDiscovery(server *genericapiserver.GenericAPIServer, crds cache.SharedIndexInformer) {
	server.Handler.GoRestfulContainer.Add(discovery.WrapAggregatedDiscoveryToHandler(server.DiscoveryGroupManager,
		server.AggregatedDiscoveryGroupManager, nil).GenerateWebService("/apis", metav1.APIGroupList{}))
	var lock sync.Mutex
	var shown []string
	update := func() {
		lock.Lock()
		defer lock.Unlock()
		for _, name := range shown {
			server.DiscoveryGroupManager.RemoveGroup(name)
		}
		shown = nil
		for _, group := range establishedGroups(crds.GetStore().List()) {
			server.DiscoveryGroupManager.AddGroup(group)
			shown = append(shown, group.Name)
		}
	}
	must(crds.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { update() },
		UpdateFunc: func(any, any) { update() },
		DeleteFunc: func(any) { update() },
	}))
}

func establishedGroups(crds []any) map[string]metav1.APIGroup {
	versions := map[string]map[string]bool{}
	for _, o := range crds {
		crd := o.(*apiextv1.CustomResourceDefinition)
		for _, c := range crd.Status.Conditions {
			if c.Type != apiextv1.Established || c.Status != apiextv1.ConditionTrue {
				continue
			}
			if versions[crd.Spec.Group] == nil {
				versions[crd.Spec.Group] = map[string]bool{}
			}
			for _, v := range crd.Spec.Versions {
				if v.Served {
					versions[crd.Spec.Group][v.Name] = true
				}
			}
		}
	}
	groups := map[string]metav1.APIGroup{}
	for name, set := range versions {
		group := metav1.APIGroup{Name: name}
		for v := range set {
			group.Versions = append(group.Versions, metav1.GroupVersionForDiscovery{GroupVersion: name + "/" + v, Version: v})
		}
		if len(group.Versions) == 0 {
			continue
		}
		sort.Slice(group.Versions, func(i, j int) bool {
			return version.CompareKubeAwareVersionStrings(group.Versions[i].Version, group.Versions[j].Version) > 0
		})
		group.PreferredVersion = group.Versions[0]
		groups[name] = group
	}
	return groups
}
