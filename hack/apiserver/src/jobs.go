package main

import (
	"context"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func defaultJob(x *batchv1.Job) {
	pointDefault(&x.Spec.Completions, 1)
	pointDefault(&x.Spec.Parallelism, 1)
	pointDefault(&x.Spec.BackoffLimit, 6)
	pointDefault(&x.Spec.CompletionMode, batchv1.NonIndexedCompletion)
	pointDefault(&x.Spec.Suspend, false)
	pointDefault(&x.Spec.PodReplacementPolicy, batchv1.TerminatingOrFailed)
	defaultPodSpec(&x.Spec.Template.Spec)
}

// prepareJob lets a new Job select its Pods by its own UID, which their labels carry.
func prepareJob(obj, old runtime.Object) {
	x := obj.(*batchv1.Job)
	if old != nil || x.Spec.Selector != nil {
		return
	}
	own := map[string]string{batchv1.ControllerUidLabel: string(x.UID), batchv1.JobNameLabel: x.Name,
		"controller-uid": string(x.UID), "job-name": x.Name} // the older names are set as well
	if x.Spec.Template.Labels == nil {
		x.Spec.Template.Labels = map[string]string{}
	}
	for name, value := range own {
		x.Spec.Template.Labels[name] = value
	}
	x.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{batchv1.ControllerUidLabel: string(x.UID)}}
}

func validateJob(_ context.Context, obj, old runtime.Object) field.ErrorList {
	s, at := obj.(*batchv1.Job).Spec, field.NewPath("spec")
	template := at.Child("template")
	errs := oneOf(template.Child("spec", "restartPolicy"), s.Template.Spec.RestartPolicy, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)
	errs = append(errs, validatePodSpec(template.Child("spec"), &s.Template.Spec)...)
	if old != nil {
		o := old.(*batchv1.Job).Spec
		errs = append(errs, unchangeable(at.Child("selector"), s.Selector, o.Selector)...)
		errs = append(errs, unchangeable(template, s.Template, o.Template)...)
	}
	return errs
}
