package main

import (
	"context"
	"fmt"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// partREST updates a part of the parent object (status, finalize), by a strategy that lets only that part through.
type partREST struct {
	store    genericregistry.Store
	strategy partStrategy
}

type partStrategy interface {
	rest.RESTUpdateStrategy
	rest.ResetFieldsStrategy
}

func newPartREST(parent *registry, s partStrategy) *partREST {
	store := *parent.Store
	store.UpdateStrategy, store.ResetFieldsStrategy = s, s
	store.BeginUpdate = nil
	return &partREST{store, s}
}

func (p *partREST) New() runtime.Object { return p.store.New() }
func (p *partREST) Destroy()            {}
func (p *partREST) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return p.strategy.GetResetFields()
}
func (p *partREST) Get(ctx context.Context, name string, o *metav1.GetOptions) (runtime.Object, error) {
	return p.store.Get(ctx, name, o)
}
func (p *partREST) ConvertToTable(ctx context.Context, obj, o runtime.Object) (*metav1.Table, error) {
	return p.store.ConvertToTable(ctx, obj, o)
}

// Update never creates.
func (p *partREST) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, onCreate rest.ValidateObjectFunc, onUpdate rest.ValidateObjectUpdateFunc, _ bool, o *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return p.store.Update(ctx, name, info, onCreate, onUpdate, false, o)
}

// scaleREST serves the autoscaling/v1 Scale of Deployments and ReplicaSets.
type scaleREST struct{ parent *registry }

func (s *scaleREST) New() runtime.Object { return &autoscalingv1.Scale{} }
func (s *scaleREST) Destroy()            {}
func (s *scaleREST) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return autoscalingv1.SchemeGroupVersion.WithKind("Scale")
}
func (s *scaleREST) ConvertToTable(ctx context.Context, obj, o runtime.Object) (*metav1.Table, error) {
	return rest.NewDefaultTableConvertor(s.parent.kind.groupResource()).ConvertToTable(ctx, obj, o)
}

func (s *scaleREST) Get(ctx context.Context, name string, o *metav1.GetOptions) (runtime.Object, error) {
	obj, err := s.parent.Get(ctx, name, o)
	if err != nil {
		return nil, err
	}
	return scaleOf(obj)
}

func (s *scaleREST) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, _ rest.ValidateObjectFunc, _ rest.ValidateObjectUpdateFunc, _ bool, o *metav1.UpdateOptions) (runtime.Object, bool, error) {
	obj, _, err := s.parent.Update(ctx, name, scaleInfo{info}, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, o)
	if err != nil {
		return nil, false, err
	}
	scale, err := scaleOf(obj)
	return scale, false, err
}

func scaleOf(obj runtime.Object) (*autoscalingv1.Scale, error) {
	selector, err := metav1.LabelSelectorAsSelector(fieldOf(obj, "Spec").FieldByName("Selector").Interface().(*metav1.LabelSelector))
	if err != nil {
		return nil, err
	}
	m := metaOf(obj)
	return &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Name: m.GetName(), Namespace: m.GetNamespace(), UID: m.GetUID(),
			ResourceVersion: m.GetResourceVersion(), CreationTimestamp: m.GetCreationTimestamp()},
		Spec:   autoscalingv1.ScaleSpec{Replicas: int32(fieldOf(obj, "Spec").FieldByName("Replicas").Elem().Int())},
		Status: autoscalingv1.ScaleStatus{Replicas: int32(fieldOf(obj, "Status").FieldByName("Replicas").Int()), Selector: selector.String()},
	}, nil
}

// scaleInfo turns an update of the Scale into one of the parent.
type scaleInfo struct{ rest.UpdatedObjectInfo }

func (i scaleInfo) UpdatedObject(ctx context.Context, old runtime.Object) (runtime.Object, error) {
	current, err := scaleOf(old)
	if err != nil {
		return nil, err
	}
	obj, err := i.UpdatedObjectInfo.UpdatedObject(ctx, current)
	if err != nil {
		return nil, err
	}
	wanted := obj.(*autoscalingv1.Scale)
	if wanted.Spec.Replicas < 0 {
		return nil, apierrors.NewBadRequest("spec.replicas must be greater than or equal to 0")
	}
	if wanted.ResourceVersion != "" && wanted.ResourceVersion != current.ResourceVersion {
		return nil, apierrors.NewConflict(appsV1.WithResource("scale").GroupResource(), current.Name, fmt.Errorf(genericregistry.OptimisticLockErrorMsg))
	}
	out := old.DeepCopyObject()
	fieldOf(out, "Spec").FieldByName("Replicas").Elem().SetInt(int64(wanted.Spec.Replicas))
	return out, nil
}

// bindingREST serves pods/NAME/binding, by which a scheduler gives a Pod to a node.
type bindingREST struct{ pods *registry }

func (b *bindingREST) New() runtime.Object { return &corev1.Binding{} }
func (b *bindingREST) Destroy()            {}

func (b *bindingREST) Create(ctx context.Context, name string, obj runtime.Object, _ rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	node := obj.(*corev1.Binding).Target.Name
	if node == "" {
		return nil, apierrors.NewBadRequest("target.name: Required value")
	}
	store := *b.pods.Store
	store.UpdateStrategy = bindStrategy{newStrategy(b.pods.kind)}
	assign := func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		p := old.DeepCopyObject().(*corev1.Pod)
		if p.Spec.NodeName != "" {
			return nil, apierrors.NewConflict(coreV1.WithResource("pods/binding").GroupResource(), name,
				fmt.Errorf("pod %s is already assigned to node %q", name, p.Spec.NodeName))
		}
		p.Spec.NodeName = node
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodScheduled,
			Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()})
		return p, nil
	}
	_, _, err := store.Update(ctx, name, rest.DefaultUpdatedObjectInfo(nil, assign), rest.ValidateAllObjectFunc,
		rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	return &metav1.Status{Status: metav1.StatusSuccess}, err
}
