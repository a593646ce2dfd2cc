package main

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	genericreq "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storageerr "k8s.io/apiserver/pkg/storage/errors"
)

// registry stores and serves the objects of one kind.
type registry struct {
	*genericregistry.Store
	kind *kind
}

func newRegistry(k *kind, getter generic.RESTOptionsGetter) (*registry, error) {
	table, err := tableconvertor.New(columnsOf(k))
	if err != nil {
		return nil, err
	}
	attributes := func(o runtime.Object) (labels.Set, fields.Set, error) {
		m, err := meta.Accessor(o)
		if err != nil {
			return nil, nil, err
		}
		set := fields.Set{}
		if k.selectable != nil {
			set = k.selectable(o)
		}
		set["metadata.name"] = m.GetName()
		if k.namespaced {
			set["metadata.namespace"] = m.GetNamespace()
		}
		return m.GetLabels(), set, nil
	}
	s := newStrategy(k)
	store := &genericregistry.Store{
		NewFunc:                   factory(k.object),
		NewListFunc:               factory(k.list),
		DefaultQualifiedResource:  k.groupResource(),
		SingularQualifiedResource: k.version.WithResource(strings.ToLower(k.name)).GroupResource(),
		PredicateFunc: func(l labels.Selector, f fields.Selector) storage.SelectionPredicate {
			return storage.SelectionPredicate{Label: l, Field: f, GetAttrs: attributes}
		},
		CreateStrategy: s, UpdateStrategy: s, DeleteStrategy: s, ResetFieldsStrategy: s,
		TableConvertor: table,
	}
	switch k.name {
	case "Pod":
		store.DeleteStrategy, store.ReturnDeletedObject = podStrategy{s}, true
	case "Event":
		store.TTLFunc = func(runtime.Object, uint64, bool) (uint64, error) { return 3600, nil }
	case "Namespace":
		store.ShouldDeleteDuringUpdate = func(ctx context.Context, key string, obj, old runtime.Object) bool {
			return len(obj.(*corev1.Namespace).Spec.Finalizers) == 0 && genericregistry.ShouldDeleteDuringUpdate(ctx, key, obj, old)
		}
	case "Service":
		newAllocator(store).attach()
	}
	return &registry{store, k}, store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: getter, AttrFunc: attributes})
}

func factory(example runtime.Object) func() runtime.Object {
	t := reflect.TypeOf(example).Elem()
	return func() runtime.Object { return reflect.New(t).Interface().(runtime.Object) }
}

func columnsOf(k *kind) (columns []apiextv1.CustomResourceColumnDefinition) {
	for _, text := range strings.Split(k.columns, ";") {
		part := strings.Split(text, "|")
		switch len(part) {
		case 2:
			columns = append(columns, apiextv1.CustomResourceColumnDefinition{Name: part[0], JSONPath: part[1], Type: "string"})
		case 3:
			columns = append(columns, apiextv1.CustomResourceColumnDefinition{Name: part[0], JSONPath: part[1], Type: part[2]})
		}
	}
	return append(columns, apiextv1.CustomResourceColumnDefinition{Name: "Age", JSONPath: ".metadata.creationTimestamp", Type: "date"})
}

func (r *registry) ShortNames() []string { return shortNames(r.kind) }

func (r *registry) Categories() []string {
	if r.kind.inAll {
		return []string{"all"}
	}
	return nil
}

// namespaceRegistry deletes in two steps: a Namespace becomes Terminating, and goes once its spec.finalizers are empty.
type namespaceRegistry struct{ *registry }

func (r *namespaceRegistry) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc, o *metav1.DeleteOptions) (runtime.Object, bool, error) {
	obj, err := r.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, false, err
	}
	ns := obj.(*corev1.Namespace)
	if o.Preconditions == nil {
		o.Preconditions = &metav1.Preconditions{}
	}
	if o.Preconditions.UID == nil {
		o.Preconditions.UID = &ns.UID
	}
	if !ns.DeletionTimestamp.IsZero() {
		if len(ns.Spec.Finalizers) > 0 {
			return ns, false, nil
		}
		return r.registry.Delete(ctx, name, validate, o)
	}
	key, err := r.KeyFunc(ctx, name)
	if err != nil {
		return nil, false, err
	}
	out := &corev1.Namespace{}
	preconditions := storage.Preconditions{UID: o.Preconditions.UID, ResourceVersion: o.Preconditions.ResourceVersion}
	err = r.Storage.GuaranteedUpdate(ctx, key, out, false, &preconditions, storage.SimpleUpdate(func(in runtime.Object) (runtime.Object, error) {
		n := in.(*corev1.Namespace)
		if err := validate(ctx, n); err != nil {
			return nil, err
		}
		if n.DeletionTimestamp.IsZero() {
			now := metav1.Now()
			n.DeletionTimestamp = &now
		}
		n.Status.Phase = corev1.NamespaceTerminating
		return n, nil
	}), len(o.DryRun) > 0, nil)
	if err != nil {
		return nil, false, storageerr.InterpretUpdateError(err, r.kind.groupResource(), name)
	}
	return out, false, nil
}

// podRegistry refuses Pods whose service account does not exist.
type podRegistry struct {
	*registry
	tokens *serviceAccountTokens
}

func (r *podRegistry) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, o *metav1.CreateOptions) (runtime.Object, error) {
	spec := &obj.(*corev1.Pod).Spec
	if spec.ServiceAccountName == "" {
		spec.ServiceAccountName = "default"
		spec.DeprecatedServiceAccount = "default"
	}
	if _, err := r.tokens.accounts.Get(ctx, spec.ServiceAccountName, &metav1.GetOptions{}); err != nil {
		return nil, apierrors.NewForbidden(r.kind.groupResource(), metaOf(obj).GetName(), fmt.Errorf(
			"error looking up service account %s/%s: serviceaccount %[2]q not found", genericreq.NamespaceValue(ctx), spec.ServiceAccountName))
	}
	return r.registry.Create(ctx, obj, validate, o)
}
