package main

import (
	"context"
	"net/http"

	authnv1 "k8s.io/api/authentication/v1"
	authzv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericreq "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// review is a kind that is posted as a question and comes back answered; nothing is stored.
type review struct {
	singular string
	make     func() runtime.Object
	answer   func(ctx context.Context, question runtime.Object) error
}

func (r *review) New() runtime.Object     { return r.make() }
func (r *review) Destroy()                {}
func (r *review) NamespaceScoped() bool   { return false }
func (r *review) GetSingularName() string { return r.singular }
func (r *review) Create(ctx context.Context, obj runtime.Object, _ rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	return obj, r.answer(ctx, obj)
}

func newTokenReviews(authn authenticator.Request) *review {
	return &review{"tokenreview", func() runtime.Object { return &authnv1.TokenReview{} }, func(_ context.Context, obj runtime.Object) error {
		r := obj.(*authnv1.TokenReview)
		request := &http.Request{Header: http.Header{"Authorization": {"Bearer " + r.Spec.Token}}}
		answer, ok, err := authn.AuthenticateRequest(request)
		r.Status.Authenticated = ok
		if ok {
			r.Status.User = userInfo(answer.User)
		} else if err != nil {
			r.Status.Error = err.Error()
		}
		return nil
	}}
}

// newSelfReviews serves `kubectl auth whoami`.
func newSelfReviews() *review {
	return &review{"selfsubjectreview", func() runtime.Object { return &authnv1.SelfSubjectReview{} }, func(ctx context.Context, obj runtime.Object) error {
		u, _ := genericreq.UserFrom(ctx)
		obj.(*authnv1.SelfSubjectReview).Status.UserInfo = userInfo(u)
		return nil
	}}
}

func newAccessReviews(authz authorizer.Authorizer) *review {
	return &review{"subjectaccessreview", func() runtime.Object { return &authzv1.SubjectAccessReview{} }, func(ctx context.Context, obj runtime.Object) error {
		r := obj.(*authzv1.SubjectAccessReview)
		u := &user.DefaultInfo{Name: r.Spec.User, Groups: r.Spec.Groups, UID: r.Spec.UID}
		return answerAccess(ctx, authz, u, r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes, &r.Status)
	}}
}

// newSelfAccessReviews serves `kubectl auth can-i`.
func newSelfAccessReviews(authz authorizer.Authorizer) *review {
	return &review{"selfsubjectaccessreview", func() runtime.Object { return &authzv1.SelfSubjectAccessReview{} }, func(ctx context.Context, obj runtime.Object) error {
		r := obj.(*authzv1.SelfSubjectAccessReview)
		u, _ := genericreq.UserFrom(ctx)
		return answerAccess(ctx, authz, u, r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes, &r.Status)
	}}
}

// newSelfRulesReviews serves `kubectl auth can-i --list`.
func newSelfRulesReviews(r *rbac) *review {
	return &review{"selfsubjectrulesreview", func() runtime.Object { return &authzv1.SelfSubjectRulesReview{} }, func(ctx context.Context, obj runtime.Object) error {
		review := obj.(*authzv1.SelfSubjectRulesReview)
		u, _ := genericreq.UserFrom(ctx)
		for _, rule := range r.rulesFor(u, review.Spec.Namespace) {
			if len(rule.Resources) > 0 {
				review.Status.ResourceRules = append(review.Status.ResourceRules, authzv1.ResourceRule{Verbs: rule.Verbs,
					APIGroups: rule.APIGroups, Resources: rule.Resources, ResourceNames: rule.ResourceNames})
			} else {
				review.Status.NonResourceRules = append(review.Status.NonResourceRules, authzv1.NonResourceRule{Verbs: rule.Verbs, NonResourceURLs: rule.NonResourceURLs})
			}
		}
		return nil
	}}
}

func answerAccess(ctx context.Context, authz authorizer.Authorizer, u user.Info, resource *authzv1.ResourceAttributes, url *authzv1.NonResourceAttributes, status *authzv1.SubjectAccessReviewStatus) error {
	asked := authorizer.AttributesRecord{User: u}
	switch {
	case resource != nil && url == nil:
		asked.ResourceRequest, asked.Verb, asked.Namespace, asked.Name = true, resource.Verb, resource.Namespace, resource.Name
		asked.APIGroup, asked.APIVersion, asked.Resource, asked.Subresource = resource.Group, resource.Version, resource.Resource, resource.Subresource
	case resource == nil && url != nil:
		asked.Verb, asked.Path = url.Verb, url.Path
	default:
		return apierrors.NewBadRequest("exactly one of nonResourceAttributes or resourceAttributes must be specified")
	}
	decision, reason, err := authz.Authorize(ctx, asked)
	status.Allowed, status.Denied, status.Reason = decision == authorizer.DecisionAllow, decision == authorizer.DecisionDeny, reason
	if err != nil {
		status.EvaluationError = err.Error()
	}
	return nil
}

func userInfo(u user.Info) authnv1.UserInfo {
	info := authnv1.UserInfo{Username: u.GetName(), UID: u.GetUID(), Groups: u.GetGroups(), Extra: map[string]authnv1.ExtraValue{}}
	for k, v := range u.GetExtra() {
		info.Extra[k] = v
	}
	return info
}
