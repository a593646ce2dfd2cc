package main

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func addAdmissionDefaults(s *runtime.Scheme) {
	defaults(s, &admissionv1.ValidatingAdmissionPolicy{}, func(x *admissionv1.ValidatingAdmissionPolicy) {
		pointDefault(&x.Spec.FailurePolicy, admissionv1.Fail)
		defaultMatch(x.Spec.MatchConstraints)
	})
	defaults(s, &admissionv1.ValidatingAdmissionPolicyBinding{}, func(x *admissionv1.ValidatingAdmissionPolicyBinding) {
		defaultMatch(x.Spec.MatchResources)
	})
	defaults(s, &admissionv1.ValidatingWebhookConfiguration{}, func(x *admissionv1.ValidatingWebhookConfiguration) {
		for i := range x.Webhooks {
			w := &x.Webhooks[i]
			defaultWebhook(&w.ClientConfig, w.Rules, &w.FailurePolicy, &w.MatchPolicy, &w.NamespaceSelector, &w.ObjectSelector, &w.TimeoutSeconds)
		}
	})
	defaults(s, &admissionv1.MutatingWebhookConfiguration{}, func(x *admissionv1.MutatingWebhookConfiguration) {
		for i := range x.Webhooks {
			w := &x.Webhooks[i]
			defaultWebhook(&w.ClientConfig, w.Rules, &w.FailurePolicy, &w.MatchPolicy, &w.NamespaceSelector, &w.ObjectSelector, &w.TimeoutSeconds)
			pointDefault(&w.ReinvocationPolicy, admissionv1.NeverReinvocationPolicy)
		}
	})
}

func defaultMatch(m *admissionv1.MatchResources) {
	if m == nil {
		return
	}
	pointDefault(&m.MatchPolicy, admissionv1.Equivalent)
	pointDefault(&m.NamespaceSelector, metav1.LabelSelector{})
	pointDefault(&m.ObjectSelector, metav1.LabelSelector{})
	for _, rules := range [][]admissionv1.NamedRuleWithOperations{m.ResourceRules, m.ExcludeResourceRules} {
		for i := range rules {
			pointDefault(&rules[i].Scope, admissionv1.AllScopes)
		}
	}
}

func defaultWebhook(client *admissionv1.WebhookClientConfig, rules []admissionv1.RuleWithOperations, failure **admissionv1.FailurePolicyType,
	match **admissionv1.MatchPolicyType, namespaces, objects **metav1.LabelSelector, timeout **int32) {
	pointDefault(failure, admissionv1.Fail)
	pointDefault(match, admissionv1.Equivalent)
	pointDefault(namespaces, metav1.LabelSelector{})
	pointDefault(objects, metav1.LabelSelector{})
	pointDefault(timeout, 10)
	if client.Service != nil {
		pointDefault(&client.Service.Port, 443)
	}
	for i := range rules {
		pointDefault(&rules[i].Scope, admissionv1.AllScopes)
	}
}
