package main

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func prepareNamespace(obj, old runtime.Object) {
	n := obj.(*corev1.Namespace)
	if old != nil {
		n.Spec.Finalizers = old.(*corev1.Namespace).Spec.Finalizers
		return
	}
	n.Status.Phase = corev1.NamespaceActive
	n.Spec.Finalizers = []corev1.FinalizerName{corev1.FinalizerKubernetes}
}

func preparePod(obj, old runtime.Object) {
	if p := obj.(*corev1.Pod); old == nil {
		p.Status = corev1.PodStatus{Phase: corev1.PodPending}
	}
}

func prepareSecret(obj, _ runtime.Object) {
	s := obj.(*corev1.Secret)
	for k, v := range s.StringData {
		if s.Data == nil {
			s.Data = map[string][]byte{}
		}
		s.Data[k] = []byte(v)
	}
	s.StringData = nil
}
