package main

import (
	"context"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// strategy is how a kind is created, updated and deleted.
type strategy struct {
	runtime.ObjectTyper
	names.NameGenerator
	kind *kind
}

func newStrategy(k *kind) strategy { return strategy{scheme, names.SimpleNameGenerator, k} }

func (s strategy) NamespaceScoped() bool                                     { return s.kind.namespaced }
func (s strategy) AllowCreateOnUpdate() bool                                 { return s.kind.upserts }
func (s strategy) AllowUnconditionalUpdate() bool                            { return s.kind.name != "Lease" }
func (s strategy) Canonicalize(runtime.Object)                               {}
func (s strategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }
func (s strategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

func (s strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	if s.kind.status {
		fieldOf(obj, "Status").SetZero()
	}
	if s.countsGenerations() {
		metaOf(obj).SetGeneration(1)
	}
	if s.kind.prepare != nil {
		s.kind.prepare(obj, nil)
	}
}

func (s strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	if s.kind.status {
		fieldOf(obj, "Status").Set(fieldOf(old, "Status"))
	}
	if s.kind.prepare != nil {
		s.kind.prepare(obj, old)
	}
	n, o := metaOf(obj), metaOf(old)
	n.SetGeneration(o.GetGeneration())
	if !s.countsGenerations() {
		return
	}
	changed := o.GetDeletionTimestamp() == nil && n.GetDeletionTimestamp() != nil
	for _, f := range []string{"Spec", "Endpoints", "Ports", "Webhooks"} {
		if v := fieldOf(obj, f); v.IsValid() && !apiequality.Semantic.DeepEqual(v.Interface(), fieldOf(old, f).Interface()) {
			changed = true
		}
	}
	if changed {
		n.SetGeneration(o.GetGeneration() + 1)
	}
}

// countsGenerations: the kinds whose metadata.generation upstream maintains.
func (s strategy) countsGenerations() bool {
	switch s.kind.version.Group {
	case "apps", "policy", "networking.k8s.io", "admissionregistration.k8s.io":
		return true
	}
	return s.kind.name == "Pod" || s.kind.name == "EndpointSlice"
}

func (s strategy) Validate(ctx context.Context, obj runtime.Object) field.ErrorList {
	validName := s.kind.validateName
	if validName == nil {
		validName = validation.NameIsDNSSubdomain
	}
	errs := validation.ValidateObjectMetaAccessor(metaOf(obj), s.kind.namespaced, validName, field.NewPath("metadata"))
	if s.kind.validate != nil {
		errs = append(errs, s.kind.validate(ctx, obj, nil)...)
	}
	return errs
}

func (s strategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	errs := validation.ValidateObjectMetaAccessorUpdate(metaOf(obj), metaOf(old), field.NewPath("metadata"))
	if s.kind.validate != nil {
		errs = append(errs, s.kind.validate(ctx, obj, old)...)
	}
	return errs
}

func (s strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	if !s.kind.status {
		return nil
	}
	return s.reset("status")
}

func (s strategy) reset(field string) map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(s.kind.version.String()): fieldpath.NewSet(fieldpath.MakePathOrDie(field)),
	}
}

// podStrategy deletes gracefully: an unscheduled or finished Pod goes at once, any other waits for its kubelet.
type podStrategy struct{ strategy }

func (podStrategy) CheckGracefulDelete(_ context.Context, obj runtime.Object, o *metav1.DeleteOptions) bool {
	p, period := obj.(*corev1.Pod), int64(30)
	if o.GracePeriodSeconds != nil {
		period = *o.GracePeriodSeconds
	} else if p.Spec.TerminationGracePeriodSeconds != nil {
		period = *p.Spec.TerminationGracePeriodSeconds
	}
	if p.Spec.NodeName == "" || p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded {
		period = 0
	}
	o.GracePeriodSeconds = &period
	return true
}

// statusStrategy lets only the status and the metadata through.
type statusStrategy struct{ strategy }

func (s statusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	t := reflect.ValueOf(obj).Elem()
	for i := range t.NumField() {
		if name := t.Type().Field(i).Name; name != "Status" && name != "ObjectMeta" && name != "TypeMeta" {
			t.Field(i).Set(reflect.ValueOf(old).Elem().Field(i))
		}
	}
	n, o := metaOf(obj), metaOf(old)
	n.SetGeneration(o.GetGeneration())
	n.SetDeletionTimestamp(o.GetDeletionTimestamp())
	n.SetOwnerReferences(o.GetOwnerReferences())
	if s.kind.version == appsV1 {
		n.SetLabels(o.GetLabels())
	}
}

func (s statusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateObjectMetaAccessorUpdate(metaOf(obj), metaOf(old), field.NewPath("metadata"))
}

func (s statusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return s.reset("spec")
}

// finalizeStrategy lets only spec.finalizers of a Namespace through.
type finalizeStrategy struct{ strategy }

func (finalizeStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	obj.(*corev1.Namespace).Status = old.(*corev1.Namespace).Status
}

// bindStrategy lets a Pod be given to a node.
type bindStrategy struct{ strategy }

func (bindStrategy) PrepareForUpdate(context.Context, runtime.Object, runtime.Object) {}
func (bindStrategy) ValidateUpdate(context.Context, runtime.Object, runtime.Object) field.ErrorList {
	return nil
}

func metaOf(o runtime.Object) metav1.Object { return must(meta.Accessor(o)) }

// fieldOf gives a top-level field, addressable; an invalid Value when there is none of that name.
func fieldOf(o runtime.Object, name string) reflect.Value {
	return reflect.ValueOf(o).Elem().FieldByName(name)
}
