package main

import (
	"context"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/util/webhook"
)

// validatePolicy refuses what could not be run: above all expressions that do not compile.
func validatePolicy(_ context.Context, obj, _ runtime.Object) (errs field.ErrorList) {
	spec, at := obj.(*admissionv1.ValidatingAdmissionPolicy).Spec, field.NewPath("spec")
	if spec.MatchConstraints == nil || len(spec.MatchConstraints.ResourceRules) == 0 {
		errs = append(errs, field.Required(at.Child("matchConstraints", "resourceRules"), ""))
	}
	if len(spec.Validations) == 0 && len(spec.AuditAnnotations) == 0 {
		errs = append(errs, field.Required(at.Child("validations"), "validations or auditAnnotations must contain at least one item"))
	}
	compiler, err := plugincel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	if err != nil {
		return append(errs, field.InternalError(at, err))
	}
	declared := plugincel.OptionalVariableDeclarations{HasParams: spec.ParamKind != nil, HasAuthorizer: true}
	compiles := func(at *field.Path, expression plugincel.ExpressionAccessor, declared plugincel.OptionalVariableDeclarations) {
		if expression.GetExpression() == "" {
			errs = append(errs, field.Required(at, ""))
		} else if r := compiler.CompileCELExpression(expression, declared, environment.NewExpressions); r.Error != nil {
			errs = append(errs, field.Invalid(at, expression.GetExpression(), r.Error.Error()))
		}
	}
	for i, v := range spec.Variables {
		variable := &validating.Variable{Name: v.Name, Expression: v.Expression}
		if r := compiler.CompileAndStoreVariable(variable, declared, environment.NewExpressions); r.Error != nil {
			errs = append(errs, field.Invalid(at.Child("variables").Index(i).Child("expression"), v.Expression, r.Error.Error()))
		}
	}
	for i := range spec.MatchConditions {
		compiles(at.Child("matchConditions").Index(i).Child("expression"), (*matchconditions.MatchCondition)(&spec.MatchConditions[i]), declared)
	}
	for i, v := range spec.Validations {
		at := at.Child("validations").Index(i)
		compiles(at.Child("expression"), &validating.ValidationCondition{Expression: v.Expression}, declared)
		if v.MessageExpression != "" {
			compiles(at.Child("messageExpression"), &validating.MessageExpressionCondition{MessageExpression: v.MessageExpression},
				plugincel.OptionalVariableDeclarations{HasParams: declared.HasParams})
		}
	}
	return errs
}

func validatePolicyBinding(_ context.Context, obj, _ runtime.Object) field.ErrorList {
	spec, at := obj.(*admissionv1.ValidatingAdmissionPolicyBinding).Spec, field.NewPath("spec")
	errs := required(at.Child("policyName"), spec.PolicyName)
	if len(spec.ValidationActions) == 0 {
		errs = append(errs, field.Required(at.Child("validationActions"), ""))
	}
	for i, action := range spec.ValidationActions {
		errs = append(errs, oneOf(at.Child("validationActions").Index(i), action, admissionv1.Deny, admissionv1.Warn, admissionv1.Audit)...)
	}
	if p := spec.ParamRef; p != nil {
		at := at.Child("paramRef")
		if (p.Name == "") == (p.Selector == nil) {
			errs = append(errs, field.Required(at, "one of name and selector must be set"))
		}
		if p.ParameterNotFoundAction == nil {
			errs = append(errs, field.Required(at.Child("parameterNotFoundAction"), ""))
		}
	}
	return errs
}

func validateValidatingWebhooks(_ context.Context, obj, _ runtime.Object) (errs field.ErrorList) {
	for i, w := range obj.(*admissionv1.ValidatingWebhookConfiguration).Webhooks {
		errs = append(errs, validateWebhook(field.NewPath("webhooks").Index(i), w.Name, w.ClientConfig, w.SideEffects, w.AdmissionReviewVersions)...)
	}
	return errs
}

func validateMutatingWebhooks(_ context.Context, obj, _ runtime.Object) (errs field.ErrorList) {
	for i, w := range obj.(*admissionv1.MutatingWebhookConfiguration).Webhooks {
		errs = append(errs, validateWebhook(field.NewPath("webhooks").Index(i), w.Name, w.ClientConfig, w.SideEffects, w.AdmissionReviewVersions)...)
	}
	return errs
}

func validateWebhook(at *field.Path, name string, client admissionv1.WebhookClientConfig, effects *admissionv1.SideEffectClass, versions []string) field.ErrorList {
	errs := required(at.Child("name"), name)
	if effects == nil {
		errs = append(errs, field.Required(at.Child("sideEffects"), ""))
	} else {
		errs = append(errs, oneOf(at.Child("sideEffects"), *effects, admissionv1.SideEffectClassNone, admissionv1.SideEffectClassNoneOnDryRun)...)
	}
	if len(versions) == 0 {
		errs = append(errs, field.Required(at.Child("admissionReviewVersions"), ""))
	}
	at = at.Child("clientConfig")
	switch {
	case (client.URL == nil) == (client.Service == nil):
		errs = append(errs, field.Required(at, "exactly one of url or service is required"))
	case client.URL != nil:
		errs = append(errs, webhook.ValidateWebhookURL(at.Child("url"), *client.URL, true)...)
	default:
		errs = append(errs, webhook.ValidateWebhookService(at.Child("service"), client.Service.Name, client.Service.Namespace, client.Service.Path, *client.Service.Port)...)
	}
	return errs
}
